"""Runs a server as the first process of a container: ``serve.py COMMAND ...``.

Airflow and MLflow start processes of their own, and end with an exit code that says "killed" when
they are told to stop. Here SIGTERM goes to all of them, what they leave behind is reaped, and a
server that ended because it was told to has ended well: exit code 0. One that ends by itself keeps
its exit code.

Secrets come as files (NAME_FILE), and go on as variables (NAME) of the server alone: neither the
container's configuration nor an argument holds them.
"""

import os
import signal
import subprocess  # nosec B404  # it runs what the image's entry point names
import sys
from types import FrameType

from told import NotToldError, told, with_admin


def main() -> int:
    """Run the command until it ends, and return the exit code."""
    try:
        environment = with_admin(told(os.environ))
    except (NotToldError, OSError) as error:
        print(f"serve: {error}", file=sys.stderr)
        return 2
    signals: list[int] = []
    servers: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        for group in servers:
            try:
                os.killpg(group, signal.SIGTERM)
            except ProcessLookupError:
                pass  # it has just ended

    # Before the server is there: a container's first process is deaf to what it does not handle.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with subprocess.Popen(  # nosec B603  # no shell; its own arguments
        sys.argv[1:], start_new_session=True, env=environment
    ) as server:
        servers.append(server.pid)
        if signals:
            stop(signals[0], None)
        while True:
            pid, status = os.wait()  # the first process gets every orphan
            if pid == server.pid:
                server.returncode = code = os.waitstatus_to_exitcode(status)
                break
    if signals:
        return 0
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
