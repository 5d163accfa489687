"""Predictions over HTTP against those of training's own model."""

import json
from typing import Any

from hops import Mismatch, Uvicorn, left, same

# Both sides compute the same float32 graph on the same float32 row, and a float32 as JSON is exact;
# so anything but rounding of the decimal text is skew between training and serving.
TOLERANCE = 1e-9
# The classification multiplies matrices in float32: rows of a batch may be summed in another order.
BATCH_TOLERANCE = 1e-6


def ready(server: Uvicorn, seconds: float = 60) -> None:
    """Wait until the server has its models; Mismatch with its reasons when it stays without."""
    try:
        server.wait_ready(seconds)
    except AssertionError:
        status, body = server.ask("GET", "/health/ready")
        raise Mismatch(
            f"readiness of the API after {seconds:g} s",
            sent="GET /health/ready",
            came=f"{status} {json.dumps(body)}",
            expected="200",
        ) from None


def compare(server: Uvicorn, name: str, singles: int) -> None:
    """Send requests, some one by one and all as a batch; Mismatch at the first that differs."""
    bodies = json.loads(left(f"requests/{name}.json", by="load or real").read_text("utf-8"))
    wanted = json.loads(left(f"expected/{name}.json", by="load or real").read_text("utf-8"))
    for field, values in wanted.items():
        same(f"predictions of {field} that training left", len(values), len(bodies))
    for index in range(0, len(bodies), max(1, len(bodies) // singles)):
        status, answer = server.ask("POST", "/predict", bodies[index])
        what = f"POST /predict, request {index} of {name}"
        _same(what, bodies[index], status, answer, wanted, index, TOLERANCE)
    status, answer = server.ask("POST", "/predict/batch", {"items": bodies})
    what = f"POST /predict/batch of {len(bodies)} of {name}"
    if status != 200:
        raise Mismatch(what, sent=bodies[0], came=f"{status} {json.dumps(answer)}", expected="200")
    same(f"number of answers to {what}", len(answer["predictions"]), len(bodies))
    for index, prediction in enumerate(answer["predictions"]):
        _same(
            f"{what}, item {index}", bodies[index], 200, prediction, wanted, index, BATCH_TOLERANCE
        )


def _same(
    what: str,
    body: Any,
    status: int,
    answer: Any,
    wanted: dict[str, list[float]],
    index: int,
    tolerance: float,
) -> None:
    expected = {field: values[index] for field, values in wanted.items()}
    fine = status == 200 and all(
        isinstance(answer.get(field), float) and abs(answer[field] - value) <= tolerance
        for field, value in expected.items()
    )
    if not fine:
        raise Mismatch(
            f"{what}: serving and training differ" if status == 200 else what,
            sent=body,
            came=f"{status} {json.dumps(answer)}",
            expected=f"200 {json.dumps(expected)} within {tolerance:g}, by training's model",
        )
