"""Serving: the artifact in MODEL_DIR becomes a predictor that needs little and answers fast."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.features import FEATURES, request_vector
from model_support import REQUEST, candidate, constant_graph, make_artifact, wrap
from models.artifact import CLASSIFICATION, REGRESSION, ModelError
from models.inference import Predictor, load_latest_model
from models.learning import twelve_only


@pytest.fixture(name="model_dir")
def _model_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    for kind in (REGRESSION, CLASSIFICATION):
        artifact = make_artifact(kind)
        artifact.save(tmp_path / artifact.metadata.name)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("meter-regression", REGRESSION, id="regression"),
        pytest.param("meter-high-consumption", CLASSIFICATION, id="classification"),
    ],
)
def test_model_is_loaded_from_model_dir(model_dir: Path, name: str, kind: str) -> None:
    predictor = load_latest_model(name)
    assert (predictor.metadata.name, predictor.metadata.kind) == (name, kind)
    assert predictor.version == "20250101T000000Z-test"


def test_regression_is_the_default(model_dir: Path) -> None:
    assert load_latest_model().metadata.name == "meter-regression"


@pytest.mark.parametrize(
    ("name", "prepare", "message"),
    [
        pytest.param("meter-moon", lambda folder: None, "no model 'meter-moon'", id="unknown"),
        pytest.param(
            "meter-regression",
            lambda folder: (folder / "meter-regression/metadata.json").unlink(),
            "train a model or export",
            id="missing",
        ),
        pytest.param(
            "meter-regression",
            lambda folder: make_artifact(CLASSIFICATION).save(folder / "meter-regression"),
            "holds meter-high-consumption",
            id="another-model",
        ),
    ],
)
def test_model_that_cannot_be_loaded_is_a_clear_error(
    model_dir: Path, name: str, prepare, message: str
) -> None:
    prepare(model_dir)
    with pytest.raises(ModelError, match=message):
        load_latest_model(name)


def test_model_dir_without_models_names_the_place(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="nowhere/meter-regression"):
        load_latest_model()


def test_prediction_answers_each_row_alone() -> None:
    predictor, rows = Predictor(make_artifact()), candidate().test.X[:50]
    together = predictor.predict(rows)
    assert together.shape == (50,) and together.dtype == np.float32
    one_by_one = [predictor.predict(row[np.newaxis])[0] for row in rows]
    np.testing.assert_array_equal(together, one_by_one)
    assert len(set(one_by_one)) > 10, "a model that answers the same to all learned nothing"


def test_no_row_is_answered_with_no_prediction() -> None:
    empty = np.empty((0, len(FEATURES)), np.float32)
    assert Predictor(make_artifact()).predict(empty).shape == (0,)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [pytest.param(-2.5, 0.0, id="negative"), pytest.param(2.5, 2.5, id="positive")],
)
def test_consumption_is_never_negative(answer: float, wanted: float) -> None:
    artifact = wrap(constant_graph(answer), "meter-regression", REGRESSION)
    rows = np.zeros((2, len(FEATURES)), np.float32)
    assert Predictor(artifact).predict(rows).tolist() == [wanted, wanted]


def test_probability_is_that_of_high_consumption() -> None:
    graph = constant_graph(0.8, 0.2)
    artifact = wrap(graph, "meter-high-consumption", CLASSIFICATION)
    rows = np.zeros((1, len(FEATURES)), np.float32)
    assert Predictor(artifact).predict(rows)[0] == np.float32(0.2)


def test_probabilities_rise_with_consumption() -> None:
    made = candidate(CLASSIFICATION)
    probability = Predictor(make_artifact(CLASSIFICATION)).predict(made.test.X)
    assert ((probability >= 0) & (probability <= 1)).all()
    assert np.corrcoef(probability, made.test.y)[0, 1] > 0.5


@pytest.mark.parametrize(
    "shape", [(17,), (2, 16), (2, 18), (1, 2, 17)], ids=["flat", "few", "many", "deep"]
)
def test_rows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="17 features"):
        Predictor(make_artifact()).predict(np.zeros(shape))


def test_request_of_twelve_fields_is_enough() -> None:
    predictor = Predictor(make_artifact())
    row = request_vector(REQUEST)[np.newaxis]
    np.testing.assert_array_equal(twelve_only(row), row)
    assert predictor.predict_one(REQUEST) == predictor.predict(row)[0]


def test_optional_fields_reach_the_model() -> None:
    predictor = Predictor(make_artifact())
    lags = {"units_lag_day": 0.1, "units_lag_week": 0.1, "units_mean_day": 0.1}
    assert predictor.predict_one({**REQUEST, **lags}) != predictor.predict_one(REQUEST)


def test_serving_imports_neither_training_library_nor_registry() -> None:
    code = (
        "import sys, models.inference, monitoring.drift\n"
        "heavy = {'sklearn', 'pandas', 'mlflow', 'onnx', 'skl2onnx', 'scipy', 'sqlalchemy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    source = Path(__file__).resolve().parents[2] / "src"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
