"""A route whose body goes from bytes to a validated model in one pass, and back.

FastAPI's own path decodes JSON with the standard library first, which reads NaN, fails on deep
nesting in its own way, and costs more than the prediction. pydantic's parser refuses all of it
with an error that names the place. The declared types still make the OpenAPI document.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.errors import invalid_answer
from api.settings import Settings

# Above this many bytes (some 40 items) a request is worked on in a thread, so that it doesn't
# hold up the others.
OFFLOAD_BYTES = 16_384
TOO_LARGE = "body is over {} bytes: split the batch"


class JsonRoute(APIRoute):
    """Serves a synchronous ``endpoint(model) -> model`` that is declared with a JSON body.

    Routes without a body are FastAPI's own.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler that FastAPI wraps into an ASGI application."""
        if self.body_field is None:
            return super().get_route_handler()
        accepted = cast(type[BaseModel], self.body_field.field_info.annotation)
        validate = accepted.__pydantic_validator__.validate_json
        endpoint = self.endpoint

        def respond(body: bytes | bytearray) -> Response:
            try:
                parsed = validate(body)
            except ValidationError as error:
                return invalid_answer(error)
            answer = endpoint(parsed)
            return Response(
                answer.__pydantic_serializer__.to_json(answer), media_type="application/json"
            )

        async def handle(request: Request) -> Response:
            require_json(request)
            body = await read_body(request, request.app.state.settings)
            if len(body) > OFFLOAD_BYTES:
                return await asyncio.to_thread(respond, body)
            return respond(body)

        return handle


def require_json(request: Request) -> None:
    """Raise a 415 unless the body is declared as plain JSON."""
    headers = request.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "content type must be application/json")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "compressed bodies are not accepted: send it uncompressed")


async def read_body(request: Request, settings: Settings) -> bytes | bytearray:
    """Return the whole body, bounded in size (413) and in time (408).

    ClientDisconnect is raised when the client went away before the end.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if len(body) > settings.max_body_bytes:
                    raise HTTPException(413, TOO_LARGE.format(settings.max_body_bytes))
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        # The rest of the body would be read as the next request.
        raise HTTPException(
            408, "body did not arrive in time", headers={"Connection": "close"}
        ) from None
