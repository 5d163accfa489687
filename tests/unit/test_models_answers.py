"""Known answers: requests that the API takes, and that tell models apart."""

import json

import pytest

from api.schemas import MeterFeatures
from api_support import make_app, post
from data.features import OPTIONAL, REQUIRED
from model_support import make_artifact
from models.answers import ROWS, known_answers, requests
from models.artifact import CLASSIFICATION, REGRESSION
from models.inference import Predictor


@pytest.fixture(name="predictors", scope="module")
def fixture_predictors() -> dict[str, Predictor]:
    made = [Predictor(make_artifact(kind)) for kind in (REGRESSION, CLASSIFICATION)]
    return {predictor.metadata.name: predictor for predictor in made}


def test_answers_are_those_of_the_server(predictors: dict[str, Predictor]) -> None:
    from api.server import create_app
    from api.settings import Settings

    app = create_app(Settings(), predictors=predictors)
    answers = json.loads(known_answers(predictors))
    assert len(answers) == ROWS
    for answer in answers:
        came = post(app, answer["request"])
        assert came.status_code == 200, came.text
        for field in ("units_kwh", "high_consumption_probability"):
            assert came.json()[field] == answer[field]


def test_answers_are_the_same_bytes_each_time(predictors: dict[str, Predictor]) -> None:
    assert known_answers(predictors) == known_answers(predictors)
    assert known_answers(predictors).endswith("]\n")


def test_requests_are_diverse(predictors: dict[str, Predictor]) -> None:
    answers = json.loads(known_answers(predictors))
    assert len({json.dumps(answer["request"]) for answer in answers}) == ROWS
    assert len({answer["units_kwh"] for answer in answers}) >= ROWS // 2
    assert len({answer["high_consumption_probability"] for answer in answers}) >= ROWS // 2
    bodies = [answer["request"] for answer in answers]
    for flag, values in {"voltage_flag": 3, "pf_issue": 2, "high_temp": 2, "is_weekend": 2}.items():
        assert len({body[flag] for body in bodies}) == values
    assert {name in body for body in bodies for name in OPTIONAL} == {True, False}


def test_requests_need_no_baseline() -> None:
    for body in requests({}):
        assert set(body) == set(REQUIRED)
        MeterFeatures.model_validate(body)


def test_measurement_of_zero_stays_zero() -> None:
    assert {body["load_kw"] for body in requests({"load_kw": {"edges": [0.0]}})} == {0.0}


def test_another_model_answers_otherwise(predictors: dict[str, Predictor]) -> None:
    app = make_app()  # answers with two of the fields
    answers = json.loads(known_answers(predictors))
    came = [post(app, answer["request"]).json()["units_kwh"] for answer in answers]
    assert all(abs(a - b["units_kwh"]) > 1e-9 for a, b in zip(came, answers, strict=True))
