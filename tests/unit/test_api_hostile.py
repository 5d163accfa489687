"""Bodies that are no request: each gets a 4xx that names the place, never a 5xx."""

import json

import pytest

from api.schemas import EXAMPLE
from api.settings import MAX_BODY_BYTES
from api_support import EXAMPLE_BYTES, JSON, call, make_app, post


@pytest.fixture(name="app", scope="module")
def fixture_app():
    return make_app()


def with_voltage(text: bytes) -> bytes:
    return EXAMPLE_BYTES.replace(b'"voltage": 220.5', b'"voltage": ' + text)


@pytest.mark.parametrize(
    ("body", "where", "error"),
    [
        pytest.param(b"", ["body"], "json_invalid", id="empty"),
        pytest.param(b"null", ["body"], "model_type", id="null"),
        pytest.param(b"[]", ["body"], "model_type", id="list"),
        pytest.param(b"{}x", ["body"], "json_invalid", id="trailing text"),
        pytest.param(EXAMPLE_BYTES[:-1], ["body"], "json_invalid", id="cut off"),
        pytest.param(b"\xef\xbb\xbf" + EXAMPLE_BYTES, ["body"], "json_invalid", id="BOM"),
        pytest.param(json.dumps(EXAMPLE).encode("utf-16"), ["body"], "json_invalid", id="UTF-16"),
        pytest.param(b'{"\xff": 1}', ["body"], "json_invalid", id="invalid UTF-8"),
        pytest.param(rb'{"\ud800": 1}', ["body"], "json_invalid", id="lone surrogate"),
        pytest.param(b"[" * 100_000, ["body"], "json_invalid", id="deep lists"),
        pytest.param(b'{"a":' * 100_000, ["body"], "json_invalid", id="deep objects"),
        pytest.param(b"\x00" * 100, ["body"], "json_invalid", id="NUL bytes"),
        pytest.param(with_voltage(b"NaN"), ["body", "voltage"], "finite_number", id="NaN"),
        pytest.param(with_voltage(b"Infinity"), ["body", "voltage"], "finite_number", id="inf"),
        pytest.param(with_voltage(b"-Infinity"), ["body", "voltage"], "finite_number", id="-inf"),
        pytest.param(with_voltage(b"1e999"), ["body", "voltage"], "finite_number", id="1e999"),
        pytest.param(
            with_voltage(b"9" * 400), ["body", "voltage"], "finite_number", id="400 digits"
        ),
        pytest.param(with_voltage(b"9" * 9000), ["body"], "json_invalid", id="9000 digits"),
        pytest.param(with_voltage(b"0220.5"), ["body"], "json_invalid", id="leading zero"),
        pytest.param(with_voltage(b"0x1"), ["body"], "json_invalid", id="hexadecimal"),
        pytest.param(with_voltage(b"'220'"), ["body"], "json_invalid", id="single quotes"),
        pytest.param(with_voltage(b"{}"), ["body", "voltage"], "float_type", id="object"),
    ],
)
def test_hostile_body_is_a_422(app, body: bytes, where: list[str], error: str) -> None:
    response = post(app, body)
    assert response.status_code == 422
    assert [(found["loc"], found["type"]) for found in response.json()["detail"]] == [
        (where, error)
    ]
    assert len(response.content) < 1000


def test_what_was_sent_is_not_echoed(app) -> None:
    response = post(app, with_voltage(b'"a-secret-value"'))
    assert response.status_code == 422 and b"a-secret-value" not in response.content


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param("application/json", id="plain"),
        pytest.param("Application/JSON; charset=utf-8", id="with parameter"),
    ],
)
def test_json_content_types(app, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    assert post(app, EXAMPLE_BYTES, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Content-Type": ""}, id="empty"),
        pytest.param({"Content-Type": "text/plain"}, id="text"),
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, id="form"),
        pytest.param({"Content-Type": "multipart/form-data; boundary=x"}, id="multipart"),
        pytest.param({"Content-Type": "application/jsonx"}, id="near miss"),
        pytest.param({**JSON, "Content-Encoding": "gzip"}, id="compressed"),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_other_content_is_a_415(app, headers: dict[str, str], path: str) -> None:
    response = post(app, EXAMPLE_BYTES, path, headers=headers)
    assert response.status_code == 415
    assert isinstance(response.json()["detail"], str)


def padded(size: int) -> bytes:
    """A valid request of exactly so many bytes."""
    return EXAMPLE_BYTES + b" " * (size - len(EXAMPLE_BYTES))


@pytest.mark.parametrize(
    ("size", "status"),
    [
        pytest.param(MAX_BODY_BYTES, 200, id="exactly 1 MB"),
        pytest.param(MAX_BODY_BYTES + 1, 413, id="one byte over"),
        pytest.param(3 * MAX_BODY_BYTES, 413, id="three times"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_body_is_bounded(app, size: int, status: int, chunked: bool) -> None:
    body = padded(size)

    async def chunks():
        for start in range(0, size, 65_536):
            yield body[start : start + 65_536]

    content = chunks() if chunked else body
    response = call(app, "POST", "/predict", content=content, headers=JSON)
    assert response.status_code == status
    if status == 413:
        assert "1000000 bytes" in response.json()["detail"]


@pytest.mark.parametrize("length", ["1000001", "9" * 30], ids=["just over", "thirty digits"])
def test_declared_length_is_refused_before_reading(app, length: str) -> None:
    async def unread():
        raise AssertionError("the body was read")
        yield b""  # pylint: disable=unreachable  # makes this a generator

    headers = {**JSON, "Content-Length": length}
    response = call(app, "POST", "/predict", content=unread(), headers=headers)
    assert response.status_code == 413


def test_limit_holds_for_every_path(app) -> None:
    assert call(app, "GET", "/version", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
