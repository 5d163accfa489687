"""The outermost layer: names, measures and logs each request, and refuses huge ones unread."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.json_route import TOO_LARGE
from api.metrics import CLIENT_LEFT, Metrics

logger = logging.getLogger("api.access")

# An id is taken over from a proxy only when it is harmless in a log line and a header.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
# Asked every second by proxies: not worth a line each while all is well.
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})


class Gateway:
    """ASGI middleware around the whole application.

    * A declared length over the limit is a 413 before any of the body is read. (The server
      discards the rest, so that a client which sends all of it first still gets the answer.)
    * HEAD is answered like GET (RFC 9110, section 9.3.2); the server leaves out the body.
    * Every request gets an ``X-Request-ID``, the client's own if it is plausible.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, paths: frozenset[str], max_body_bytes: int
    ) -> None:
        """Take the application, its declared paths (the rest counts as one), and the limit."""
        self.app = app
        self.metrics = metrics
        self.paths = paths
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; what is not HTTP is passed on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        if exchange.synthetic:
            self.metrics.synthetic.inc()
        self.metrics.in_flight.inc()
        try:
            if exchange.declared > self.max_body_bytes:
                refusal = JSONResponse({"detail": TOO_LARGE.format(self.max_body_bytes)}, 413)
                await refusal(scope, receive, exchange.send)
            else:
                await self.app(exchange.scope, receive, exchange.send)
        except ClientDisconnect:
            exchange.status = CLIENT_LEFT
        except BaseException:
            exchange.status = exchange.status or 500
            raise
        finally:
            self.metrics.in_flight.dec()
            seconds = time.perf_counter() - exchange.started
            path = scope["path"] if scope["path"] in self.paths else None
            self.metrics.request(exchange.method, path, exchange.status, seconds)
            exchange.log(seconds)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.started = time.perf_counter()
        self.method: str = scope["method"]
        # A copy: the server must go on seeing HEAD, since it is what leaves out the body.
        self.scope: Scope = {**scope, "method": "GET"} if self.method == "HEAD" else scope
        self.declared = 0
        self.request_id = b""
        self.synthetic = False
        self.status = 0
        self._send = send
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit():
                # More digits than any length has: huge, whatever the number is.
                self.declared = int(value[:19])
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                self.request_id = value
            elif name == b"x-meter-synthetic":
                self.synthetic = value == b"1"
        self.request_id = self.request_id or uuid.uuid4().hex.encode()

    async def send(self, message: Message) -> None:
        """Pass a message on, with the request's id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.request_id)]
            message = {**message, "headers": headers}
        await self._send(message)

    def log(self, seconds: float) -> None:
        """Write the access line: what was asked and answered, never what was sent."""
        quiet = self.status < 400 and self.scope["path"] in _QUIET
        level = logging.DEBUG if quiet else logging.INFO
        if not logger.isEnabledFor(level):
            return
        client = self.scope.get("client")
        logger.log(
            level,
            "request",
            extra={
                "request_id": self.request_id.decode("ascii"),
                "method": self.method,
                "path": self.scope["path"][:200],
                "status": self.status,
                "milliseconds": round(seconds * 1000, 3),
                "bytes_in": self.declared,
                "client": client[0] if client else None,
            },
        )
