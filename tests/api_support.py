"""What the tests of the API share: predictors without a model, tiny real models, a real server."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
from onnx import TensorProto, helper

from api.schemas import EXAMPLE
from api.server import create_app
from api.settings import Settings
from data.features import FEATURES, OPTIONAL
from models import artifact
from monitoring.drift import DriftBaseline
from server_process import JSON, ROOT, Server

__all__ = ["JSON", "ROOT", "Server"]  # what is made elsewhere


@dataclass
class FakePredictor:
    """Answers with a function of the matrix, of shape (n, 17)."""

    answer: Callable[[np.ndarray], Any]
    version: str = "1"
    drift_baseline: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metadata(self) -> FakePredictor:
        return self

    def predict(self, matrix: np.ndarray) -> Any:
        return self.answer(matrix)


def constant(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda matrix: np.full(len(matrix), value, np.float32)


def column(name: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda matrix: matrix[:, FEATURES.index(name)]


def predictors(units: Any = None, probability: Any = None, **options: Any) -> dict[str, Any]:
    """Both models: by default they answer with units_lag_1 and with power_factor."""
    return {
        artifact.REGRESSION_MODEL: FakePredictor(units or column("units_lag_1"), "r7", **options),
        artifact.HIGH_CONSUMPTION_MODEL: FakePredictor(probability or column("power_factor"), "c3"),
    }


def make_app(settings: Settings | None = None, **models: Any) -> Any:
    return create_app(settings or Settings(), predictors=predictors(**models))


def call(app: Any, method: str, path: str, **options: Any) -> httpx.Response:
    """One request to an application in this process (500 is an answer, not an exception)."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


def post(app: Any, body: Any, path: str = "/predict", **options: Any) -> httpx.Response:
    """POST bytes as they are, anything else as JSON."""
    if isinstance(body, bytes):
        options = {"headers": JSON, **options, "content": body}
    else:
        options["json"] = body
    return call(app, "POST", path, **options)


def series(app: Any, start: str) -> dict[str, float]:
    """The metrics of an application whose line begins so."""
    lines = call(app, "GET", "/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(start))
    return {name: float(value) for name, value in pairs}


def drift_baseline(rows: int = 500) -> dict[str, Any]:
    """A baseline of plausible inputs; the lags are optional."""
    rng = np.random.default_rng(1)
    matrix = rng.uniform(0, 1, (rows, len(FEATURES)))
    return DriftBaseline.from_matrix(matrix, FEATURES, OPTIONAL).to_dict()


def write_models(folder: Path) -> None:
    """Real artifacts in the MODEL_DIR layout that answer as `predictors` does."""
    gather = helper.make_node("Gather", ["x", "lag"], ["y"], axis=1)
    _write(folder, artifact.REGRESSION_MODEL, artifact.REGRESSION, "r7", [gather])
    nodes = [
        helper.make_node("Gather", ["x", "factor"], ["p"], axis=1),
        helper.make_node("Sub", ["one", "p"], ["q"]),
        helper.make_node("Concat", ["q", "p"], ["y"], axis=1),
    ]
    _write(folder, artifact.HIGH_CONSUMPTION_MODEL, artifact.CLASSIFICATION, "c3", nodes)


def _write(folder: Path, name: str, kind: str, version: str, nodes: list[Any]) -> None:
    width = artifact.OUTPUT_COLUMNS[kind]
    constants = [
        helper.make_tensor("lag", TensorProto.INT64, [1], [FEATURES.index("units_lag_1")]),
        helper.make_tensor("factor", TensorProto.INT64, [1], [FEATURES.index("power_factor")]),
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
    ]
    used = {source for node in nodes for source in node.input}
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, len(FEATURES)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, width])],
        [tensor for tensor in constants if tensor.name in used],
    )
    opset = helper.make_opsetid("", 21)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    onnx.checker.check_model(model)
    save_model(folder, name, kind, version, model.SerializeToString(), drift_baseline())


def save_model(
    folder: Path, name: str, kind: str, version: str, model: bytes, drift: Mapping[str, Any]
) -> None:
    """Write an ONNX graph as the artifact `<folder>/<name>/`."""
    metadata = artifact.ModelMetadata(
        name=name,
        version=version,
        kind=kind,
        created="2026-01-01T00:00:00+00:00",
        git_sha="0" * 40,
        data_hash="0" * 64,
        scikit_learn="none",
        onnx_opset=21,
        trained_from="2025-01-01T00:00:00+00:00",
        trained_until="2025-12-31T00:00:00+00:00",
        metrics={},
        baseline_metrics={},
        drift_baseline=drift,
        model_sha256=artifact.checksum(model),
    )
    artifact.ModelArtifact(model, metadata).save(folder / name)


def answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer from a raw connection: status, headers in lower case, body."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()


def raw_post(body: bytes, path: str = "/predict", extra: bytes = b"") -> bytes:
    """The bytes of a POST with its length declared."""
    return (
        b"POST %s HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n%s\r\n%s" % (path.encode(), len(body), extra, body)
    )


EXAMPLE_BYTES = json.dumps(EXAMPLE).encode()
