"""The service: ``uvicorn api.server:app --app-dir src``, or ``python -m api.server``.

Endpoints: predict and predict/batch, health/live, health/ready, metrics, version.
"""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from api.database import DatabaseProbe
from api.errors import BODY_RESPONSES, http_error, internal_error
from api.gateway import Gateway
from api.json_route import JsonRoute
from api.logs import log_config
from api.metrics import Metrics
from api.schemas import (
    BatchPrediction,
    BatchRequest,
    Live,
    MeterFeatures,
    Prediction,
    Ready,
    Values,
    Version,
)
from api.serving import Models, ModelStore, Predictor
from api.settings import Settings
from models.artifact import HIGH_CONSUMPTION_MODEL, REGRESSION_MODEL
from models.inference import load_latest_model

__all__ = ["MeterFeatures", "app", "create_app", "main"]

# Longer than any proxy keeps an idle connection for reuse, else it would pick one just closed.
KEEP_ALIVE_SECONDS = 75
DRAIN_SECONDS = 30
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DESCRIPTION = (
    "Predicts a meter's consumption in the next interval, and the probability that it is high. "
    "A body is JSON of at most 1 MB."
)


def create_app(
    settings: Settings | None = None,
    *,
    predictors: Mapping[str, Predictor] | None = None,
    load: Callable[[str], Predictor] = load_latest_model,
) -> FastAPI:
    """Build the application.

    Settings are the environment's unless given. With ``predictors`` (by registered model name,
    both of them) it serves those at once; without, it calls ``load`` with each name in the
    background once it is started, until it has both.
    """
    settings = settings or Settings.from_environment()
    store = ModelStore.holding(predictors) if predictors else ModelStore(load, settings.model_retry)
    metrics = Metrics(store, settings.git_sha)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        store.start()
        # What the imports made lives as long as the process. Visiting it (a full collection takes
        # tens of milliseconds) would be paid by the requests of that moment.
        gc.collect()
        gc.freeze()
        yield
        gc.unfreeze()
        store.stop()

    application = FastAPI(
        title="Meter consumption prediction",
        description=DESCRIPTION,
        version="1.0.0",
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        # Requests are measured for Prometheus; spans nobody collects cost as much as a prediction.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
        exception_handlers={HTTPException: http_error, Exception: internal_error},
    )
    application.state.settings = settings
    prediction = prediction_routes(store, metrics)
    operation = operation_routes(store, metrics, settings)
    application.include_router(prediction)
    application.include_router(operation)
    application.add_middleware(
        Gateway,
        metrics=metrics,
        paths=frozenset(
            route.path
            for route in prediction.routes + operation.routes
            if isinstance(route, APIRoute)
        ),
        max_body_bytes=settings.max_body_bytes,
    )
    return application


def prediction_routes(store: ModelStore, metrics: Metrics) -> APIRouter:
    """Return POST /predict and POST /predict/batch."""
    router = APIRouter(route_class=JsonRoute, tags=["prediction"], responses=BODY_RESPONSES)

    def loaded() -> Models:
        if store.models is None:
            raise HTTPException(
                503, "no model is loaded yet: see /health/ready", headers={"Retry-After": "5"}
            )
        return store.models

    @router.post("/predict", response_model=Prediction, summary="Predict one interval")
    def predict(features: MeterFeatures) -> Prediction:
        models = loaded()
        units, probability = models.predict([vars(features)])
        metrics.predicted("single", units, probability)
        return Prediction.model_construct(
            units_kwh=units[0],
            high_consumption_probability=probability[0],
            model_version=models.regression.version,
            high_consumption_model_version=models.high_consumption.version,
        )

    @router.post("/predict/batch", response_model=BatchPrediction, summary="Predict many intervals")
    def predict_batch(batch: BatchRequest) -> BatchPrediction:
        models = loaded()
        units, probability = models.predict([vars(item) for item in batch.items])
        metrics.predicted("batch", units, probability)
        return BatchPrediction.model_construct(
            predictions=[
                Values.model_construct(units_kwh=kwh, high_consumption_probability=share)
                for kwh, share in zip(units, probability, strict=True)
            ],
            model_version=models.regression.version,
            high_consumption_model_version=models.high_consumption.version,
        )

    return router


def operation_routes(store: ModelStore, metrics: Metrics, settings: Settings) -> APIRouter:
    """Return the endpoints for proxies, deployers and Prometheus."""
    router = APIRouter(tags=["operation"])
    probe = (
        DatabaseProbe(settings.database_url, settings.database_timeout)
        if settings.database_url
        else None
    )

    @router.get("/health/live", summary="The process answers")
    async def live() -> Live:
        return Live()

    @router.get(
        "/health/ready",
        response_model=Ready,
        responses={503: {"model": Ready, "description": "Not ready; reasons says why."}},
        summary="Models are loaded, and the database, if there is one, has answered",
    )
    async def ready() -> Response:
        reasons = store.reasons
        lacking = bool(reasons)
        if probe is not None and (why := await probe.reason()):
            reasons.append(why)
            # Predictions need no database. One that was there and is away must not take every
            # server out of service at once; a release that can't log in is never ready.
            lacking = lacking or not probe.answered
        state = Ready(status="not ready" if lacking else "ready", reasons=reasons)
        return JSONResponse(state.model_dump(), status_code=503 if lacking else 200)

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        summary="For Prometheus",
    )
    async def scrape() -> Response:
        return Response(metrics.render(), headers={"Content-Type": METRICS_TYPE})

    @router.get("/version", summary="What is running")
    async def version() -> Version:
        versions = store.versions
        return Version(
            git_sha=settings.git_sha,
            image_digest=settings.image_digest,
            model_version=versions.get(REGRESSION_MODEL),
            high_consumption_model_version=versions.get(HIGH_CONSUMPTION_MODEL),
        )

    return router


app = create_app()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered first."""
    parser = argparse.ArgumentParser(prog="python -m api.server", description=DESCRIPTION)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--keep-alive", type=int, default=KEEP_ALIVE_SECONDS, metavar="SECONDS")
    parser.add_argument("--drain", type=int, default=DRAIN_SECONDS, metavar="SECONDS")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING"])
    given = parser.parse_args(arguments)
    options: dict[str, Any] = {
        "host": given.host,
        "port": given.port,
        "timeout_keep_alive": given.keep_alive,
        "timeout_graceful_shutdown": given.drain,
        "log_config": log_config(given.log_level),
        "access_log": False,
        "server_header": False,
        "ws": "none",
    }
    # uvicorn sends the signal that ended it once more. Whoever stops a server wants to see 0.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    uvicorn.run(app, **options)


if __name__ == "__main__":
    main()
