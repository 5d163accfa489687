"""The endpoints over HTTP semantics, with predictors that need no model."""

import asyncio
import json
import subprocess
import sys
import timeit

import numpy as np
import pytest
from prometheus_client import Histogram

from api.metrics import UNITS_BOUNDS, Distribution
from api.schemas import EXAMPLE, MAX_BATCH
from api.server import create_app, main
from api.settings import Settings
from api_support import JSON, ROOT, call, constant, drift_baseline, make_app, post, series
from data.features import LOAD_EPSILON

LAG = 10.5 * (2.5 + LOAD_EPSILON)


@pytest.fixture(name="app", scope="module")
def fixture_app():
    return make_app(Settings(git_sha="abc123", image_digest="sha256:77"))


def test_predict_answers_with_both_models(app) -> None:
    response = post(app, EXAMPLE)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "units_kwh": pytest.approx(LAG),
        "high_consumption_probability": pytest.approx(0.95),
        "model_version": "r7",
        "high_consumption_model_version": "c3",
    }


def test_optional_fields_reach_the_model_in_order() -> None:
    seen = []
    app = make_app(units=lambda matrix: seen.append(matrix) or np.zeros(len(matrix)))
    lags = {"units_lag_day": 1.5, "units_mean_week": 4.5}
    assert post(app, {**EXAMPLE, **lags}).status_code == 200
    wanted = [*EXAMPLE.values(), LAG, 1.5, np.nan, np.nan, 4.5]
    np.testing.assert_array_equal(seen, np.float32([[wanted]]))


@pytest.mark.parametrize("count", [1, 2, 7, MAX_BATCH])
def test_batch_keeps_the_order(app, count: int) -> None:
    items = [{**EXAMPLE, "load_intensity": float(i)} for i in range(count)]
    response = post(app, {"items": items}, "/predict/batch")
    assert response.status_code == 200
    answer = response.json()
    assert answer["model_version"] == "r7"
    assert answer["high_consumption_model_version"] == "c3"
    assert [p["units_kwh"] for p in answer["predictions"]] == pytest.approx(
        [i * (2.5 + LOAD_EPSILON) for i in range(count)]
    )
    assert [p["high_consumption_probability"] for p in answer["predictions"]] == pytest.approx(
        [0.95] * count
    )


def test_single_and_batch_agree(app) -> None:
    single = post(app, EXAMPLE).json()
    [batched] = post(app, {"items": [EXAMPLE]}, "/predict/batch").json()["predictions"]
    assert batched.items() <= single.items()


@pytest.mark.parametrize(
    ("units", "probability", "wanted"),
    [
        pytest.param(-3.0, 0.5, (0.0, 0.5), id="negative consumption"),
        pytest.param(2.0, -0.1, (2.0, 0.0), id="probability below 0"),
        pytest.param(2.0, 1.5, (2.0, 1.0), id="probability above 1"),
    ],
)
def test_predictions_stay_in_their_range(units, probability, wanted) -> None:
    app = make_app(units=constant(units), probability=constant(probability))
    answer = post(app, EXAMPLE).json()
    assert (answer["units_kwh"], answer["high_consumption_probability"]) == wanted


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(constant(float("nan")), id="NaN"),
        pytest.param(constant(float("inf")), id="infinity"),
        pytest.param(lambda matrix: np.zeros((len(matrix), 1)), id="wrong shape"),
        pytest.param(lambda matrix: 1 / 0, id="exception"),
    ],
)
@pytest.mark.parametrize("model", ["units", "probability"])
def test_broken_model_is_a_500_that_tells_nothing(broken, model: str) -> None:
    app = make_app(**{model: broken})
    response = post(app, EXAMPLE)
    assert response.status_code == 500
    assert response.json() == {
        "detail": "internal error: see the server's log for this request's id"
    }
    assert series(app, "http_errors_total") == {
        'http_errors_total{fault="server",route="/predict"}': 1
    }


def test_errors_name_every_bad_field(app) -> None:
    bad = {**EXAMPLE, "voltage": "high", "hour": 24, "is_weekend": 1}
    response = post(app, {"items": [EXAMPLE, bad]}, "/predict/batch")
    assert response.status_code == 422
    assert response.json()["errors"] == 3
    assert [tuple(error["loc"]) for error in response.json()["detail"]] == [
        ("body", "items", 1, "voltage"),
        ("body", "items", 1, "hour"),
        ("body", "items", 1, "is_weekend"),
    ]
    assert all(set(error) == {"loc", "msg", "type"} for error in response.json()["detail"])


def test_answer_to_a_thousand_errors_is_short(app) -> None:
    response = post(app, {f"{'x' * 300}{i}": 1 for i in range(2000)})
    assert response.status_code == 422
    assert response.json()["errors"] == 2012
    assert len(response.json()["detail"]) == 100
    assert len(response.content) < 30_000


def test_live_ready_and_version(app) -> None:
    assert call(app, "GET", "/health/live").json() == {"status": "live"}
    ready = call(app, "GET", "/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "reasons": []})
    assert call(app, "GET", "/version").json() == {
        "git_sha": "abc123",
        "image_digest": "sha256:77",
        "model_version": "r7",
        "high_consumption_model_version": "c3",
    }


def test_version_is_null_where_nothing_was_told() -> None:
    version = call(make_app(Settings()), "GET", "/version").json()
    assert version["git_sha"] is None and version["image_digest"] is None


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        pytest.param("GET", "/predict", 405, "POST", id="GET predict"),
        pytest.param("OPTIONS", "/predict", 405, "POST", id="OPTIONS"),
        pytest.param("HEAD", "/predict", 405, "POST", id="HEAD of a POST route"),
        pytest.param("POST", "/metrics", 405, "GET", id="POST metrics"),
        pytest.param("TRACE", "/health/live", 405, "GET", id="TRACE"),
        pytest.param("POST", "/predict/", 404, None, id="trailing slash"),
        pytest.param("GET", "/nothing", 404, None, id="unknown path"),
    ],
)
def test_methods_and_paths(app, method, path, status, allow) -> None:
    response = call(app, method, path)
    assert response.status_code == status
    assert response.headers.get("allow") == allow
    if method != "HEAD":
        assert isinstance(response.json()["detail"], str)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/version", "/metrics"])
def test_head_is_get_without_a_body(app, path: str) -> None:
    get, head = call(app, "GET", path), call(app, "HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":
        assert head.headers["content-length"] == str(len(get.content))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param("req-1.a_B", True, id="plausible"),
        pytest.param("x" * 64, True, id="longest"),
        pytest.param("x" * 65, False, id="too long"),
        pytest.param('a"b', False, id="quote"),
        pytest.param("a b", False, id="space"),
        pytest.param("", False, id="empty"),
    ],
)
def test_request_id(app, sent: str, kept: bool) -> None:
    answer = call(app, "GET", "/version", headers={"X-Request-ID": sent}).headers["x-request-id"]
    assert (answer == sent) is kept
    assert kept or len(answer) == 32


def test_metrics_count_requests_predictions_and_errors() -> None:
    app = make_app(Settings(git_sha="abc"))
    post(app, EXAMPLE)
    post(app, {"items": [EXAMPLE] * 5}, "/predict/batch")
    post(app, b"{")
    post(app, b"x" * 1_000_001)
    call(app, "BREW", "/predict")
    for name in ("/a", "/b"):
        call(app, "GET", name)
    assert series(app, "http_requests_total") == {
        'http_requests_total{method="POST",route="/predict",status="200"}': 1,
        'http_requests_total{method="POST",route="/predict/batch",status="200"}': 1,
        'http_requests_total{method="POST",route="/predict",status="422"}': 1,
        'http_requests_total{method="POST",route="/predict",status="413"}': 1,
        'http_requests_total{method="OTHER",route="/predict",status="405"}': 1,
        'http_requests_total{method="GET",route="unmatched",status="404"}': 2,
    }
    assert series(app, "predictions_total") == {
        'predictions_total{endpoint="single"}': 1,
        'predictions_total{endpoint="batch"}': 5,
    }
    assert series(app, "http_errors_total") == {
        'http_errors_total{fault="client",route="/predict"}': 3,
        'http_errors_total{fault="client",route="unmatched"}': 2,
    }
    histogram = 'http_request_duration_seconds_bucket{le="%s",method="POST",route="/predict"}'
    buckets = series(app, "http_request_duration_seconds_bucket")
    assert buckets[histogram % "+Inf"] == 3
    assert histogram % "0.015" in buckets and histogram % "0.1" in buckets
    assert series(app, "build_info") == {'build_info{git_sha="abc"}': 1}
    assert series(app, "model_info") == {
        'model_info{model="meter-regression",version="r7"}': 1,
        'model_info{model="meter-high-consumption",version="c3"}': 1,
    }
    assert series(app, "http_requests_in_flight") == {"http_requests_in_flight": 1}  # itself


def test_predictions_are_counted_by_their_value() -> None:
    app = make_app()
    values = [0.0, 1e-4, 0.1, 0.1000001, 999_999.0, 2e6]
    posted = post(app, {"items": [with_units(value) for value in values]}, "/predict/batch")
    assert posted.status_code == 200
    post(app, with_units(0.1))
    buckets = series(app, "prediction_units_kwh_bucket")
    assert len(buckets) == len(UNITS_BOUNDS) + 1 == 202

    def upto(bound: str) -> float:
        return buckets[f'prediction_units_kwh_bucket{{le="{bound}"}}']

    # Models take float32, in which 0.0001 lies below, and 0.1 above what they are here.
    assert (upto("0.0001"), upto("0.000112202"), upto("0.1")) == (2, 2, 2)
    assert (upto("0.112202"), upto("1e+06"), upto("+Inf")) == (5, 6, 7)
    assert series(app, "prediction_units_kwh_count") == {"prediction_units_kwh_count": 7}
    total = series(app, "prediction_units_kwh_sum")["prediction_units_kwh_sum"]
    assert total == pytest.approx(sum(values) + 0.1, rel=1e-6)


def test_probabilities_are_counted_by_their_value() -> None:
    app = make_app()
    for factor in (0.0, 0.02, 0.5, 0.95, 1.0):
        post(app, {**EXAMPLE, "power_factor": factor, "pf_issue": int(factor < 0.85)})
    buckets = series(app, "prediction_high_probability_bucket")
    assert len(buckets) == 51
    counts = [
        buckets[f'prediction_high_probability_bucket{{le="{le}"}}']
        for le in ("0.02", "0.04", "0.5", "0.94", "0.96", "1.0", "+Inf")
    ]
    assert counts == [2, 2, 3, 3, 4, 5, 5]


def test_buckets_are_those_that_the_library_would_count() -> None:
    library = Histogram("h", "", buckets=UNITS_BOUNDS, registry=None)
    ours = Distribution("h", "", UNITS_BOUNDS)
    random = np.random.default_rng(5)
    values = [*(10 ** random.uniform(-5, 7, 500)), *UNITS_BOUNDS, 0.0]
    for value in values:
        library.observe(value)
    ours.observe(values)
    theirs, mine = (
        {
            sample.labels["le"]: sample.value
            for metric in made.collect()
            for sample in metric.samples
            if sample.name == "h_bucket"
        }
        for made in (library, ours)
    )
    assert mine == theirs


def test_many_buckets_cost_an_observation_next_to_nothing() -> None:
    few, many = Distribution("a", "", UNITS_BOUNDS[:3]), Distribution("b", "", UNITS_BOUNDS)

    def seconds(made: Distribution) -> float:
        return min(timeit.repeat(lambda: made.observe((1e5,)), number=2000, repeat=5))

    assert seconds(many) < 5 * seconds(few), "the buckets are gone through one by one"


def test_requests_of_a_deploy_are_counted_apart() -> None:
    app = make_app()
    for marked in ("1", "0", ""):
        post(app, EXAMPLE, headers={**JSON, "X-Meter-Synthetic": marked})
    post(app, EXAMPLE)
    assert series(app, "http_requests_synthetic_total") == {"http_requests_synthetic_total": 1}


def with_units(kwh: float) -> dict[str, float]:
    """A request that the models of make_app answer with so many kWh."""
    return {**EXAMPLE, "load_kw": 1 - LOAD_EPSILON, "load_intensity": kwh}


def test_two_applications_share_no_metric() -> None:
    first, second = make_app(), make_app()
    post(first, EXAMPLE)
    assert series(second, "http_requests_total") == {}
    assert 'predictions_total{endpoint="single"}' in series(second, "predictions_total")


def test_drift_is_reported_for_each_feature() -> None:
    app = make_app(drift_baseline=drift_baseline())
    assert np.isnan(series(app, "input_drift_psi")['input_drift_psi{feature="voltage"}'])
    post(app, {"items": [EXAMPLE] * 500}, "/predict/batch")
    drift = series(app, "input_drift_psi")
    assert drift['input_drift_psi{feature="voltage"}'] > 0.25
    assert len(drift) == 17


def test_no_drift_without_a_baseline(app) -> None:
    assert series(app, "input_drift_psi") == {}


def test_openapi_documents_what_is_answered(app) -> None:
    paths = app.openapi()["paths"]
    assert set(paths) == {
        "/predict",
        "/predict/batch",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/version",
    }
    for path in ("/predict", "/predict/batch"):
        responses = paths[path]["post"]["responses"]
        assert set(responses) == {"200", "400", "408", "413", "415", "422", "500", "503"}
    assert set(paths["/health/ready"]["get"]["responses"]) == {"200", "503"}
    assert set(paths["/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}


def test_settings_come_from_the_environment() -> None:
    told = {"GIT_SHA": "a", "IMAGE_DIGEST": "b", "DATABASE_URL": "postgresql://u:secret@h/d"}
    settings = Settings.from_environment(told)
    assert (settings.git_sha, settings.image_digest) == ("a", "b")
    assert settings.database_url == told["DATABASE_URL"]
    assert "secret" not in repr(settings)
    empty = Settings.from_environment({"GIT_SHA": "", "DATABASE_URL": ""})
    assert empty == Settings()


def test_create_app_reads_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SHA", "from-environment")
    assert call(create_app(), "GET", "/version").json()["git_sha"] == "from-environment"


def test_serving_imports_no_training_library() -> None:
    code = (
        "import sys, api.server\n"
        "other = {'pandas', 'sklearn', 'mlflow', 'scipy', 'onnx', 'yaml', 'data.contract'}\n"
        "print(sorted(other & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_command_line_reaches_uvicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}
    monkeypatch.setattr("api.server.uvicorn.run", lambda app, **options: given.update(options))
    main([])
    assert (given["host"], given["port"]) == ("127.0.0.1", 8000)
    assert given["timeout_keep_alive"] == 75 and given["timeout_graceful_shutdown"] == 30
    main(["--host", "::1", "--port", "81", "--keep-alive", "5", "--drain", "3"])
    assert (given["host"], given["port"]) == ("::1", 81)
    assert given["timeout_keep_alive"] == 5 and given["timeout_graceful_shutdown"] == 3


def test_client_that_leaves_is_no_error() -> None:
    app = make_app()
    sent = []

    async def leave() -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/predict",
            "raw_path": b"/predict",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        messages = iter(
            [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
        )

        async def receive():
            return next(messages)

        async def send(message) -> None:
            sent.append(message)

        await app(scope, receive, send)

    asyncio.run(leave())
    assert sent == []
    assert series(app, "http_requests_total") == {
        'http_requests_total{method="POST",route="/predict",status="499"}': 1
    }


def test_body_that_does_not_arrive_is_a_408() -> None:
    app = make_app(Settings(body_timeout=0.05))

    async def slow():
        yield b"{"
        await asyncio.sleep(5)
        yield json.dumps(EXAMPLE).encode()

    response = call(app, "POST", "/predict", content=slow(), headers=JSON)
    assert response.status_code == 408
    assert response.headers["connection"] == "close"
