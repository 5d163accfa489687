"""What a training run found, and how it is printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.metrics import improvement

Metrics = Mapping[str, float]

# In the order of the table; higher is better only for these two.
METRIC_NAMES = {
    "mae": "MAE, kWh",
    "rmse": "RMSE, kWh",
    "r2": "R²",
    "log_loss": "log-loss",
    "brier": "Brier",
    "auc": "AUC",
}
RATIOS = ("r2", "auc")
HEADER = (
    "data set",
    "model",
    "metric",
    "model",
    "12 fields",
    "baseline",
    "gain",
    "last interval",
    "champion",
    "decision",
)


@dataclass(frozen=True)
class TrainingResult:  # pylint: disable=too-many-instance-attributes  # a flat record
    """What a training run found, all measured on the same test rows.

    `metrics` are of the new model with all features, `twelve_metrics` with the twelve required
    fields only, `champion_metrics` of the champion it met (None: there was none that fits this
    code), `last_interval_metrics` of repeating the last interval (None for the classification).
    Energies are in kWh, log-loss in nats. `score` names the metric that decided. `version` is the
    artifact's; `registered` tells whether it became champion, `reason` why or why not;
    `artifact_uri` is where MLflow keeps its files.
    """

    model: str
    score: str
    metrics: Metrics
    twelve_metrics: Metrics
    baseline: str
    baseline_metrics: Metrics
    champion_metrics: Metrics | None
    last_interval_metrics: Metrics | None
    registered: bool
    reason: str
    version: str
    run_id: str
    artifact_uri: str
    train_rows: int
    test_rows: int


def format_results(results: Iterable[tuple[str, TrainingResult]]) -> str:
    """A table as Markdown, aligned to be read as text too: one line per data set, model, metric.

    "gain" is how much lower the error is than the baseline's; R² and AUC have none.
    """
    rows: list[Sequence[str]] = [HEADER]
    for data_set, result in results:
        rows += _rows(data_set, result)
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _rows(data_set: str, result: TrainingResult) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for key in (key for key in METRIC_NAMES if key in result.metrics):
        model, reference = result.metrics[key], result.baseline_metrics.get(key)
        gain = "" if key in RATIOS or not reference else f"{improvement(model, reference):.1%}"
        first = not rows
        rows.append(
            (
                data_set if first else "",
                f"{result.model} ({result.train_rows}+{result.test_rows} rows)" if first else "",
                METRIC_NAMES[key],
                _figure(result.metrics, key),
                _figure(result.twelve_metrics, key),
                _figure(result.baseline_metrics, key) + (f" {result.baseline}" if first else ""),
                gain,
                _figure(result.last_interval_metrics, key),
                _figure(result.champion_metrics, key),
                ("champion" if result.registered else "rejected") if first else "",
            )
        )
    return rows


def _figure(metrics: Metrics | None, key: str) -> str:
    if metrics is None or key not in metrics:
        return "-"
    value = metrics[key]
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
