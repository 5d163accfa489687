"""Ingestion of a folder of meter files, as the data DAG does it."""

import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import text

from data.database import engine
from data.ingestion import ingest_file

MAX_FILES = 1000  # Airflow's default limit of mapped tasks is 1,024
COUNTS = ("read", "inserted", "updated", "unchanged", "quarantined")

logger = logging.getLogger(__name__)


def find(directory: str | None, pattern: str) -> list[str]:
    """Absolute paths of the regular files of ``directory`` that match, in name order.

    Without ``directory`` it is METER_INCOMING_DIR. ValueError when neither is set or there are too
    many files for one run, FileNotFoundError when the folder is missing.
    """
    chosen = directory or os.environ.get("METER_INCOMING_DIR")
    if not chosen:
        raise ValueError(
            "no folder to ingest: set METER_INCOMING_DIR or the parameter incoming_dir"
        )
    folder = Path(chosen)
    if not folder.is_absolute():
        raise ValueError(f"folder {chosen} is relative: give an absolute path")
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}: create it or correct METER_INCOMING_DIR")
    paths = sorted(path for path in folder.glob(pattern) if path.is_file())
    if len(paths) > MAX_FILES:
        raise ValueError(
            f"{len(paths)} files in {folder}, at most {MAX_FILES} a run: move some out, or narrow "
            "the parameter pattern"
        )
    logger.info("%d files match %s in %s", len(paths), pattern, folder)
    return [str(path) for path in paths]


def ingest_one(path: str, source: str | None) -> dict[str, Any]:
    """Ingest one file; its path and counts of rows."""
    database = engine()
    try:
        report = asdict(ingest_file(Path(path), database, source))
    finally:
        database.dispose()
    counts = {name: int(report[name]) for name in COUNTS}
    logger.info("%s: %s", path, counts)
    return {"path": path} | counts


def validate(reports: list[dict[str, Any]], max_quarantined_share: float) -> dict[str, int]:
    """Sums over all files, once every row read is accounted for.

    ValueError naming the files whose counts don't add up or that have a larger share of bad rows
    than allowed, or when the table holds fewer rows than a file has put there.
    """
    problems = []
    for report in reports:
        kept = report["inserted"] + report["updated"] + report["unchanged"]
        read, bad = report["read"], report["quarantined"]
        if read != kept + bad:
            problems.append(f"{report['path']}: {read} rows read, {kept} stored, {bad} quarantined")
        elif bad > max_quarantined_share * read:
            problems.append(
                f"{report['path']}: {bad} of {read} rows are in quarantine, more than "
                f"{max_quarantined_share:.1%}: see quarantine_readings"
            )
    total = {name: sum(report[name] for report in reports) for name in COUNTS}
    total |= {"files": len(reports), "stored": _stored()}
    largest = max((r["inserted"] + r["updated"] + r["unchanged"] for r in reports), default=0)
    if total["stored"] < max(largest, total["inserted"]):
        problems.append(f"the table has {total['stored']} rows, fewer than were ingested")
    if problems:
        raise ValueError("; ".join(problems))
    logger.info("%s", total)
    return total


def _stored() -> int:
    database = engine()
    try:
        with database.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM readings")).scalar_one())
    finally:
        database.dispose()
