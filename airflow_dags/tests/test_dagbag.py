"""The DAG files: they load, at once and without side effects, and keep the house rules."""

import copy
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).resolve().parents[1]
DAG_IDS = ("data_pipeline", "training_pipeline", "inference_pipeline")
TASKS = {
    "data_pipeline": {
        "find_files": {"ingest"},
        "ingest": {"validate_counts"},
        "validate_counts": set(),
    },
    "training_pipeline": {
        "check_registry": {"take_snapshot", "decide"},
        "take_snapshot": {"train_regression", "train_high_consumption", "remove_snapshot"},
        "train_regression": {"decide", "remove_snapshot"},
        "train_high_consumption": {"decide", "remove_snapshot"},
        "decide": set(),
        "remove_snapshot": set(),
    },
    "inference_pipeline": {
        "load_champions": {"predict"},
        "predict": {"validate_predictions"},
        "validate_predictions": set(),
    },
}
HEAVY = ("pandas", "numpy", "sklearn", "mlflow", "onnxruntime", "skl2onnx", "pyarrow", "alembic")
OURS = ("data", "models", "api", "monitoring", "jobs")

# Run in a fresh interpreter: load the DAG files with Airflow already there, as in its processor,
# and report for each which modules are there then and what loading it did to the outside.
PROBE = """
import importlib.util, json, sys
import airflow.sdk, airflow.dag_processing.dagbag
from airflow.sdk import Asset, ExceptionRetryPolicy, Param, dag, get_current_context, task
did, seen = [], {}
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir",
                 "os.remove", "os.rename", "sqlite3.connect", "glob.glob"):
        did.append(f"{event} {args[:2]}")
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        did.append(f"open {args[:2]}")
sys.path.append(sys.argv[1])
sys.dont_write_bytecode = True
sys.addaudithook(watch)
for name in sys.argv[2:]:
    did.clear()
    spec = importlib.util.spec_from_file_location("probed", f"{sys.argv[1]}/{name}_dag.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    seen[name] = {"modules": sorted(sys.modules), "did": list(did)}
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def probed() -> Any:
    """What PROBE saw, by DAG."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(DAGS), *DAG_IDS],
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(params=DAG_IDS)
def dag(request: pytest.FixtureRequest, dagbag: Any) -> Any:
    """Each DAG in turn."""
    return dagbag.dags[request.param]


def test_every_file_loads(dagbag: Any) -> None:
    assert dagbag.import_errors == {}
    assert dagbag.captured_warnings == {}
    assert set(dagbag.dags) == set(DAG_IDS)


def test_only_dag_files_are_parsed(dagbag: Any) -> None:
    parsed = {stat.file.lstrip("/") for stat in dagbag.dagbag_stats}
    assert parsed == {f"{dag_id}_dag.py" for dag_id in DAG_IDS}


def test_tasks_and_their_order(dag: Any) -> None:
    found = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    assert found == TASKS[dag.dag_id]


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_parsing_loads_nothing_heavy_and_touches_nothing(probed: Any, dag_id: str) -> None:
    loaded = {name.partition(".")[0] for name in probed[dag_id]["modules"]}
    assert "dag_defaults" in loaded, "the probe did not load the file"
    assert loaded.isdisjoint(HEAVY + OURS)
    assert probed[dag_id]["did"] == []


def test_dag_has_owner_text_tags_and_limits(dag: Any) -> None:
    assert dag.description and dag.doc_md and "fails when" in dag.doc_md
    assert "meter" in dag.tags and len(dag.tags) >= 2
    assert dag.owner == "meter-platform"
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.start_date is not None and dag.start_date.tzinfo is not None
    assert timedelta(0) < dag.dagrun_timeout <= timedelta(hours=6)


def test_task_retries_and_times_out_within_the_run(dag: Any) -> None:
    for task in dag.tasks:
        assert task.retries == 3, task.task_id
        assert task.retry_exponential_backoff > 1
        assert timedelta(0) < task.execution_timeout < dag.dagrun_timeout
        assert task.__class__.__name__ in ("_PythonDecoratedOperator", "DecoratedMappedOperator")


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        pytest.param(ValueError("line 7: bad"), False, id="bad input"),
        pytest.param(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), False, id="bad encoding"),
        pytest.param(FileNotFoundError("gone"), False, id="missing file"),
        pytest.param(KeyError("x"), False, id="defect"),
        pytest.param(ConnectionError("reset"), True, id="lost connection"),
        pytest.param(TimeoutError("slow"), True, id="timeout"),
        pytest.param(OSError(28, "No space left on device"), True, id="full disk"),
        pytest.param(RuntimeError("server away"), True, id="registry away"),
    ],
)
def test_only_what_time_may_cure_is_tried_again(
    dagbag: Any, error: Exception, retried: bool
) -> None:
    from airflow.sdk import RetryAction

    policy = dagbag.dags["data_pipeline"].default_args["retry_policy"]
    decision = policy.evaluate(error, try_number=1, max_tries=3)
    assert decision.action is (RetryAction.DEFAULT if retried else RetryAction.FAIL)


def test_dag_survives_the_way_through_the_database(dag: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    assert set(DagSerialization.from_dict(stored).task_dict) == set(dag.task_dict)


def test_defaults_of_the_parameters_are_valid(dag: Any) -> None:
    dag.params.validate()
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.description and param.schema.get("title"), name
        assert "type" in param.schema or "enum" in param.schema, name


@pytest.mark.parametrize(
    ("dag_id", "name", "value"),
    [
        pytest.param("data_pipeline", "incoming_dir", "", id="empty folder"),
        pytest.param("data_pipeline", "pattern", "../*.csv", id="pattern leaves the folder"),
        pytest.param("data_pipeline", "source", "gas", id="unknown source"),
        pytest.param("data_pipeline", "max_quarantined_share", 1.5, id="share above 1"),
        pytest.param("training_pipeline", "readings", "elsewhere", id="unknown readings"),
        pytest.param("training_pipeline", "min_rows", 0, id="no rows"),
        pytest.param("training_pipeline", "zone", 9, id="zone is no text"),
        pytest.param("inference_pipeline", "max_age_hours", 0, id="no age"),
    ],
)
def test_wrong_parameter_is_refused(dagbag: Any, dag_id: str, name: str, value: Any) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(dagbag.dags[dag_id].params)
    with pytest.raises(ParamValidationError, match=name):
        params[name] = value


def test_inference_follows_ingestion(dagbag: Any) -> None:
    from dag_defaults import READINGS

    outlets = dagbag.dags["data_pipeline"].get_task("validate_counts").outlets
    assert [asset.name for asset in outlets] == [READINGS.name]
    assert dagbag.dags["inference_pipeline"].timetable.asset_condition is not None
