"""Values and secrets from the environment, or from the files that it names."""

from pathlib import Path

import pytest

from api.settings import Settings
from data import database
from data.environment import SettingError, database_address, setting

CANARY = "ca/na:ry@ %"


@pytest.fixture(name="secret")
def fixture_secret(tmp_path: Path) -> Path:
    path = tmp_path / "SECRET"
    path.write_text(f"{CANARY}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        pytest.param({}, None, id="unset"),
        pytest.param({"NAME": ""}, None, id="empty"),
        pytest.param({"NAME": "value"}, "value", id="value"),
        pytest.param({"NAME_FILE": ""}, None, id="no file"),
        pytest.param({"NAME": "value", "NAME_FILE": ""}, "value", id="value and no file"),
    ],
)
def test_setting_is_the_value(environment: dict[str, str], wanted: str | None) -> None:
    assert setting("NAME", environment) == wanted


def test_setting_is_the_content_of_its_file(secret: Path) -> None:
    assert setting("NAME", {"NAME_FILE": str(secret)}) == CANARY
    assert setting("NAME", {"NAME": "", "NAME_FILE": str(secret)}) == CANARY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"\n", "it is empty", id="empty"),
        pytest.param(b"\xff\xfe\xfd", "it is no text", id="not text"),
    ],
)
def test_file_without_a_value_is_an_error(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "SECRET"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match=f"read NAME_FILE, .*SECRET: {message}"):
        setting("NAME", {"NAME_FILE": str(path)})


def test_both_are_a_contradiction_that_names_no_value(secret: Path) -> None:
    with pytest.raises(SettingError, match="NAME and NAME_FILE are both set") as raised:
        setting("NAME", {"NAME": CANARY, "NAME_FILE": str(secret)})
    assert CANARY not in str(raised.value)


def test_address_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "URL"
    path.write_text("postgresql://u:p@h/d\n", encoding="utf-8")
    told = {"DATABASE_URL_FILE": str(path)}
    assert Settings.from_environment(told).database_url == "postgresql://u:p@h/d"
    assert database_address({}) is None


def test_password_of_a_file_reaches_every_reader(
    secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://meter@db:5433/meter?sslmode=require")
    monkeypatch.setenv("DATABASE_PASSWORD_FILE", str(secret))
    url = database.database_url()
    assert (url.username, url.password, url.host, url.port) == ("meter", CANARY, "db", 5433)
    assert dict(url.query) == {"sslmode": "require"}
    settings = Settings.from_environment()
    assert database.database_url(settings.database_url) == url
    assert CANARY not in repr(settings)


@pytest.mark.parametrize(
    "address", ["postgresql://db/meter", "postgresql://meter:other@db/meter", "postgresql://[/d"]
)
def test_password_without_a_place_is_an_error(secret: Path, address: str) -> None:
    told = {"DATABASE_URL": address, "DATABASE_PASSWORD_FILE": str(secret)}
    with pytest.raises(SettingError, match="DATABASE_") as raised:
        database_address(told)
    assert "other" not in str(raised.value) and CANARY not in str(raised.value)


def test_database_says_what_is_wrong_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL_FILE", "/nowhere/URL")
    with pytest.raises(database.DatabaseNotConfigured, match="read DATABASE_URL_FILE"):
        database.engine()
