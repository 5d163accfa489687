"""Runs a command once and prints what it cost as one line of JSON.

python scripts/peers/once.py LABEL COMMAND...

label, seconds (wall), cpu (user and system seconds), peak_mib (resident, of the largest process),
exit (its exit code), and inside: the last line of its output, if that is JSON (see check.py).
"""

import json
import resource
import subprocess  # nosec B404  # runs the command that it is given, without a shell
import sys
import time


def main(label: str, *command: str) -> int:
    """Run the command, print the figures, and return 0 unless it failed."""
    started = time.perf_counter()
    done = subprocess.run(  # nosec B603  # what it is for
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False
    )
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1024 if sys.platform == "linux" else 1024 * 1024  # kilobytes, but bytes on macOS
    lines = done.stdout.strip().splitlines()
    figures = {
        "label": label,
        "seconds": round(seconds, 3),
        "cpu": round(used.ru_utime + used.ru_stime, 3),
        "peak_mib": round(used.ru_maxrss / unit),
        "exit": done.returncode,
        "inside": json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None,
    }
    print(json.dumps(figures), flush=True)
    if done.returncode not in (0, 124):  # 124: it took longer than it may
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
