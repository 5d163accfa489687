"""Ports for servers that can't be told to find one by themselves."""

import random
import socket

# Below those that a system gives to whoever asks for any (Linux has them from 32768 on), so that no
# short connection takes one before its server does; see internal/freeport.
_FIRST, _COUNT = 20_000, 10_000


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nobody listens.

    Raises:
        OSError: none of many was free.
    """
    problem: OSError | None = None
    for _ in range(1000):
        port = _FIRST + random.randrange(_COUNT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError as error:
                problem = error
    raise OSError(f"find a free port: {problem}")
