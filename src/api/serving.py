"""The two champion models behind the endpoints: loading them, and asking them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from data.features import FEATURES, request_matrix
from models.artifact import HIGH_CONSUMPTION_MODEL, MODEL_NAMES, REGRESSION_MODEL
from monitoring.drift import DriftBaseline, DriftMonitor

logger = logging.getLogger("api.serving")


class Metadata(Protocol):
    """What the service reads of a model's metadata."""

    @property
    def drift_baseline(self) -> Mapping[str, Any]:
        """The training distribution, as ``DriftBaseline.to_dict`` writes it; may be empty."""


class Predictor(Protocol):
    """What the service needs of a model; ``models.inference.Predictor`` is one."""

    @property
    def version(self) -> str:
        """The model's version."""

    @property
    def metadata(self) -> Metadata:
        """What is known about the model."""

    def predict(self, matrix: npt.ArrayLike, /) -> npt.NDArray[Any]:
        """Predict float32 rows of shape (n, 17) in the order of ``FEATURES``; shape (n,)."""


class PredictionError(RuntimeError):
    """A model answered with something that is no prediction."""


@dataclass(frozen=True)
class Models:
    """Both models and the drift monitor of their common input (None without a baseline)."""

    regression: Predictor
    high_consumption: Predictor
    drift: DriftMonitor | None

    @classmethod
    def of(cls, predictors: Mapping[str, Predictor]) -> Models:
        """Take both models of ``MODEL_NAMES``; drift is measured against the regression's data.

        Raises ValueError when the drift baseline is malformed.
        """
        regression = predictors[REGRESSION_MODEL]
        content = regression.metadata.drift_baseline
        baseline = DriftBaseline.from_dict(content, FEATURES) if content else None
        return cls(
            regression,
            predictors[HIGH_CONSUMPTION_MODEL],
            DriftMonitor(baseline) if baseline else None,
        )

    def predict(
        self, requests: Sequence[Mapping[str, float | None]]
    ) -> tuple[list[float], list[float]]:
        """Return (kWh, not negative; probability, 0 to 1) of each request, in order.

        Raises PredictionError when a model answers with another shape or a number that isn't
        finite: such an answer must not reach a client as a prediction.
        """
        matrix = request_matrix(requests)
        if self.drift is not None:
            self.drift.observe(matrix)
        units = _checked(self.regression, matrix)
        probability = _checked(self.high_consumption, matrix)
        kwh: list[float] = np.maximum(units, 0.0).tolist()
        shares: list[float] = np.clip(probability, 0.0, 1.0).tolist()
        return kwh, shares


def _checked(model: Predictor, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    values = np.asarray(model.predict(matrix), dtype=np.float64)
    if values.shape != (len(matrix),) or not np.isfinite(values).all():
        raise PredictionError(f"model {model.version} gave no finite prediction for each row")
    return values


class ModelStore:
    """Loads the models in the background and tries again until it has both.

    The server starts and is live whatever happens here; ``models`` is None and ``reasons`` says
    why until both are loaded. A daemon thread does it, so that a registry that hangs holds up
    neither requests nor the shutdown.
    """

    def __init__(self, load: Callable[[str], Predictor], retry_seconds: float) -> None:
        self._load = load
        self._retry_seconds = retry_seconds
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loaded: dict[str, Predictor] = {}
        self._reasons = {name: f"model {name} is not loaded yet" for name in MODEL_NAMES}
        self.models: Models | None = None

    @classmethod
    def holding(cls, predictors: Mapping[str, Predictor]) -> ModelStore:
        """Return a store that has its models already."""
        store = cls(predictors.__getitem__, retry_seconds=1.0)
        store.load_missing()
        return store

    @property
    def reasons(self) -> list[str]:
        """Why ``models`` is None, one sentence for each model; empty once it isn't."""
        return [] if self.models else list(self._reasons.values())

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the models that are loaded, by name."""
        return {name: model.version for name, model in self._loaded.items()}

    def start(self) -> None:
        """Begin loading, unless both are there or it has begun."""
        if self.models is None and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="model-loader", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop trying; an attempt under way is left behind."""
        self._stop.set()

    def load_missing(self) -> bool:
        """Try once to load what is missing; True when both models are there."""
        for name in MODEL_NAMES:
            if name not in self._loaded:
                self._attempt(name)
        if self.models is None and not self._reasons:
            try:
                self.models = Models.of(self._loaded)
            except ValueError as error:
                self._reasons[REGRESSION_MODEL] = f"model {REGRESSION_MODEL}: {error}"
                self._loaded.pop(REGRESSION_MODEL)
        return self.models is not None

    def _attempt(self, name: str) -> None:
        try:
            self._loaded = {**self._loaded, name: self._load(name)}
        # The service outlives whatever a loader raises, missing libraries included.
        except Exception as error:  # pylint: disable=broad-exception-caught
            reason = f"model {name}: {error}"
            if self._reasons.get(name) != reason:
                logger.warning("model not loaded, trying again", extra={"reason": reason})
            self._reasons = {**self._reasons, name: reason}
            return
        self._reasons = {key: why for key, why in self._reasons.items() if key != name}
        logger.info("model loaded", extra={"model": name, "version": self.versions[name]})

    def _run(self) -> None:
        while not self._stop.is_set() and not self.load_missing():
            self._stop.wait(self._retry_seconds)
