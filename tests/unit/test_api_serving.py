"""Loading the models in the background, and what the log says of a request."""

import asyncio
import gc
import json
import logging
import sys
import threading
import time

import httpx
import numpy as np
import pytest

from api.logs import JsonFormatter, log_config
from api.schemas import EXAMPLE
from api.server import create_app
from api.serving import Models, ModelStore, PredictionError
from api.settings import Settings
from api_support import call, constant, drift_baseline, make_app, post, predictors
from models.artifact import HIGH_CONSUMPTION_MODEL, REGRESSION_MODEL, ModelError


class Loader:
    """Loads what is in `available`; anything else fails as a registry does."""

    def __init__(self, *available: str) -> None:
        self.available = set(available)
        self.calls: list[str] = []
        self.models = predictors()

    def __call__(self, name: str):
        self.calls.append(name)
        if name not in self.available:
            raise ModelError(f"no champion of {name}")
        return self.models[name]


def test_server_without_models_is_live_but_not_ready() -> None:
    loader = Loader()
    app = create_app(Settings(), load=loader)
    assert call(app, "GET", "/health/live").status_code == 200
    ready = call(app, "GET", "/health/ready")
    assert ready.status_code == 503
    assert ready.json() == {
        "status": "not ready",
        "reasons": [
            "model meter-regression is not loaded yet",
            "model meter-high-consumption is not loaded yet",
        ],
    }
    response = post(app, EXAMPLE)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert post(app, {"items": [EXAMPLE]}, "/predict/batch").status_code == 503
    assert call(app, "GET", "/version").json()["model_version"] is None
    # However often it was asked, asking loads nothing.
    assert loader.calls == []


def test_invalid_request_is_a_422_even_without_models() -> None:
    assert post(create_app(Settings(), load=Loader()), {}).status_code == 422


def test_missing_model_is_named_and_only_it_is_loaded_again() -> None:
    loader = Loader(REGRESSION_MODEL)
    store = ModelStore(loader, retry_seconds=1)
    assert store.load_missing() is False
    assert store.reasons == ["model meter-high-consumption: no champion of meter-high-consumption"]
    assert store.versions == {REGRESSION_MODEL: "r7"}
    assert store.models is None
    loader.available.add(HIGH_CONSUMPTION_MODEL)
    assert store.load_missing() is True
    assert store.reasons == []
    assert loader.calls == [REGRESSION_MODEL, HIGH_CONSUMPTION_MODEL, HIGH_CONSUMPTION_MODEL]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ImportError("no mlflow"), id="library that is not in the image"),
        pytest.param(OSError("disk"), id="disk"),
        pytest.param(RuntimeError("registry"), id="registry"),
    ],
)
def test_whatever_loading_raises_is_a_reason(error: Exception) -> None:
    def load(_name: str):
        raise error

    store = ModelStore(load, retry_seconds=1)
    assert store.load_missing() is False
    assert store.reasons[0] == f"model {REGRESSION_MODEL}: {error}"


def test_malformed_drift_baseline_is_a_reason() -> None:
    models = predictors(drift_baseline={"voltage": {}})
    store = ModelStore(models.__getitem__, retry_seconds=1)
    assert store.load_missing() is False
    assert len(store.reasons) == 1 and "drift baseline is of other features" in store.reasons[0]


def test_failure_is_logged_once_not_at_every_attempt(caplog: pytest.LogCaptureFixture) -> None:
    store = ModelStore(Loader(HIGH_CONSUMPTION_MODEL), retry_seconds=1)
    with caplog.at_level(logging.INFO, "api.serving"):
        for _ in range(3):
            store.load_missing()
    assert [record.message for record in caplog.records] == [
        "model not loaded, trying again",
        "model loaded",
    ]


def test_server_loads_in_the_background_until_it_has_both() -> None:
    loader = Loader(REGRESSION_MODEL)
    store = ModelStore(loader, retry_seconds=0.01)
    store.start()
    store.start()
    deadline = time.monotonic() + 10
    while len(loader.calls) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    loader.available.add(HIGH_CONSUMPTION_MODEL)
    while store.models is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert store.models is not None
    assert loader.calls.count(REGRESSION_MODEL) == 1


def test_lifespan_loads_the_models_and_spares_the_collector() -> None:
    app = create_app(Settings(model_retry=0.01), load=Loader(REGRESSION_MODEL))

    async def live() -> tuple[dict[str, str], int]:
        async with app.router.lifespan_context(app):
            deadline = time.monotonic() + 10
            version = {}
            while not version.get("model_version") and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                    version = (await client.get("/version")).json()
            return version, gc.get_freeze_count()

    version, frozen = asyncio.run(live())
    assert version["model_version"] == "r7" and frozen > 10_000
    assert gc.get_freeze_count() == 0
    loaders = [thread for thread in threading.enumerate() if thread.name == "model-loader"]
    for thread in loaders:
        thread.join(10)
    assert not any(thread.is_alive() for thread in loaders)


def test_stop_ends_the_attempts() -> None:
    loader = Loader()
    store = ModelStore(loader, retry_seconds=30)
    store.start()
    [thread] = [t for t in threading.enumerate() if t.name == "model-loader" and t.is_alive()]
    store.stop()
    thread.join(10)
    assert not thread.is_alive() and thread.daemon


def test_models_observe_drift_of_what_they_predict() -> None:
    models = Models.of(predictors(drift_baseline=drift_baseline()))
    assert models.drift is not None
    assert all(np.isnan(value) for value in models.drift.psi().values())
    models.predict([EXAMPLE] * 400)
    assert models.drift.psi()["voltage"] > 0.25


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_prediction_that_is_none_is_an_error(value: float) -> None:
    models = Models.of(predictors(probability=constant(value)))
    with pytest.raises(PredictionError, match="model c3 gave no finite prediction"):
        models.predict([EXAMPLE])


def access_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    formatter = JsonFormatter()
    return [
        json.loads(formatter.format(record))
        for record in caplog.records
        if record.name == "api.access"
    ]


def test_access_log_is_structured_and_holds_no_body(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()
    with caplog.at_level(logging.INFO, "api.access"):
        post(app, {**EXAMPLE, "units_lag_day": 777.125})
    [line] = access_lines(caplog)
    assert (line["method"], line["path"], line["status"]) == ("POST", "/predict", 200)
    assert line["level"] == "info" and line["logger"] == "api.access"
    assert isinstance(line["milliseconds"], float) and line["client"] == "127.0.0.1"
    assert len(str(line["request_id"])) == 32 and line["bytes_in"]
    assert "777.125" not in json.dumps(line)


def test_health_checks_are_logged_only_when_they_fail(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "api.access"):
        call(make_app(), "GET", "/health/ready")
        call(make_app(), "GET", "/metrics")
        call(create_app(Settings(), load=Loader()), "GET", "/health/ready")
    assert [(line["path"], line["status"]) for line in access_lines(caplog)] == [
        ("/health/ready", 503)
    ]


def test_hostile_path_stays_within_its_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "api.access"):
        call(make_app(), "GET", "/%0d%0a%1b[2J" + "x" * 1000)
    [record] = [record for record in caplog.records if record.name == "api.access"]
    text = JsonFormatter().format(record)
    assert text.isprintable() and len(text) < 700
    assert json.loads(text)["path"].startswith("/\r\n\x1b[2J")


def test_exception_is_part_of_the_line() -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "f", 1, "went %s", ("bad",), sys.exc_info())
    line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "went bad" and "ValueError: boom" in line["exception"]
    assert line["time"].endswith("+00:00")


def test_log_config_silences_the_server_s_own_access_log() -> None:
    config = log_config("WARNING")
    assert config["root"] == {"handlers": ["stderr"], "level": "WARNING"}
    assert config["loggers"]["uvicorn.access"] == {"handlers": [], "propagate": False}
