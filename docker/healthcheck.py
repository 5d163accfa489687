"""Exits 0 if a server of this container answers 200: ``healthcheck.py PORT PATH``.

A socket and no HTTP library, since it runs every few seconds and most of its time would be imports.
"""

import socket
import sys


def main() -> int:
    """Ask once, and return the exit code."""
    port, path = sys.argv[1:]
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", int(port)), timeout=2) as connection:
            connection.sendall(request.encode("ascii"))
            status = connection.makefile("rb").readline().split()
    except OSError as error:
        print(f"{path} on port {port}: {error}")
        return 1
    print(f"{path} on port {port}: {b' '.join(status).decode('latin-1')}")
    return 0 if status[1:2] == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main())
