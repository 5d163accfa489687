"""Every error answer has one shape: ``{"detail": ...}``, a sentence or a list of bad fields."""

from __future__ import annotations

from typing import Any, cast

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.schemas import ErrorAnswer, InvalidAnswer

# A hostile body can hold a hundred thousand bad fields; nobody reads past these.
MAX_REPORTED = 100

INTERNAL = "internal error: see the server's log for this request's id"


def invalid_answer(error: ValidationError) -> Response:
    """Answer 422 naming each bad field (the first hundred); values sent are not echoed."""
    total = error.error_count()
    detail: list[dict[str, Any]] = [
        {"loc": ["body", *_short(found["loc"])], "msg": found["msg"], "type": found["type"]}
        for found in error.errors(include_url=False, include_context=False, include_input=False)[
            :MAX_REPORTED
        ]
    ]
    return JSONResponse({"detail": detail, "errors": total}, status_code=422)


def _short(location: tuple[int | str, ...]) -> list[int | str]:
    return [part[:100] if isinstance(part, str) else part for part in location]


async def http_error(_request: Request, error: Exception) -> Response:
    """Turn an ``HTTPException`` into the one error shape, keeping its headers."""
    refusal = cast(HTTPException, error)
    return JSONResponse({"detail": refusal.detail}, refusal.status_code, headers=refusal.headers)


async def internal_error(_request: Request, _error: Exception) -> Response:
    """Answer 500 without telling the client what broke; the server logs the traceback."""
    return JSONResponse({"detail": INTERNAL}, status_code=500)


def _described(text: str, model: type[Any] = ErrorAnswer) -> dict[str, Any]:
    return {"description": text, "model": model}


# What a route with a body can answer besides 200, for the OpenAPI document.
BODY_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {
        "description": "The request is not valid HTTP.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    },
    408: _described("The body did not arrive in time."),
    413: _described("The body is over 1 MB (1,000,000 bytes)."),
    415: _described("The body is not application/json, or it is compressed."),
    422: _described("The body is not valid JSON, or a field is bad.", InvalidAnswer),
    500: _described("The server failed."),
    503: _described("No model is loaded yet."),
}
