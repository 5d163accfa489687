"""Predicting the next interval of every meter, as the inference DAG does it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Engine

from data import database
from data.create_datasets import next_features
from data.features import FEATURES
from data.ingestion import load_readings
from models.artifact import HIGH_CONSUMPTION_MODEL, REGRESSION_MODEL
from models.inference import Predictor, load_latest_model

WEEK = pd.Timedelta(days=7)  # how far back the features look
ROWS_AT_ONCE = 200_000  # readings held in memory

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Champions:
    """Both models in service."""

    regression: Predictor
    high: Predictor

    @property
    def version(self) -> str:
        """What ``predictions.model_version`` holds: both versions, since a row needs both."""
        return f"{self.regression.version}+{self.high.version}"


@dataclass(frozen=True)
class Group:
    """Meters of one zone and one interval, few enough to be read at once."""

    meter_ids: list[str]
    zone: str
    interval: pd.Timedelta
    since: pd.Timestamp


def champions() -> Champions:
    """Load both champions, verified; ModelError or RegistryError as ``load_latest_model``."""
    return Champions(load_latest_model(REGRESSION_MODEL), load_latest_model(HIGH_CONSUMPTION_MODEL))


def champion_versions() -> dict[str, str]:
    """The champions' versions by name, once both are loaded."""
    loaded = champions()
    return {
        REGRESSION_MODEL: loaded.regression.version,
        HIGH_CONSUMPTION_MODEL: loaded.high.version,
    }


def predict_all(max_age_hours: float) -> dict[str, Any]:
    """Predict and store the next interval of every meter, in one transaction.

    Left out are meters silent for more than ``max_age_hours`` before the newest reading of their
    source, and those whose last reading has no units. The probability is missing for a meter that
    training has not seen: it has no threshold of its own. ValueError when no meter is left.
    """
    models, engine = champions(), database.engine()
    try:
        meters = _meters(engine)
        recent = meters["age"] <= pd.Timedelta(hours=max_age_hours)
        made = [_predicted(engine, group, models) for group in _groups(meters[recent])]
        rows = [row for part in made for row in part]
        if not rows:
            raise ValueError(
                f"none of {len(meters)} meters could be predicted ({(~recent).sum()} silent for "
                f"more than {max_age_hours:g} h): ingest their readings"
            )
        changed = _store(engine, rows)
    finally:
        engine.dispose()
    dates = [row["reading_date"] for row in rows]
    report = {
        "model_version": models.version,
        "meters": len(meters),
        "predicted": len(rows),
        "changed": changed,
        "silent": int((~recent).sum()),
        "without_units": int(recent.sum()) - len(rows),
        "first": min(dates).isoformat(),
        "last": max(dates).isoformat(),
    }
    logger.info("%s", report)
    return report


def validate(report: dict[str, Any]) -> dict[str, Any]:
    """The report, once the table holds what it says; ValueError when it doesn't."""
    table, engine = database.predictions, database.engine()
    sound = sa.and_(
        table.c.units_kwh >= 0,
        table.c.units_kwh < sa.literal(float("inf")),
        sa.func.coalesce(table.c.high_consumption_probability, 0).between(0, 1),
    )
    query = sa.select(sa.func.count(), sa.func.count().filter(sound)).where(
        table.c.model_version == report["model_version"],
        table.c.reading_date >= pd.Timestamp(report["first"]).to_pydatetime(),
        table.c.reading_date <= pd.Timestamp(report["last"]).to_pydatetime(),
    )
    try:
        with engine.connect() as connection:
            stored, plausible = connection.execute(query).one()
    finally:
        engine.dispose()
    if stored < report["predicted"] or plausible < stored:
        raise ValueError(
            f"{report['predicted']} predictions were made by {report['model_version']}, "
            f"{stored} are stored and {plausible} of them plausible"
        )
    return report


def _meters(engine: Engine) -> pd.DataFrame:
    """Meters that have readings: zone, interval, last reading, age behind their source's newest."""
    meters, readings = database.meters, database.readings
    last = sa.func.max(readings.c.reading_date).label("last")
    query = (
        sa.select(
            meters.c.meter_id, meters.c.source, meters.c.time_zone, meters.c.interval_seconds, last
        )
        .join(readings, readings.c.meter_id == meters.c.meter_id)
        .group_by(meters.c.meter_id)
        .order_by(last, meters.c.meter_id)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    columns = ["meter_id", "source", "time_zone", "interval_seconds", "last"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["last"] = pd.to_datetime(frame["last"], utc=True)
    frame["age"] = frame.groupby("source")["last"].transform("max") - frame["last"]
    return frame


def _groups(meters: pd.DataFrame) -> Iterator[Group]:
    """Cut the meters into groups; ``meters`` is in the order of the last reading."""
    for (zone, seconds), same in meters.groupby(["time_zone", "interval_seconds"]):
        interval = pd.Timedelta(seconds=int(seconds))
        size = max(1, int(ROWS_AT_ONCE // (WEEK / interval)))
        for start in range(0, len(same), size):
            part = same.iloc[start : start + size]
            since = part["last"].min() - WEEK
            yield Group(part["meter_id"].tolist(), str(zone), interval, since)


def _predicted(engine: Engine, group: Group, models: Champions) -> list[dict[str, Any]]:
    """Rows of ``predictions`` for the meters of a group."""
    readings = load_readings(engine, meter_ids=group.meter_ids, since=group.since, zone=group.zone)
    upcoming = next_features(readings, interval=group.interval)
    upcoming = upcoming[upcoming["units_lag_1"].notna()]
    if upcoming.empty:
        return []
    matrix = upcoming[list(FEATURES)].to_numpy(np.float32)
    known = upcoming["meter_id"].isin(list(models.high.metadata.thresholds))
    probability = np.where(known, models.high.predict(matrix), np.nan)
    return [
        {
            "meter_id": meter_id,
            "reading_date": start.to_pydatetime(),
            "model_version": models.version,
            "units_kwh": float(units),
            "high_consumption_probability": None if np.isnan(chance) else float(chance),
        }
        for meter_id, start, units, chance in zip(
            upcoming["meter_id"],
            upcoming["reading_date"].dt.tz_convert("UTC"),
            models.regression.predict(matrix),
            probability,
            strict=True,
        )
    ]


def _store(engine: Engine, rows: list[dict[str, Any]]) -> int:
    """Upsert; how many rows are new or different. An unchanged row keeps its created_at."""
    table = database.predictions
    values = ("units_kwh", "high_consumption_probability")
    changed = 0
    with engine.begin() as connection:
        for start in range(0, len(rows), 1000):
            new = insert(table).values(rows[start : start + 1000])
            written = connection.execute(
                new.on_conflict_do_update(
                    index_elements=table.primary_key,
                    set_={name: new.excluded[name] for name in values}
                    | {"created_at": sa.func.now()},
                    where=sa.or_(
                        *(table.c[name].is_distinct_from(new.excluded[name]) for name in values)
                    ),
                ).returning(table.c.meter_id)
            )
            changed += len(written.all())
    return changed
