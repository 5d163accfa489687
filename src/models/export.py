"""From a fitted scikit-learn model to an ONNX graph that provably predicts the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from skl2onnx import to_onnx  # type: ignore[import-untyped]  # no types
from skl2onnx.helpers.onnx_helper import (
    select_model_inputs_outputs,  # type: ignore[import-untyped]  # no types
)

from data.features import FEATURES
from models.artifact import CLASSIFICATION, REGRESSION, ModelError, open_session

OPSET = 21
# Largest difference to scikit-learn, as a share of the predictions' own spread: the graph computes
# in float32, scikit-learn in float64.
TOLERANCE = 1e-3


def export_model(model: Any, kind: str, rows: npt.NDArray[np.float32]) -> bytes:
    """The ONNX graph of a fitted estimator, with one output (see `artifact.OUTPUT_COLUMNS`).

    `rows` of shape (n, features) are predicted by both; ModelError when the graph differs by more
    than TOLERANCE anywhere.
    """
    options = {"zipmap": False} if kind == CLASSIFICATION else None
    sample = np.zeros((1, len(FEATURES)), np.float32)
    graph = to_onnx(model, sample, options=options, target_opset=OPSET)
    if kind == CLASSIFICATION:
        graph = select_model_inputs_outputs(graph, ["probabilities"])
    content: bytes = graph.SerializeToString()
    _check_parity(model, content, kind, rows)
    return content


def _check_parity(model: Any, content: bytes, kind: str, rows: npt.NDArray[np.float32]) -> None:
    if kind == REGRESSION:
        wanted = model.predict(rows)
    else:
        wanted = model.predict_proba(rows)[:, 1]
    session = open_session(content, "exported")
    answer = session.run(None, {session.get_inputs()[0].name: rows})[0][:, -1]
    worst = float(np.abs(answer - wanted).max())
    allowed = TOLERANCE * max(float(np.ptp(wanted)), float(np.finfo(np.float32).tiny))
    if not worst <= allowed:
        raise ModelError(
            f"export model: ONNX differs from scikit-learn by {worst:g}, allowed is {allowed:g}: "
            "see whether skl2onnx supports this version of scikit-learn"
        )
