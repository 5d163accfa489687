"""The estimators, what they are fitted to, and their export."""

from collections.abc import Callable

import numpy as np
import onnx
import pandas as pd
import pytest

from data.features import FEATURES, OPTIONAL, REQUIRED
from data.readings import ReadingError
from model_support import candidate, dataset_parts, fit_candidate
from models import candidate as candidates
from models import learning
from models.artifact import CLASSIFICATION, REGRESSION, ModelError, open_session
from models.export import export_model

OPTIONAL_COLUMNS = [FEATURES.index(name) for name in OPTIONAL]


def test_twelve_only_hides_the_optional_features_and_nothing_else() -> None:
    matrix = np.arange(2 * len(FEATURES), dtype=np.float32).reshape(2, -1)
    found = learning.twelve_only(matrix)
    assert np.isnan(found[:, OPTIONAL_COLUMNS]).all()
    kept = [index for index in range(len(FEATURES)) if index not in OPTIONAL_COLUMNS]
    np.testing.assert_array_equal(found[:, kept], matrix[:, kept])
    assert not np.isnan(matrix).any(), "the argument was changed"
    assert len(kept) == len(REQUIRED) + 1


def test_doubled_rows_are_all_features_then_the_twelve() -> None:
    matrix = np.ones((3, len(FEATURES)), np.float32)
    found = learning.doubled(matrix)
    np.testing.assert_array_equal(found[:3], matrix)
    np.testing.assert_array_equal(found[3:], learning.twelve_only(matrix))


def test_threshold_is_the_quantile_of_each_meter() -> None:
    meters = pd.Series(["a"] * 11 + ["b"] * 11, dtype="string")
    target = np.concatenate([np.arange(11.0), 100 * np.arange(11.0)])
    assert learning.high_thresholds(meters, target) == {"a": 8.0, "b": 800.0}


def test_high_is_above_the_own_threshold_only() -> None:
    meters = pd.Series(["a", "a", "b", "b", "new"], dtype="string")
    target = np.array([1.0, 1.1, 1.1, 10.1, 99.0])
    high, known = learning.is_high(meters, target, {"a": 1.0, "b": 10.0})
    assert high.tolist() == [False, True, False, True, False]
    assert known.tolist() == [True, True, True, True, False]


@pytest.mark.parametrize("kind", [REGRESSION, CLASSIFICATION])
def test_fitting_twice_gives_the_same_model(kind: str) -> None:
    twins = [candidate(kind), fit_candidate(kind)]
    rows = learning.doubled(dataset_parts()[1].X)
    answers = [open_session(made.model, "twin").run(None, {"X": rows})[0] for made in twins]
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("kind", [REGRESSION, CLASSIFICATION])
def test_feature_that_training_lacked_moves_nothing(kind: str) -> None:
    """frequency_hz is missing in all training rows, so its value says nothing."""
    rows = candidate(kind).test.X[:20].copy()
    session = open_session(candidate(kind).model, kind)
    before = session.run(None, {"X": rows})[0]
    assert np.isnan(rows[:, FEATURES.index("frequency_hz")]).all()
    rows[:, FEATURES.index("frequency_hz")] = 50.0
    np.testing.assert_array_equal(session.run(None, {"X": rows})[0], before)


@pytest.mark.parametrize("kind", [REGRESSION, CLASSIFICATION])
def test_rounding_of_load_intensity_moves_nothing(kind: str) -> None:
    """Here load_kw is units per hour, so all that varies in load_intensity is rounding."""
    rows = candidate(kind).test.X[:20].copy()
    session = open_session(candidate(kind).model, kind)
    before = session.run(None, {"X": rows})[0]
    rows[:, FEATURES.index("load_intensity")] += 0.001
    np.testing.assert_array_equal(session.run(None, {"X": rows})[0], before)


@pytest.mark.parametrize("kind", [REGRESSION, CLASSIFICATION])
def test_twelve_fields_are_nearly_as_good(kind: str) -> None:
    made = candidate(kind)
    session = open_session(made.model, kind)

    def score(rows: np.ndarray) -> float:
        return made.measure(session.run(None, {"X": rows})[0][:, -1])[made.score]

    twelve = score(learning.twelve_only(made.test.X))
    assert twelve < made.baseline_metrics[made.score]
    assert twelve < 1.5 * score(made.test.X)


def test_peak_hour_is_learned_as_an_hour_of_its_own() -> None:
    """The readings peak at 19 h: no straight line over the hours tells 19 from 18 and 20."""
    made = candidate(CLASSIFICATION)
    rows = np.repeat(made.test.X[:1], 24, axis=0)
    rows[:, FEATURES.index("hour")] = np.arange(24)
    probability = open_session(made.model, "hours").run(None, {"X": rows})[0][:, 1]
    assert probability[19] > probability[18] and probability[19] > probability[20]


@pytest.mark.parametrize("kind", [REGRESSION, CLASSIFICATION])
def test_graph_that_predicts_otherwise_is_not_exported(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    train, test = dataset_parts()
    monkeypatch.setitem(learning.REGRESSION_PARAMS, "max_iter", 5)  # how good it is says nothing
    if kind == REGRESSION:
        model = learning.fit_regression(train.X, train.y)
        honest = model.predict
        model.predict = lambda rows: honest(rows) + 0.1
    else:
        model = learning.fit_classification(train.X, train.y > 2)
        honest = model.predict_proba
        model.predict_proba = lambda rows: honest(rows)[:, ::-1]
    with pytest.raises(ModelError, match="ONNX differs from scikit-learn"):
        export_model(model, kind, test.X)


def test_graph_holds_nothing_in_an_order_of_the_process() -> None:
    """Another process has another hash seed; the same training must give the same bytes there."""
    graph = onnx.load_from_string(candidate(CLASSIFICATION).model)
    domains = [opset.domain for opset in graph.opset_import]
    assert len(domains) > 1 and domains == sorted(domains)


def test_neighbouring_single_precision_values_keep_their_side() -> None:
    """A split between two neighbouring float32 values, whose middle rounds to the upper one."""
    low = np.float32(1.0) + np.float32(2**-23)
    high = np.nextafter(low, np.float32(2))
    matrix = np.zeros((400, len(FEATURES)), np.float32)
    matrix[:, FEATURES.index("voltage")] = np.where(np.arange(400) % 2, high, low)
    target = np.where(np.arange(400) % 2, 10.0, 1.0)
    model = learning.fit_regression(matrix, target)
    graph = export_model(model, REGRESSION, matrix)
    answer = open_session(graph, "split").run(None, {"X": matrix})[0][:, 0]
    assert answer == pytest.approx(target, abs=0.1)


def test_rows_of_a_meter_without_threshold_are_not_judged() -> None:
    train, test = dataset_parts()
    known = test.meta["meter_id"] == "MTR-0"
    meta = test.meta.assign(meter_id=test.meta["meter_id"].where(known, "newcomer"))
    made = candidates.fit_classification_candidate(train, type(test)(test.X, test.y, meta))
    assert len(made.test) == known.sum()
    assert set(made.thresholds) == {"MTR-0", "MTR-1"}


@pytest.mark.parametrize(
    ("fit", "change", "message"),
    [
        pytest.param(
            candidates.fit_classification_candidate,
            lambda train, test: (train, test.take(np.zeros(len(test), bool))),
            "no meter of the last fifth",
            id="only-new-meters",
        ),
        pytest.param(
            candidates.fit_classification_candidate,
            lambda train, test: (type(train)(train.X, train.y * 0, train.meta), test),
            "both kinds are needed",
            id="constant-consumption",
        ),
        pytest.param(
            candidates.fit_regression_candidate,
            lambda train, test: (
                type(train)(learning.twelve_only(train.X), train.y, train.meta),
                test,
            ),
            "give more days",
            id="no-season",
        ),
    ],
)
def test_too_little_to_learn_from_is_a_clear_error(
    fit: Callable, change: Callable, message: str
) -> None:
    with pytest.raises(ReadingError, match=message):
        fit(*change(*dataset_parts()))


def test_parts_are_in_the_order_of_time() -> None:
    train, test = dataset_parts()
    assert train.meta["reading_date"].max() < test.meta["reading_date"].min()
