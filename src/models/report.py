"""The training report: both models trained on the sample and on every real data set.

`python -m models.report` prints the table and, with `--output`, writes it as Markdown. Each data
set gets a registry of its own in a temporary folder, so that no model meets the champion of
another meter and no user's registry is touched; `--tracking-uri` keeps the runs instead, an
experiment per data set.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from data.create_datasets import load_data
from data.readings import ReadingError
from models.artifact import ModelError
from models.provenance import git_sha
from models.registry import Registry, RegistryError
from models.results import TrainingResult, format_results
from models.train import train_logistic_regression, train_regression

# File in METER_DATA_DIR and the adapter that reads it, by the name in the table.
REAL_SETS: Mapping[str, str] = {
    "steel": "steel_industry.csv",
    "household": "household_power.csv",
    "vic": "vic_electricity.csv",
}
PACKAGES = ("scikit-learn", "skl2onnx", "onnxruntime", "numpy", "pandas", "mlflow-skinny")

Row = tuple[str, TrainingResult]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print (and write) the report; 0 done, 2 bad input, 3 not judged."""
    parser = argparse.ArgumentParser(prog="python -m models.report", description=__doc__)
    parser.add_argument("--sample-only", action="store_true", help="leave the real sets out")
    parser.add_argument("--output", type=Path, help="file to write the report to")
    parser.add_argument("--tracking-uri", help="registry to keep the runs in (default: none)")
    options = parser.parse_args(arguments)
    try:
        files = {"sample": None} | ({} if options.sample_only else real_files())
        started = time.monotonic()
        rows: list[Row] = []
        for name, path in files.items():
            rows += train_both(name, path, options.tracking_uri)
        text = format_report(rows, time.monotonic() - started)
    except ReadingError as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    except (RegistryError, ModelError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 3
    print(text, end="")
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    return 0


def real_files() -> dict[str, Path | None]:
    """The real data sets of METER_DATA_DIR by name; ReadingError when one is not there."""
    folder = os.environ.get("METER_DATA_DIR")
    if not folder:
        raise ReadingError(
            "METER_DATA_DIR is not set: set it to the folder of the real data sets, "
            "or report on the shipped sample alone with --sample-only"
        )
    files: dict[str, Path | None] = {}
    for name, file in REAL_SETS.items():
        path = Path(folder) / file
        if not path.is_file():
            raise ReadingError(f"{path} is missing: METER_DATA_DIR must hold every real data set")
        files[name] = path
    return files


def train_both(name: str, path: Path | None, uri: str | None) -> list[Row]:
    """Train both models on one data set (None: the sample); raises as the trainers do."""
    readings = load_data() if path is None else load_data(path, name)
    experiment = f"report-{name}"
    with tempfile.TemporaryDirectory(prefix="meter-report-") as folder:
        registry = Registry(uri or f"sqlite:///{folder}/mlflow.db")
        return [
            (name, train(readings, registry=registry, experiment=experiment))
            for train in (train_regression, train_logistic_regression)
        ]


def format_report(rows: Sequence[Row], seconds: float) -> str:
    """The report as Markdown: how it was made, the table, and what was decided and why."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    lines = [
        "# Training report",
        "",
        "Written by `python -m models.report`; every figure is of the last fifth of the readings,",
        "which no model has seen. Energies are kWh per interval; log-loss is in nats.",
        "",
        f"- commit {git_sha()}",
        f"- Python {platform.python_version()}, {packages}",
        f"- {seconds:.0f} s, training and registration of all {len(rows)} models",
        "",
        format_results(rows),
        "",
        "## Decisions",
        "",
    ]
    lines += [
        f"- {name}, {result.model} {result.version}: "
        f"{'champion' if result.registered else 'rejected'}: {result.reason}"
        for name, result in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
