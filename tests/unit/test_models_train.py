"""The decision, the table, the commands and where a model comes from, without a registry."""

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.readings import ReadingError
from models import report, train
from models.provenance import created_at, git_sha
from models.results import TrainingResult, format_results
from models.train import decide

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("model", "baseline", "champion", "objection"),
    [
        pytest.param(1.0, 2.0, None, None, id="beats-baseline"),
        pytest.param(1.0, 2.0, 1.5, None, id="beats-both"),
        pytest.param(2.0, 2.0, None, "the baseline's 2", id="equals-baseline"),
        pytest.param(3.0, 2.0, None, "the baseline's 2", id="below-baseline"),
        pytest.param(1.0, 2.0, 1.0, "the champion's 1", id="equals-champion"),
        pytest.param(1.5, 2.0, 1.0, "the champion's 1", id="below-champion"),
        pytest.param(3.0, 2.0, 4.0, "the baseline's 2", id="champion-is-worse-still"),
        pytest.param(math.nan, 2.0, None, "nan does not beat", id="no-number"),
        pytest.param(1.0, 2.0, math.nan, None, id="champion-no-number"),
        pytest.param(1.0, math.nan, None, "the baseline's nan", id="baseline-no-number"),
    ],
)
def test_champion_must_beat_both(model, baseline, champion, objection) -> None:
    rivals = ({"mae": baseline}, None if champion is None else {"mae": champion})
    found = decide("mae", {"mae": model}, *rivals)
    assert found is None if objection is None else objection in found


def result(**changes: object) -> TrainingResult:
    values = {
        "model": "meter-regression",
        "score": "mae",
        "metrics": {"mae": 0.5, "rmse": 1.0, "r2": 0.9},
        "twelve_metrics": {"mae": 0.6, "rmse": 1.2, "r2": 0.8},
        "baseline": "seasonal naive",
        "baseline_metrics": {"mae": 2.0, "rmse": 123456.7, "r2": 0.1},
        "champion_metrics": None,
        "last_interval_metrics": {"mae": 0.7, "rmse": 1.4, "r2": 0.7},
        "registered": True,
        "reason": "it is good",
        "version": "v1",
        "run_id": "r",
        "artifact_uri": "u",
        "train_rows": 80,
        "test_rows": 20,
    }
    return TrainingResult(**{**values, **changes})


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_table_shows_model_baseline_and_gain() -> None:
    lines = format_results([("steel", result())]).splitlines()
    assert len({len(line) for line in lines}) == 1, "columns are aligned"
    assert cells(lines[2]) == [
        "steel",
        "meter-regression (80+20 rows)",
        "MAE, kWh",
        "0.5",
        "0.6",
        "2 seasonal naive",
        "75.0%",
        "0.7",
        "-",
        "champion",
    ]
    assert cells(lines[3])[2:7] == ["RMSE, kWh", "1", "1.2", "123457", "100.0%"]
    assert cells(lines[4])[2:7] == ["R²", "0.9", "0.8", "0.1", ""], "a ratio has no gain"


def test_table_shows_the_champion_that_was_not_beaten() -> None:
    rejected = result(registered=False, champion_metrics={"mae": 0.4}, last_interval_metrics=None)
    lines = format_results([("steel", rejected)]).splitlines()
    assert cells(lines[2])[7:] == ["-", "0.4", "rejected"]
    assert cells(lines[3])[7:] == ["-", "-", ""]


def test_baseline_without_error_has_no_gain() -> None:
    lines = format_results([("x", result(baseline_metrics={"mae": 0.0}))]).splitlines()
    assert cells(lines[2])[6] == ""


def test_report_says_what_was_decided_and_why() -> None:
    rejected = result(registered=False, reason="it is bad")
    text = report.format_report([("steel", result()), ("vic", rejected)], 12.3)
    assert "- steel, meter-regression v1: champion: it is good" in text
    assert "- vic, meter-regression v1: rejected: it is bad" in text
    assert "12 s, training and registration of all 2 models" in text
    assert "scikit-learn 1." in text


def test_report_needs_every_real_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("METER_DATA_DIR", raising=False)
    assert report.main([]) == 2
    assert "METER_DATA_DIR is not set" in capsys.readouterr().err
    monkeypatch.setenv("METER_DATA_DIR", str(tmp_path))
    (tmp_path / "steel_industry.csv").touch()
    with pytest.raises(ReadingError, match="household_power.csv is missing"):
        report.real_files()
    for name in report.REAL_SETS.values():
        (tmp_path / name).touch()
    assert report.real_files() == {k: tmp_path / v for k, v in report.REAL_SETS.items()}


def test_report_is_printed_and_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def train_both(*arguments: object) -> list:
        asked.append(arguments)
        return [("sample", result())]

    monkeypatch.setattr(report, "train_both", train_both)
    output = tmp_path / "new" / "training.md"
    assert report.main(["--sample-only", "--output", str(output)]) == 0
    assert asked == [("sample", None, None)]
    assert output.read_text("utf-8") == capsys.readouterr().out


@pytest.mark.parametrize("command", [train.main, report.main], ids=["train", "report"])
def test_unreachable_registry_is_exit_code_3(
    command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("models.registry.PATIENCE", 0.1)
    options = ["--sample-only", "--tracking-uri", "http://127.0.0.1:9"]
    assert command([] if command is train.main else options) == 3
    assert "reach MLflow at http://127.0.0.1:9" in capsys.readouterr().err


def test_bad_file_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--data", "nowhere.csv"]) == 2
    assert "nowhere.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("choice", "trained"),
    [
        pytest.param([], ["regression", "classification"], id="default"),
        pytest.param(["--model", "all"], ["regression", "classification"], id="all"),
        pytest.param(["--model", "classification"], ["classification"], id="one"),
    ],
)
def test_command_trains_what_is_asked(monkeypatch, capsys, choice, trained) -> None:
    asked = []
    fakes = {
        name: lambda readings, name=name: asked.append(name) or result(model=name)
        for name in train.TRAINERS
    }
    monkeypatch.setattr(train, "TRAINERS", fakes)
    assert train.main(choice) == 0
    assert asked == trained
    printed = capsys.readouterr().out
    assert all(name in printed for name in ["sample", *trained])


def repository(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        pytest.param(
            {".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": SHA + "\n"},
            SHA,
            id="branch",
        ),
        pytest.param({".git/HEAD": SHA + "\n"}, SHA, id="detached"),
        pytest.param(
            {
                ".git/HEAD": "ref: refs/heads/main\n",
                ".git/packed-refs": f"# pack-refs\n{'f' * 40} refs/heads/old\n"
                f"{SHA} refs/heads/main\n",
            },
            SHA,
            id="packed",
        ),
        pytest.param(
            {".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": ""}, "unknown", id="unborn"
        ),
        pytest.param(
            {
                ".git": "gitdir: main.git/worktrees/side\n",
                "main.git/worktrees/side/HEAD": "ref: refs/heads/side\n",
                "main.git/worktrees/side/commondir": "../..\n",
                "main.git/refs/heads/side": SHA,
            },
            SHA,
            id="worktree",
        ),
        pytest.param({}, "unknown", id="no-git"),
    ],
)
def test_commit_is_read_from_the_checkout(monkeypatch, tmp_path: Path, files, wanted) -> None:
    monkeypatch.delenv("GIT_SHA", raising=False)
    assert git_sha(repository(tmp_path, files)) == wanted


def test_told_commit_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_SHA", SHA)
    assert git_sha(repository(tmp_path, {".git/HEAD": "f" * 40})) == SHA
    assert git_sha(tmp_path / "nowhere") == SHA


def test_created_now_without_an_epoch(monkeypatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    before = datetime.now(UTC)
    assert before <= created_at() <= datetime.now(UTC)


def test_created_when_the_epoch_says(monkeypatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert created_at() == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize("epoch", ["yesterday", "1.5", "9" * 30])
def test_epoch_that_is_no_time(monkeypatch, epoch: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(ValueError, match="SOURCE_DATE_EPOCH is"):
        created_at()
