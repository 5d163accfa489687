"""Training: fit, compare with the baseline and the champion, register only what beats both.

Everything is judged on the last fifth of the readings by time, through the exported ONNX model as
it would serve. The decision and its numbers are logged in MLflow and returned. As a command:
`python -m models.train [--data FILE] [--source NAME] [--model regression|classification|all]`.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pandas as pd
import sklearn  # type: ignore[import-untyped]  # no types

from data.create_datasets import Dataset, create_dataset, data_hash, load_data
from data.features import FEATURES, OPTIONAL
from data.readings import ReadingError
from models import learning
from models.artifact import (
    CLASSIFICATION,
    REGRESSION,
    IncompatibleModelError,
    ModelArtifact,
    ModelError,
    ModelMetadata,
    checksum,
)
from models.candidate import Candidate, fit_classification_candidate, fit_regression_candidate
from models.export import OPSET
from models.inference import Predictor
from models.provenance import created_at, git_sha
from models.registry import Registry, RegistryError, RunRecord
from models.results import Metrics, TrainingResult, format_results
from monitoring.drift import DriftBaseline

LOG = logging.getLogger(__name__)
EXPERIMENT = "meter-consumption"
TEST_FRACTION = 0.2


def train_regression(
    readings: pd.DataFrame | None = None,
    *,
    registry: Registry | None = None,
    experiment: str = EXPERIMENT,
) -> TrainingResult:
    """Train the regression of the next interval's kWh on a readings frame (default: the sample).

    The baseline is the seasonal naive forecast, the score its mean absolute error. Raises
    ReadingError when there is too little to learn from, ModelError when the export fails or the
    champion is damaged, RegistryError when MLflow cannot be reached or refuses.
    """
    return _train(fit_regression_candidate, readings, registry, experiment)


def train_logistic_regression(
    readings: pd.DataFrame | None = None,
    *,
    registry: Registry | None = None,
    experiment: str = EXPERIMENT,
) -> TrainingResult:
    """Train the probability of a high-consumption interval (default data: the sample).

    High is above the meter's own training quantile (`learning.HIGH_QUANTILE`). The baseline is the
    prevalence in training, the score the log-loss. Raises as `train_regression` does.
    """
    return _train(fit_classification_candidate, readings, registry, experiment)


def decide(score: str, model: Metrics, baseline: Metrics, champion: Metrics | None) -> str | None:
    """Why a model is not to be champion, None when it is.

    It must be strictly better (lower `score`) than the baseline and than the champion, if there
    is one. A champion whose score is no number answers nothing of use and bars nobody.
    """
    mine = model[score]
    rivals = {"the baseline": baseline[score]}
    if champion is not None and not math.isnan(champion[score]):
        rivals["the champion"] = champion[score]
    for rival, its in rivals.items():
        # "not <" rather than ">=": a score that is no number beats nobody.
        if not mine < its:
            return f"{score} {mine:.6g} does not beat {rival}'s {its:.6g}"
    return None


def _train(  # pylint: disable=too-many-locals  # one straight line, read from top to bottom
    fit: Callable[[Dataset, Dataset], Candidate],
    readings: pd.DataFrame | None,
    registry: Registry | None,
    experiment: str,
) -> TrainingResult:
    # First of all: no minutes of training for a registry that isn't there.
    registry = registry or Registry()
    readings = load_data() if readings is None else readings
    candidate = fit(*create_dataset(readings).split(TEST_FRACTION))
    artifact = _artifact(candidate, data_hash(readings))
    predictor = Predictor(artifact)
    measured = candidate.measure(predictor.predict(candidate.test.X))
    twelve = candidate.measure(predictor.predict(learning.twelve_only(candidate.test.X)))
    artifact = replace(artifact, metadata=replace(artifact.metadata, metrics=dict(measured)))

    number = registry.champion_number(candidate.name)
    champion_metrics, note = _judge_champion(registry, candidate)
    objection = decide(candidate.score, measured, candidate.baseline_metrics, champion_metrics)
    reason = (objection or _praise(candidate, measured, champion_metrics)) + note
    record = RunRecord(
        experiment=experiment,
        name=f"{candidate.name} {artifact.metadata.version}",
        params=_params(candidate),
        metrics=_flat(measured, twelve, candidate, champion_metrics),
        tags=_tags(artifact, reason, "rejected" if objection else "promotion pending"),
    )
    run_id, artifact_uri = registry.log_run(record, artifact)
    if not objection:
        _promote(registry, candidate.name, run_id, record, replacing=number)
    LOG.info("%s %s: %s", candidate.name, "rejected" if objection else "promoted", reason)
    return TrainingResult(
        model=candidate.name,
        score=candidate.score,
        metrics=measured,
        twelve_metrics=twelve,
        baseline=candidate.baseline,
        baseline_metrics=candidate.baseline_metrics,
        champion_metrics=champion_metrics,
        last_interval_metrics=candidate.last_interval_metrics,
        registered=not objection,
        reason=reason,
        version=artifact.metadata.version,
        run_id=run_id,
        artifact_uri=artifact_uri,
        train_rows=len(candidate.train),
        test_rows=len(candidate.test),
    )


def _promote(
    registry: Registry, name: str, run_id: str, record: RunRecord, replacing: int | None
) -> None:
    number = registry.register(name, run_id, record.tags)
    registry.promote(name, number, replacing)
    # Only now: a run whose promotion failed must not claim it.
    registry.tag_run(run_id, {"decision": "promoted", "registered_version": str(number)})


def _artifact(candidate: Candidate, content_hash: str) -> ModelArtifact:
    created = created_at()
    digest = checksum(candidate.model)
    starts = candidate.train.meta["reading_date"].dt.tz_convert("UTC")
    matrix = learning.doubled(candidate.train.X)
    return ModelArtifact(
        candidate.model,
        ModelMetadata(
            name=candidate.name,
            version=f"{created:%Y%m%dT%H%M%SZ}-{digest[:8]}",
            kind=candidate.kind,
            created=created.isoformat(timespec="seconds"),
            git_sha=git_sha(),
            data_hash=content_hash,
            scikit_learn=sklearn.__version__,
            onnx_opset=OPSET,
            trained_from=starts.min().isoformat(),
            trained_until=starts.max().isoformat(),
            metrics={},
            baseline_metrics=dict(candidate.baseline_metrics),
            drift_baseline=DriftBaseline.from_matrix(matrix, FEATURES, OPTIONAL).to_dict(),
            model_sha256=digest,
            thresholds=dict(candidate.thresholds),
        ),
    )


def _judge_champion(registry: Registry, candidate: Candidate) -> tuple[Metrics | None, str]:
    """The champion's metrics on the candidate's test rows, and what is to be said about them."""
    try:
        champion = registry.champion(candidate.name)
        if champion is None:
            return None, "; there was no champion"
        predictor = Predictor(champion.artifact)
    except IncompatibleModelError as error:
        # Nothing can serve it any more, so it must not bar its successor either.
        return None, f"; the champion is no rival: {error}"
    test_start = candidate.test.meta["reading_date"].min()
    seen = pd.Timestamp(predictor.metadata.trained_until) >= test_start
    note = "; the champion was trained on data as late as the test rows" if seen else ""
    return candidate.measure(predictor.predict(candidate.test.X)), note


def _praise(candidate: Candidate, measured: Metrics, champion: Metrics | None) -> str:
    score = candidate.score
    text = f"{score} {measured[score]:.6g} beats the baseline's "
    text += f"{candidate.baseline_metrics[score]:.6g}"
    return text if champion is None else f"{text} and the champion's {champion[score]:.6g}"


def _params(candidate: Candidate) -> dict[str, str | int | float]:
    return {
        **candidate.params,
        "baseline": candidate.baseline,
        "seed": learning.SEED,
        "test_fraction": TEST_FRACTION,
        "train_rows": len(candidate.train),
        "test_rows": len(candidate.test),
        "test_from": candidate.test.meta["reading_date"].min().isoformat(),
    }


def _flat(
    measured: Metrics, twelve: Metrics, candidate: Candidate, champion: Metrics | None
) -> dict[str, float]:
    groups = {
        "": measured,
        "twelve_": twelve,
        "baseline_": candidate.baseline_metrics,
        "last_interval_": candidate.last_interval_metrics or {},
        "champion_": champion or {},
    }
    return {prefix + key: value for prefix, group in groups.items() for key, value in group.items()}


def _tags(artifact: ModelArtifact, reason: str, decision: str) -> dict[str, str]:
    meta = artifact.metadata
    return {
        "decision": decision,
        "reason": reason,
        "artifact_version": meta.version,
        "git_sha": meta.git_sha,
        "data_hash": meta.data_hash,
        "model_sha256": meta.model_sha256,
    }


TRAINERS: Mapping[str, Callable[..., TrainingResult]] = {
    REGRESSION: train_regression,
    CLASSIFICATION: train_logistic_regression,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line asks and print a table; 0 done, 2 bad input, 3 not judged."""
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument("--data", help="file of readings (default: the shipped sample)")
    parser.add_argument("--source", help="kind of file (default: told by its header)")
    parser.add_argument("--model", choices=[*TRAINERS, "all"], default="all")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    chosen = list(TRAINERS) if options.model == "all" else [options.model]
    try:
        readings = load_data(options.data, options.source)
        results = [TRAINERS[name](readings) for name in chosen]
    except ReadingError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    except (RegistryError, ModelError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 3
    print(format_results([(options.data or "sample", result) for result in results]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
