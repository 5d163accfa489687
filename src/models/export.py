"""From a fitted scikit-learn model to an ONNX graph that provably predicts the same."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from skl2onnx import to_onnx  # type: ignore[import-untyped]  # no types
from skl2onnx.helpers import onnx_helper  # type: ignore[import-untyped]  # no types
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # no types

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
    with warnings.catch_warnings():
        # skl2onnx 1.20 writes booleans as integers, which protobuf before 7 still takes.
        warnings.filterwarnings("ignore", message="Field onnx.AttributeProto.ints: Expected an int")
        graph = to_onnx(_with_single_thresholds(model), sample, options=options, target_opset=OPSET)
    if kind == CLASSIFICATION:
        graph = onnx_helper.select_model_inputs_outputs(graph, ["probabilities"])
    # skl2onnx keeps them in a set, whose order changes from process to process, as would the bytes.
    graph.opset_import.sort(key=lambda opset: opset.domain)
    content: bytes = graph.SerializeToString(deterministic=True)
    _check_parity(model, content, kind, rows)
    return content


def _with_single_thresholds(model: Any) -> Any:
    """A copy of gradient-boosted trees whose thresholds are float32; other models as they are.

    The graph holds float32 thresholds. Rounded to nearest, one between two neighbouring float32
    values may land on the upper one and send it the other way; rounded down, every float32 value
    goes where it went.
    """
    if not hasattr(model, "_predictors"):
        return model
    result = copy.deepcopy(model)
    for trees in result._predictors:  # pylint: disable=protected-access  # as skl2onnx reads it
        for tree in trees:
            exact = tree.nodes["num_threshold"]
            single = exact.astype(np.float32)
            above = single > exact
            single[above] = np.nextafter(single[above], np.float32(-np.inf))
            tree.nodes["num_threshold"] = single
    return result


def _check_parity(model: Any, content: bytes, kind: str, rows: npt.NDArray[np.float32]) -> None:
    with threadpool_limits(1, user_api="openmp"):  # as in fitting
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
