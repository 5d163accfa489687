"""Latency of the served API with the models that training makes of the shipped sample.

They report; the limits (100 ms, aim p99 15 ms) are for the pipeline's benchmark gate to judge.
"""

import asyncio
import http.client
import json
import warnings

import pytest

from api.schemas import EXAMPLE
from api_load import run_load
from api_support import EXAMPLE_BYTES, JSON, Server, raw_post, save_model
from data.create_datasets import create_dataset, load_data
from data.features import FEATURES, OPTIONAL
from models.candidate import fit_classification_candidate, fit_regression_candidate
from monitoring.drift import DriftBaseline

RATE = 200  # requests a second
SECONDS = 5


@pytest.fixture(name="server", scope="module")
def fixture_server(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("api-benchmark")
    parts = create_dataset(load_data()).split(0.2)
    for fit in (fit_regression_candidate, fit_classification_candidate):
        with warnings.catch_warnings():
            # skl2onnx writes booleans into integer attributes, which protobuf 6 warns of.
            warnings.simplefilter("ignore", DeprecationWarning)
            made = fit(*parts)
        drift = DriftBaseline.from_matrix(made.train.X, FEATURES, OPTIONAL).to_dict()
        save_model(folder, made.name, made.kind, "1", made.model, drift)
    command = ("-m", "api.server", "--port", "0")
    with Server(*command, MODEL_DIR=str(folder)) as server:
        server.wait_ready()
        asyncio.run(run_load(server.port, raw_post(EXAMPLE_BYTES), RATE, 100))
        yield server


def test_api_response_at_200_per_second(server: Server, benchmark) -> None:
    """One worker, open loop; the percentiles are in extra_info, the timing is of the whole run."""
    request = raw_post(EXAMPLE_BYTES)
    load = benchmark.pedantic(
        lambda: asyncio.run(run_load(server.port, request, RATE, RATE * SECONDS)), rounds=1
    )
    benchmark.extra_info.update(load.percentiles(), rate=RATE, requests=len(load.seconds))
    assert load.failures == 0 and len(load.seconds) == RATE * SECONDS


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/predict", EXAMPLE, id="single"),
        pytest.param("/predict/batch", {"items": [EXAMPLE] * 100}, id="batch-of-100"),
        pytest.param("/predict/batch", {"items": [EXAMPLE] * 1000}, id="batch-of-1000"),
        pytest.param("/health/live", None, id="live"),
    ],
)
def test_api_response_one_at_a_time(server: Server, benchmark, path: str, body: object) -> None:
    """One client that waits for each answer; the raw data are the latencies."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    content = None if body is None else json.dumps(body)
    method, headers = ("GET", {}) if body is None else ("POST", JSON)

    def ask() -> int:
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        response.read()
        return response.status

    rounds = 20 if content and len(content) > 100_000 else 300
    assert benchmark.pedantic(ask, rounds=rounds, warmup_rounds=5) == 200
    connection.close()
