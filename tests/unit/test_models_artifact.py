"""The model file format: what is written is read back, and what does not fit is refused."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.features import FEATURES
from model_support import constant_graph, make_artifact, wrap
from models.artifact import (
    CLASSIFICATION,
    METADATA_FILE,
    MODEL_FILE,
    REGRESSION,
    IncompatibleModelError,
    ModelArtifact,
    ModelError,
    ModelMetadata,
)


@pytest.mark.parametrize("kind", [REGRESSION, CLASSIFICATION])
def test_saved_artifact_is_loaded_unchanged(tmp_path: Path, kind: str) -> None:
    artifact = make_artifact(kind)
    artifact.save(tmp_path / "model")
    loaded = ModelArtifact.load(tmp_path / "model")
    assert loaded == artifact
    assert sorted(entry.name for entry in (tmp_path / "model").iterdir()) == [
        METADATA_FILE,
        MODEL_FILE,
    ]


def test_metadata_hold_what_the_model_was_made_from() -> None:
    content = json.loads(make_artifact().metadata.to_json())
    assert content["features"] == list(FEATURES)
    for name in ("version", "git_sha", "data_hash", "scikit_learn", "schema_version", "thresholds"):
        assert content[name], name


def edit(folder: Path, **changes: object) -> None:
    content = json.loads((folder / METADATA_FILE).read_text())
    for name, value in changes.items():
        if value is ...:
            del content[name]
        else:
            content[name] = value
    (folder / METADATA_FILE).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        pytest.param({"schema_version": 2}, IncompatibleModelError, "schema version 2", id="newer"),
        pytest.param({"schema_version": ...}, IncompatibleModelError, "None", id="no-schema"),
        pytest.param(
            {"features": list(FEATURES[::-1])}, IncompatibleModelError, "another order", id="order"
        ),
        pytest.param(
            {"features": list(FEATURES[:-1]) + ["moon"]},
            IncompatibleModelError,
            r"without \['units_mean_week'\] and with unknown \['moon'\]",
            id="features",
        ),
        pytest.param({"model_sha256": "0" * 64}, ModelError, "damaged", id="checksum"),
        pytest.param({"kind": "oracle"}, ModelError, "unknown kind 'oracle'", id="kind"),
        pytest.param({"kind": CLASSIFICATION}, ModelError, r"wanted one \(n, 2\)", id="wrong-kind"),
        pytest.param({"git_sha": ...}, ModelError, r"fields differ \(git_sha\)", id="lacks-field"),
        pytest.param({"colour": "red"}, ModelError, r"fields differ \(colour\)", id="extra-field"),
        pytest.param({"version": 3}, ModelError, "wrong type", id="version-type"),
        pytest.param({"features": [1]}, ModelError, "wrong type", id="feature-type"),
        pytest.param({"features": "x"}, ModelError, "wrong type", id="features-type"),
        pytest.param({"metrics": {"mae": "1"}}, ModelError, "wrong type", id="metric-type"),
        pytest.param({"metrics": {"mae": float("nan")}}, ModelError, "wrong type", id="nan-metric"),
        pytest.param({"thresholds": [1]}, ModelError, "wrong type", id="thresholds-type"),
        pytest.param({"onnx_opset": True}, ModelError, "wrong type", id="opset-type"),
        pytest.param({"drift_baseline": None}, ModelError, "wrong type", id="drift-type"),
    ],
)
def test_artifact_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    make_artifact().save(tmp_path / "model")
    edit(tmp_path / "model", **changes)
    with pytest.raises(error, match=message) as caught:
        ModelArtifact.load(tmp_path / "model")
    assert (type(caught.value) is IncompatibleModelError) == (error is IncompatibleModelError)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        pytest.param(METADATA_FILE, None, "No such file", id="no-metadata"),
        pytest.param(MODEL_FILE, None, "No such file", id="no-model"),
        pytest.param(METADATA_FILE, b"{", "not JSON", id="cut-metadata"),
        pytest.param(METADATA_FILE, b"[]", "not a JSON object", id="list-metadata"),
        pytest.param(METADATA_FILE, b"\xff\xfe", "decode", id="binary-metadata"),
        pytest.param(MODEL_FILE, b"", "damaged", id="empty-model"),
    ],
)
def test_damaged_files_are_refused(
    tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    make_artifact().save(tmp_path / "model")
    if content is None:
        (tmp_path / "model" / file).unlink()
    else:
        (tmp_path / "model" / file).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        ModelArtifact.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        pytest.param(b"cos\nsystem\n(S'true'\ntR.", "not a usable ONNX graph", id="pickle"),
        pytest.param(constant_graph(1.0, inputs=3), r"wanted one float \(n, 17\)", id="inputs"),
        pytest.param(constant_graph(1.0, 2.0), r"wanted one \(n, 1\)", id="columns"),
        pytest.param(constant_graph(1.0, names=2), r"wanted one \(n, 1\)", id="outputs"),
    ],
)
def test_graph_that_is_no_model_of_ours_is_refused(graph: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        wrap(graph, "meter-regression", REGRESSION).check()


def test_metadata_never_hold_a_number_that_json_lacks() -> None:
    metadata = replace(make_artifact().metadata, metrics={"mae": float("inf")})
    with pytest.raises(ValueError, match="JSON compliant"):
        metadata.to_json()
    assert ModelMetadata.from_json(make_artifact().metadata.to_json()) == make_artifact().metadata


def test_saving_replaces_the_old_artifact_as_a_whole(tmp_path: Path) -> None:
    make_artifact(REGRESSION).save(tmp_path / "model")
    make_artifact(CLASSIFICATION).save(tmp_path / "model")
    assert ModelArtifact.load(tmp_path / "model") == make_artifact(CLASSIFICATION)
    assert os.listdir(tmp_path) == ["model"], "left-over temporary files"


@pytest.mark.parametrize("broken", ["fsync", "rename"])
def test_failed_save_leaves_the_old_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    make_artifact(REGRESSION).save(tmp_path / "model")

    def no_space(*_: object) -> None:
        raise OSError("no space left")

    if broken == "fsync":
        monkeypatch.setattr(os, "fsync", no_space)
    else:
        rename = Path.rename
        monkeypatch.setattr(
            Path, "rename", lambda p, t: no_space() if p.name == "new" else rename(p, t)
        )
    with pytest.raises(OSError, match="no space left"):
        make_artifact(CLASSIFICATION).save(tmp_path / "model")
    assert ModelArtifact.load(tmp_path / "model") == make_artifact(REGRESSION)
    assert os.listdir(tmp_path) == ["model"], "left-over temporary files"


def test_failed_first_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="read-only"):
        make_artifact().save(tmp_path / "model")
    assert not os.listdir(tmp_path)


def test_one_session_answers_like_another() -> None:
    rows = np.zeros((4, len(FEATURES)), np.float32)
    answers = [make_artifact().check().run(None, {"X": rows})[0] for _ in range(2)]
    assert answers[0].shape == (4, 1)
    np.testing.assert_array_equal(*answers)
