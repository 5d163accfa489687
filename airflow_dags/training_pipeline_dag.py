"""DAG ``training_pipeline``: both models from one snapshot of the readings, and the decisions.

check_registry → take_snapshot → train_regression, train_high_consumption → decide; the snapshot
file is removed at the end. Between tasks go a path, versions and numbers only.
"""

# pylint: disable=import-outside-toplevel  # parsing must stay light

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, chain, dag, get_current_context, task
from dag_defaults import START_DATE, default_args


@dag(
    dag_id="training_pipeline",
    description="Trains both models; only one that beats baseline and champion is promoted.",
    schedule="30 2 * * 0",
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    # Two trainings at once would fight for the same cores, and for the lock of a SQLite store.
    max_active_tasks=1,
    dagrun_timeout=timedelta(hours=6),
    default_args=default_args(execution_timeout=timedelta(hours=2)),
    tags=["meter", "training"],
    params={
        "readings": Param(
            "database",
            enum=["database", "sample"],
            title="Readings",
            description="Those of the database (DATABASE_URL), or the shipped sample.",
        ),
        "zone": Param(
            None,
            type=["null", "string"],
            minLength=1,
            title="Time zone",
            description="Train on the meters of this IANA zone; empty: all, and they share one.",
        ),
        "min_rows": Param(
            1000,
            type="integer",
            minimum=1,
            title="Fewest readings",
            description="Fewer than this is an error, not a model.",
        ),
    },
)
def training_pipeline() -> None:
    """### Train, compare, decide

    - `check_registry` asks MLflow for both champions; fails when it can't be reached (tried again).
    - `take_snapshot` writes the readings to one file that both trainings read; fails when there
      are too few.
    - `train_regression`, `train_high_consumption` train on the first four fifths and compare on
      the last; each fails when training or logging fails.
    - `decide` logs both decisions with their numbers; fails when the registry says otherwise.
    - `remove_snapshot` removes the file, also after a failure.

    A model that doesn't beat its baseline and the current champion is not promoted; that is a
    result, not a failure of the run. `decide` says it, with the numbers.

    Needs `MLFLOW_TRACKING_URI` (default: a local SQLite store), `DATABASE_URL` unless `readings` is
    `sample`, `src/` on `PYTHONPATH`, and a folder `METER_WORK_DIR` that all workers share (default:
    `work` in `AIRFLOW_HOME`).
    """

    @task(multiple_outputs=False, execution_timeout=timedelta(minutes=5))
    def check_registry() -> dict[str, int | None]:
        """Number of each model's champion before this run; None where there is none yet."""
        from jobs.training import champions

        return champions()

    @task(multiple_outputs=False, execution_timeout=timedelta(minutes=30))
    def take_snapshot() -> dict[str, Any]:
        """Path, SHA-256, rows, meters and last instant of the readings to train on."""
        from jobs.training import snapshot

        context = get_current_context()
        params = context["params"]
        return snapshot(
            run_id=context["run_id"],
            readings=params["readings"],
            zone=params["zone"],
            min_rows=params["min_rows"],
        )

    @task(multiple_outputs=False)
    def train_regression(taken: dict[str, Any]) -> dict[str, Any]:
        """Result of training the next interval's kWh."""
        from jobs.training import train

        return train("regression", taken)

    @task(multiple_outputs=False)
    def train_high_consumption(taken: dict[str, Any]) -> dict[str, Any]:
        """Result of training the probability of a high-consumption interval."""
        from jobs.training import train

        return train("classification", taken)

    @task(multiple_outputs=False, execution_timeout=timedelta(minutes=5))
    def decide(
        before: dict[str, int | None], regression: dict[str, Any], high: dict[str, Any]
    ) -> dict[str, Any]:
        """Both decisions, checked against the registry."""
        from jobs.training import decide as decision

        return decision(before, [regression, high])

    @task(execution_timeout=timedelta(minutes=2))
    def remove_snapshot(taken: dict[str, Any]) -> None:
        """Leave nothing behind."""
        from jobs.training import remove

        remove(taken)

    before = check_registry()
    taken = take_snapshot().as_setup()
    regression, high = train_regression(taken), train_high_consumption(taken)
    chain(before, taken)
    chain([regression, high], remove_snapshot(taken).as_teardown(setups=taken))
    decide(before, regression, high)


training_pipeline()
