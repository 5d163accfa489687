"""Hop 6: the exported models in a real uvicorn, asked over HTTP."""

import json
from collections.abc import Iterator

import pytest
from hops import Uvicorn, left, same, serving
from predictions import compare, ready


@pytest.fixture(name="server", scope="module")
def fixture_server(parts: None) -> Iterator[Uvicorn]:
    with serving(left("models/sample", by="load")) as server:
        ready(server)
        yield server


def test_server_says_which_models_it_serves(server: Uvicorn) -> None:
    results = json.loads(left("results.json", by="train").read_text("utf-8"))
    versions = {result["model"]: result["version"] for result in results}
    expected = {
        "git_sha": "integration",
        "image_digest": None,
        "model_version": versions["meter-regression"],
        "high_consumption_model_version": versions["meter-high-consumption"],
    }
    same("what is running", server.ask("GET", "/version"), (200, expected), sent="GET /version")


def test_predictions_are_those_of_training(server: Uvicorn) -> None:
    compare(server, "sample", singles=100)


def test_nothing_went_wrong_inside(server: Uvicorn) -> None:
    errors = [line for line in server.lines if "Traceback" in line or '"ERROR"' in line]
    same("errors in the server's log", errors, [])
