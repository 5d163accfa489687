"""The model file format: a directory with `model.onnx` and `metadata.json`.

ONNX (https://onnx.ai) is a graph of declared operators, so that loading a model runs no code of
the file, unlike a pickle. The metadata say what the model was trained from and what it expects;
loading compares them with this code and refuses what does not fit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort  # type: ignore[import-untyped]  # publishes no types

from data.features import FEATURES

SCHEMA_VERSION = 1
MODEL_FILE = "model.onnx"
METADATA_FILE = "metadata.json"
REGRESSION = "regression"
CLASSIFICATION = "classification"
REGRESSION_MODEL = "meter-regression"
HIGH_CONSUMPTION_MODEL = "meter-high-consumption"
MODEL_NAMES = (REGRESSION_MODEL, HIGH_CONSUMPTION_MODEL)
# Columns of the graph's only output: kWh, or the probabilities of (normal, high).
OUTPUT_COLUMNS: Mapping[str, int] = {REGRESSION: 1, CLASSIFICATION: 2}


class ModelError(RuntimeError):
    """A model is missing, damaged or not what was asked for; the message says what to do."""


class IncompatibleModelError(ModelError):
    """A sound model that was made for another version of this code."""


@dataclass(frozen=True)
class ModelMetadata:  # pylint: disable=too-many-instance-attributes  # a flat record
    """What is known about a model.

    `thresholds` holds, for each meter_id, the training quantile in kWh above which an interval is
    one of high consumption (empty for a regression). `metrics` and `baseline_metrics` were
    measured on the test part; `trained_from` and `trained_until` are the first and last interval
    starts of the training part. All times are ISO 8601 in UTC. `scikit_learn` is the version that
    fitted the model, kept for the record: the ONNX graph needs none to run.
    """

    name: str
    version: str
    kind: str
    created: str
    git_sha: str
    data_hash: str
    scikit_learn: str
    onnx_opset: int
    trained_from: str
    trained_until: str
    metrics: Mapping[str, float]
    baseline_metrics: Mapping[str, float]
    drift_baseline: Mapping[str, Any]
    model_sha256: str
    thresholds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    features: tuple[str, ...] = FEATURES
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """The metadata as a JSON document with sorted keys; ValueError for a non-finite number."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ModelMetadata:
        """Read what `to_json` wrote.

        Raises IncompatibleModelError for another schema version, ModelError for anything that is
        not such a document.
        """
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ModelError(f"read model metadata: not JSON ({error}): export it again") from error
        if not isinstance(content, dict):
            raise ModelError("read model metadata: not a JSON object: export the model again")
        if content.get("schema_version") != SCHEMA_VERSION:
            raise IncompatibleModelError(
                f"read model metadata: schema version {content.get('schema_version')!r}, "
                f"this code reads {SCHEMA_VERSION}: train the model again with this code"
            )
        known = {field.name for field in dataclasses.fields(cls)}
        if set(content) != known:
            differing = ", ".join(sorted(set(content) ^ known))
            raise ModelError(f"read model metadata: fields differ ({differing}): train it again")
        _require_types(content)
        return cls(**{**content, "features": tuple(content["features"])})


@dataclass(frozen=True)
class ModelArtifact:
    """A model with its metadata; the graph takes float32 (n, features), gives (n, columns)."""

    model: bytes
    metadata: ModelMetadata

    def check(self) -> ort.InferenceSession:
        """A session over the verified model.

        Raises IncompatibleModelError when the feature list is not this code's, ModelError when
        the checksum, the kind or the graph's shapes are wrong.
        """
        meta = self.metadata
        digest = checksum(self.model)
        if digest != meta.model_sha256:
            raise ModelError(
                f"load model {meta.name}: checksum of {MODEL_FILE} is {digest[:12]}…, metadata say "
                f"{meta.model_sha256[:12]}…: the file is damaged, export the model again"
            )
        if meta.features != FEATURES:
            raise IncompatibleModelError(
                f"load model {meta.name}: made for features {_difference(meta.features)}: "
                "train the model again with this code"
            )
        if meta.kind not in OUTPUT_COLUMNS:
            raise ModelError(f"load model {meta.name}: unknown kind {meta.kind!r}: train it again")
        session = open_session(self.model, meta.name)
        _check_shapes(session, meta)
        return session

    def save(self, directory: Path) -> None:
        """Write the artifact as `directory`, replacing what is there.

        The files are complete and on disk before the directory gets its name, so that a reader
        finds the old artifact, the new one or, for an instant between two renames, none; never a
        mixture. Raises OSError when the disk refuses.
        """
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            fresh, stale = temporary / "new", temporary / "old"
            fresh.mkdir()
            _write(fresh / MODEL_FILE, self.model)
            _write(fresh / METADATA_FILE, self.metadata.to_json().encode())
            if directory.exists():
                directory.rename(stale)
            try:
                fresh.rename(directory)
            except OSError:
                if stale.exists():
                    stale.rename(directory)
                raise
        finally:
            shutil.rmtree(temporary)

    @classmethod
    def load(cls, directory: Path) -> ModelArtifact:
        """Read and verify the artifact in `directory`; raises ModelError as `check` does."""
        artifact = cls.read(directory)
        artifact.check()
        return artifact

    @classmethod
    def read(cls, directory: Path) -> ModelArtifact:
        """Read the artifact in `directory` without verifying that it fits (`check` does)."""
        try:
            metadata = ModelMetadata.from_json((directory / METADATA_FILE).read_text("utf-8"))
            model = (directory / MODEL_FILE).read_bytes()
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"load model from {directory}: {error}: train a model or export the champions there"
            ) from error
        return cls(model, metadata)


def checksum(model: bytes) -> str:
    """The SHA-256 of a model file, in lower-case hexadecimal."""
    return hashlib.sha256(model).hexdigest()


def open_session(model: bytes, name: str) -> ort.InferenceSession:
    """A single-threaded session over an ONNX graph; ModelError when it is none."""
    options = ort.SessionOptions()
    # One request is microseconds of work: a thread pool would cost more than it saves.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no public base class
        raise ModelError(
            f"load model {name}: not a usable ONNX graph ({error}): train it again"
        ) from error


def _check_shapes(session: ort.InferenceSession, meta: ModelMetadata) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    wanted_in, wanted_out = len(FEATURES), OUTPUT_COLUMNS[meta.kind]
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or inputs[0].shape[1:] != [wanted_in]:
        found = [(node.type, node.shape) for node in inputs]
        raise ModelError(
            f"load model {meta.name}: inputs are {found}, wanted one float (n, {wanted_in})"
        )
    if len(outputs) != 1 or outputs[0].shape[1:] != [wanted_out]:
        found = [(node.type, node.shape) for node in outputs]
        raise ModelError(
            f"load model {meta.name}: outputs are {found}, wanted one (n, {wanted_out}) "
            f"for a {meta.kind}"
        )


def _difference(features: tuple[str, ...]) -> str:
    missing = [name for name in FEATURES if name not in features]
    unknown = [name for name in features if name not in FEATURES]
    if not missing and not unknown:
        return "in another order"
    return f"without {missing or 'none'} and with unknown {unknown or 'none'}"


def _require_types(content: Mapping[str, Any]) -> None:
    texts = (
        "name",
        "version",
        "kind",
        "created",
        "git_sha",
        "data_hash",
        "scikit_learn",
        "trained_from",
        "trained_until",
        "model_sha256",
    )
    numbers = ("metrics", "baseline_metrics", "thresholds")
    sound = (
        all(isinstance(content[key], str) for key in texts)
        and _is_number(content["onnx_opset"], int)
        and isinstance(content["drift_baseline"], dict)
        and isinstance(content["features"], list)
        and all(isinstance(name, str) for name in content["features"])
        and all(_finite_numbers(content[key]) for key in numbers)
    )
    if not sound:
        raise ModelError("read model metadata: a field has the wrong type: export the model again")


def _finite_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_number(number, (int, float)) and math.isfinite(number) for number in value.values()
    )


def _is_number(value: Any, kinds: type | tuple[type, ...]) -> bool:
    # To Python true is the integer 1; to JSON it is no number.
    return isinstance(value, kinds) and not isinstance(value, bool)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
