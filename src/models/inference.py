"""Loading the model in service, and predicting with it.

Imports numpy and onnxruntime only; MLflow is imported when a champion has to be fetched from the
registry, which the serving image, having its champions baked in, never does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.features import FEATURES, request_vector
from models.answers import ANSWERS_FILE, known_answers
from models.artifact import (
    CLASSIFICATION,
    MODEL_NAMES,
    REGRESSION_MODEL,
    ModelArtifact,
    ModelError,
    ModelMetadata,
)

FloatArray = npt.NDArray[np.float32]


class Predictor:
    """A loaded model, safe to share between threads."""

    def __init__(self, artifact: ModelArtifact) -> None:
        """Verifies the artifact; raises ModelError when it does not fit this code."""
        self._session = artifact.check()
        self._metadata = artifact.metadata
        self._input: str = self._session.get_inputs()[0].name
        self._probability = artifact.metadata.kind == CLASSIFICATION

    @property
    def metadata(self) -> ModelMetadata:
        """What is known about the model."""
        return self._metadata

    @property
    def version(self) -> str:
        """The model's version."""
        return self._metadata.version

    def predict(self, matrix: npt.ArrayLike) -> FloatArray:
        """Predict rows of shape (n, features) in the order of FEATURES, NaN for missing.

        Returns float32 of shape (n,): kWh of the next interval, never below 0 since a meter does
        not run backwards, or the probability that it is one of high consumption. Raises
        ValueError for another shape.
        """
        rows = np.ascontiguousarray(matrix, np.float32)
        if rows.ndim != 2 or rows.shape[1] != len(FEATURES):
            raise ValueError(f"predict needs rows of {len(FEATURES)} features, got {rows.shape}")
        output: FloatArray = self._session.run(None, {self._input: rows})[0]
        return output[:, 1] if self._probability else np.maximum(output[:, 0], np.float32(0))

    def predict_one(self, fields: Mapping[str, float | None]) -> float:
        """Predict one request: the twelve required fields, any of the optional ones."""
        return float(self.predict(request_vector(fields)[np.newaxis])[0])


def load_latest_model(name: str = REGRESSION_MODEL) -> Predictor:
    """The model in service: from `<MODEL_DIR>/<name>/` if MODEL_DIR is set, else the champion.

    Raises ModelError when there is none, or it does not fit or is damaged; RegistryError when the
    registry cannot be reached.
    """
    if name not in MODEL_NAMES:
        raise ModelError(f"load model: no model {name!r}, there are {', '.join(MODEL_NAMES)}")
    baked = os.environ.get("MODEL_DIR")
    artifact = ModelArtifact.read(Path(baked) / name) if baked else _champion(name)
    if artifact.metadata.name != name:
        raise ModelError(
            f"load model {name}: the artifact holds {artifact.metadata.name}: export it again"
        )
    return Predictor(artifact)


def export_champions(target: Path) -> dict[str, str]:
    """Write every champion as `<target>/<name>/`, the layout of MODEL_DIR; versions by name.

    Beside them, `answers.json` has what they say to some requests: see `models.answers`. Both are
    fetched and verified before anything is written. Raises ModelError when a champion is missing
    or does not fit, RegistryError when the registry cannot be reached.
    """
    artifacts = {name: _champion(name) for name in MODEL_NAMES}
    answers = known_answers({name: Predictor(artifact) for name, artifact in artifacts.items()})
    for name, artifact in artifacts.items():
        artifact.save(target / name)
    (target / ANSWERS_FILE).write_text(answers, encoding="utf-8")
    return {name: artifact.metadata.version for name, artifact in artifacts.items()}


def _champion(name: str) -> ModelArtifact:
    # pylint: disable-next=import-outside-toplevel  # MLflow is not in the serving image
    from models.registry import Registry

    champion = Registry().champion(name)
    if champion is None:
        raise ModelError(
            f"load model {name}: no champion is registered: run `python -m models.train`, "
            "or set MODEL_DIR to a folder of exported champions"
        )
    return champion.artifact
