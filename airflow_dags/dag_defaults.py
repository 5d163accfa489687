"""What the three DAGs share: owner, retries, time limits, and the asset that links them.

Light on purpose: it is imported whenever a DAG file is parsed, so it may import neither pandas nor
anything of ``src/``. What a task does is imported inside the task.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, ExceptionRetryPolicy, RetryAction, RetryRule

START_DATE = datetime(2024, 1, 1, tzinfo=UTC)

READINGS = Asset(
    name="meter_readings",
    uri="x-meter://database/readings",
    group="meter",
)
"""New or corrected readings are in the database: emitted by data_pipeline, awaited by inference."""

NOT_CURED_BY_TIME: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ImportError,
    AssertionError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)
"""Bad input, wrong configuration and defects: a second try costs time and changes nothing."""


def default_args(execution_timeout: timedelta, **overrides: Any) -> dict[str, Any]:
    """Arguments of every task of a DAG; ``execution_timeout`` is of one try.

    A lost connection is tried again three times, with growing pauses from half a minute on;
    ``NOT_CURED_BY_TIME`` never is.
    """
    return {
        "owner": "meter-platform",
        "depends_on_past": False,
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": ExceptionRetryPolicy(
            rules=[
                RetryRule(
                    exception=list(NOT_CURED_BY_TIME),
                    action=RetryAction.FAIL,
                    reason="bad input or configuration: trying again would change nothing",
                )
            ]
        ),
        "execution_timeout": execution_timeout,
    } | overrides
