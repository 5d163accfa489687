"""DAG ``inference_pipeline``: the next interval of every meter, predicted by the champions.

load_champions → predict → validate_predictions. Between tasks go versions and counts only.
"""

# pylint: disable=import-outside-toplevel  # parsing must stay light

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, chain, dag, get_current_context, task
from dag_defaults import READINGS, START_DATE, default_args


@dag(
    dag_id="inference_pipeline",
    description="Predicts the next interval of every meter with the current champions.",
    schedule=[READINGS],
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=default_args(execution_timeout=timedelta(minutes=20)),
    tags=["meter", "inference"],
    params={
        "max_age_hours": Param(
            168,
            type="number",
            exclusiveMinimum=0,
            maximum=8760,
            title="Oldest last reading",
            description="Leave out meters silent this long before the newest of their source.",
        ),
    },
)
def inference_pipeline() -> None:
    """### Predict the next interval of every meter

    - `load_champions` loads and verifies both champions; fails when one is missing or doesn't fit.
    - `predict` makes features from each meter's last week of readings, asks both models and
      upserts into `predictions`; fails when no meter could be predicted, or when the database is
      away (tried again).
    - `validate_predictions` reads them back; fails when some are missing or implausible.

    Runs after each `data_pipeline` run that ingested something. Doing it again with the same
    readings and champions changes no row; corrected readings correct the prediction.

    Needs `DATABASE_URL`, `MLFLOW_TRACKING_URI` or `MODEL_DIR`, and `src/` on `PYTHONPATH`.
    """

    @task(multiple_outputs=False, execution_timeout=timedelta(minutes=5))
    def load_champions() -> dict[str, str]:
        """Version of each champion, loaded and verified once before any reading is touched."""
        from jobs.scoring import champion_versions

        return champion_versions()

    @task(multiple_outputs=False)
    def predict() -> dict[str, Any]:
        """Versions, counts of stored predictions, and the meters left out with the reason."""
        from jobs.scoring import predict_all

        params = get_current_context()["params"]
        return predict_all(params["max_age_hours"])

    @task(multiple_outputs=False, execution_timeout=timedelta(minutes=5))
    def validate_predictions(report: dict[str, Any]) -> dict[str, Any]:
        """The same report, once the table agrees with it."""
        from jobs.scoring import validate

        return validate(report)

    report = predict()
    chain(load_champions(), report)
    validate_predictions(report)


inference_pipeline()
