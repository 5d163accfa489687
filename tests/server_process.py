"""The API as a process of its own on a real socket; imports nothing of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
JSON = {"Content-Type": "application/json"}


class Server:
    """A server process on a free port of 127.0.0.1, ended when the block is left."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.command = command or ("-m", "api.server", "--port", "0")
        # A fixture of a whole module is made before the isolation of its first test.
        told = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
        self.environment = {**told, "PYTHONPATH": path, **environment}
        self.lines: list[str] = []
        self.port = 0

    def __enter__(self) -> Server:
        # The output is read on, so that a full pipe never blocks the server.
        self.process = subprocess.Popen(
            [sys.executable, *self.command],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._bound = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._bound.wait(90) or not self.port:
            self.__exit__()
            raise AssertionError("server did not start:\n" + "".join(self.lines))
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                self._bound.set()
        self._bound.set()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and decoded JSON of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, JSON if content else {})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def wait_ready(self, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while self.request("GET", "/health/ready")[0] != 200:
            assert time.monotonic() < deadline, "".join(self.lines)
            time.sleep(0.05)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)
