"""Training on one snapshot of the readings, as the training DAG does it."""

import logging
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from data import database
from data.create_datasets import data_hash, load_data
from data.ingestion import load_readings
from models.artifact import MODEL_NAMES
from models.registry import Registry
from models.train import TRAINERS

RESULT = ("model", "score", "registered", "reason", "version", "run_id", "train_rows", "test_rows")
METRICS = ("metrics", "twelve_metrics", "baseline_metrics", "champion_metrics")

logger = logging.getLogger(__name__)


def champions() -> dict[str, int | None]:
    """The champions' numbers in the registry; RegistryError when it doesn't answer."""
    registry = Registry()
    found = {name: registry.champion_number(name) for name in MODEL_NAMES}
    logger.info("champions at %s: %s", registry.uri, found)
    return found


def snapshot(run_id: str, readings: str, zone: str | None, min_rows: int) -> dict[str, Any]:
    """Write the readings to a file of this run; its path, content hash and extent.

    ``readings`` is ``database`` or ``sample``. The same run writes the same file again. ValueError
    (a ReadingError is one) when there are fewer than ``min_rows`` or their meters lie in several
    zones and none is chosen.
    """
    frame = _stored(zone) if readings == "database" else load_data()
    if len(frame) < min_rows:
        raise ValueError(f"{len(frame)} readings, at least {min_rows} are wanted: ingest more")
    folder = _work_dir()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"readings-{re.sub(r'[^A-Za-z0-9]+', '-', run_id)}.parquet"
    partial = path.with_suffix(".partial")
    frame.to_parquet(partial, index=False)
    partial.replace(path)
    taken = {
        "path": str(path),
        "data_hash": data_hash(frame),
        "rows": len(frame),
        "meters": int(frame["meter_id"].nunique()),
        "first": frame["reading_date"].min().isoformat(),
        "last": frame["reading_date"].max().isoformat(),
    }
    logger.info("snapshot: %s", taken)
    return taken


def train(kind: str, taken: dict[str, Any]) -> dict[str, Any]:
    """Train the model of this kind on the snapshot; the result's names and numbers.

    ValueError when the file is not the one that was written.
    """
    frame = pd.read_parquet(taken["path"])
    if data_hash(frame) != taken["data_hash"]:
        raise ValueError(f"{taken['path']} changed since it was written: run take_snapshot again")
    result = asdict(TRAINERS[kind](frame))
    numbers = {
        name: None if result[name] is None else {k: float(v) for k, v in result[name].items()}
        for name in METRICS
    }
    return {name: result[name] for name in RESULT} | numbers


def decide(before: dict[str, int | None], results: list[dict[str, Any]]) -> dict[str, Any]:
    """Log what became of each model; the registry's champions before and after, and why.

    ValueError when a model that was promoted is not the registry's champion.
    """
    registry, decisions = Registry(), {}
    for result in results:
        name = result["model"]
        champion = registry.champion(name)
        if result["registered"] and (champion is None or champion.run_id != result["run_id"]):
            raise ValueError(
                f"{name} {result['version']} was promoted, but the champion is "
                f"{champion and champion.artifact.metadata.version}: run the training again"
            )
        decisions[name] = {
            "decision": "promoted" if result["registered"] else "rejected",
            "reason": result["reason"],
            "version": result["version"],
            "run_id": result["run_id"],
            "champion_before": before[name],
            "champion_after": champion and champion.number,
        }
        logger.info("%s: %s", name, decisions[name])
        if champion is None:
            logger.warning("%s has no champion: nothing can be served", name)
    return decisions


def remove(taken: dict[str, Any]) -> None:
    """Remove the snapshot; a missing file is fine."""
    Path(taken["path"]).unlink(missing_ok=True)


def _stored(zone: str | None) -> pd.DataFrame:
    engine = database.engine()
    try:
        if zone is None:
            return load_readings(engine)
        table = database.meters
        query = sa.select(table.c.meter_id).where(table.c.time_zone == zone)
        with engine.connect() as connection:
            chosen = connection.scalars(query.order_by(table.c.meter_id)).all()
        return load_readings(engine, meter_ids=chosen, zone=zone)
    finally:
        engine.dispose()


def _work_dir() -> Path:
    told = os.environ.get("METER_WORK_DIR")
    home = os.environ.get("AIRFLOW_HOME") or Path.home() / "airflow"
    return Path(told) if told else Path(home) / "work"
