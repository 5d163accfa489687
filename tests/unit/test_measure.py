"""The measuring program times real work only: a wrong answer, or one to nothing, is refused."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from model_support import REQUEST, make_artifact
from models.artifact import CLASSIFICATION, HIGH_CONSUMPTION_MODEL, REGRESSION, REGRESSION_MODEL

KINDS = {REGRESSION_MODEL: REGRESSION, HIGH_CONSUMPTION_MODEL: CLASSIFICATION}
PROGRAM = Path(__file__).parents[1] / "benchmarks" / "measure.py"


@pytest.fixture(name="measure")
def _measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name, kind in KINDS.items():
        make_artifact(kind).save(tmp_path / "models" / name)
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "models"))
    spec = importlib.util.spec_from_file_location("measure", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.SECONDS = 0.02
    module.ROWS = 1000
    module.METERS = 4
    return module


def requests_file(folder: Path, requests: list[dict[str, float]]) -> str:
    path = folder / "requests.json"
    path.write_text(json.dumps(requests), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["load", "single", "batch", "features"])
def test_rounds_are_written(measure: ModuleType, tmp_path: Path, name: str) -> None:
    requests = requests_file(tmp_path, [{**REQUEST, "hour": hour} for hour in range(24)])
    output = tmp_path / "rounds.json"
    assert measure.main([name, "--requests", requests, str(output)]) == 0
    written = json.loads(output.read_text(encoding="utf-8"))
    assert (written["schema"], written["unit"]) == (1, "s")
    assert len(written["rounds"]) >= 2 and all(seconds > 0 for seconds in written["rounds"])


@pytest.mark.parametrize("name", ["single", "batch"])
def test_one_and_the_same_request_shows_nothing(
    measure: ModuleType, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = requests_file(tmp_path, [dict(REQUEST)] * 3)
    output = tmp_path / "rounds.json"
    assert measure.main([name, "--requests", requests, str(output)]) == 1
    assert "don't vary" in capsys.readouterr().err and not output.exists()


def test_a_model_that_does_not_read_its_request_is_found_out(measure: ModuleType) -> None:
    with pytest.raises(measure.WrongAnswerError, match="same prediction"):
        measure.varied([1.0, 1.0], [{"hour": 1}, {"hour": 2}])


def test_a_slow_action_gets_fewer_rounds(measure: ModuleType) -> None:
    measure.SECONDS = 0.0
    assert len(measure.clock(lambda: None, 500, lambda _answer: None)) == 2
