"""DAG ``data_pipeline``: meter files of one folder into PostgreSQL.

find_files → ingest (one per file) → validate_counts. Between tasks go paths and counts only.
"""

# pylint: disable=import-outside-toplevel  # parsing must stay light

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from dag_defaults import READINGS, START_DATE, default_args


@dag(
    dag_id="data_pipeline",
    description="Ingests the meter files of one folder into PostgreSQL and checks the counts.",
    schedule="15 * * * *",
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    max_active_tasks=4,
    dagrun_timeout=timedelta(hours=2),
    default_args=default_args(execution_timeout=timedelta(minutes=30)),
    tags=["meter", "data"],
    params={
        "incoming_dir": Param(
            None,
            type=["null", "string"],
            minLength=1,
            title="Folder",
            description="Absolute path; empty: METER_INCOMING_DIR of the worker's environment.",
        ),
        "pattern": Param(
            "*.csv",
            type="string",
            pattern=r"^[^/\\]+$",
            title="File pattern",
            description="Glob within the folder. Write files under another name, then rename.",
        ),
        "source": Param(
            None,
            enum=[None, "sample", "steel", "household", "vic"],
            title="Source",
            description="Which adapter reads the files; empty: told by each file's header.",
        ),
        "max_quarantined_share": Param(
            0.05,
            type="number",
            minimum=0,
            maximum=1,
            title="Tolerated share of bad rows",
            description="Share of a file's rows in quarantine above which the run fails.",
        ),
    },
)
def data_pipeline() -> None:
    """### Meter files into the database

    - `find_files` lists the files of the folder, in name order; fails when the folder is missing.
    - `ingest`, one per file: COPY into staging, upsert on (meter_id, reading_date), in one
      transaction; fails when the file can't be used, or when the database is away (tried again).
    - `validate_counts` compares each file's counts and the table with each other; fails when rows
      are unaccounted for, or too many of a file are in quarantine.

    Running it again on the same files changes nothing, so files may stay in the folder. A bad row
    is in `quarantine_readings` with its line and reason. A bad file doesn't keep the others out,
    but fails the run. A folder without files makes a skipped run, and no inference follows it.

    Needs `DATABASE_URL` with the migrations applied, and `src/` on `PYTHONPATH`.
    """

    @task(execution_timeout=timedelta(minutes=2))
    def find_files() -> list[str]:
        """Absolute paths of the files to ingest, in name order."""
        from jobs.ingest import find

        params = get_current_context()["params"]
        paths = find(params["incoming_dir"], params["pattern"])
        if not paths:
            raise AirflowSkipException(f"no file matches {params['pattern']}: nothing to ingest")
        return paths

    @task(
        multiple_outputs=False,
        map_index_template="{{ task.op_kwargs['path'] }}",
        max_active_tis_per_dagrun=2,
    )
    def ingest(path: str) -> dict[str, Any]:
        """Counts of one file: read, inserted, updated, unchanged, quarantined."""
        from jobs.ingest import ingest_one

        return ingest_one(path, get_current_context()["params"]["source"])

    @task(multiple_outputs=False, outlets=[READINGS], execution_timeout=timedelta(minutes=5))
    def validate_counts(reports: list[dict[str, Any]]) -> dict[str, int]:
        """Sums over all files, once every row is accounted for."""
        from jobs.ingest import validate

        return validate(list(reports), get_current_context()["params"]["max_quarantined_share"])

    validate_counts(ingest.expand(path=find_files()))


data_pipeline()
