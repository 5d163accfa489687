"""The hop of the integration stage: every DAG file loads and gives the DAG that it is for.

What the DAGs hold, and that they run, is tested by the other files here; see tests/system/README.md
for what a hop reports.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_dagbag import DAGS, TASKS

FILES = sorted(path.name for path in DAGS.glob("*_dag.py"))


@pytest.mark.parametrize("name", FILES)
def test_file_loads(dagbag: Any, name: str, record_property: Callable[..., None]) -> None:
    errors = {Path(path).name: text for path, text in dagbag.import_errors.items()}
    if name in errors:
        record_property("sent", f"airflow_dags/{name}, as Airflow's processor loads it")
        record_property("came", " ".join(errors[name].strip().splitlines()[-3:]))
        record_property("expected", "no import error")
        pytest.fail(f"{name} does not load", pytrace=False)


def test_every_dag_has_a_file() -> None:
    assert FILES == sorted(f"{dag_id}_dag.py" for dag_id in TASKS)


@pytest.mark.parametrize("dag_id", sorted(TASKS))
def test_dag_is_whole(dagbag: Any, dag_id: str, record_property: Callable[..., None]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    if f"{dag_id}_dag.py" in {Path(path).name for path in dagbag.import_errors}:
        pytest.skip("its file does not load")
    assert dag_id in dagbag.dags, f"{dag_id}_dag.py gives no DAG {dag_id}: {sorted(dagbag.dags)}"
    dag = dagbag.dags[dag_id]
    order = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    expected = {task: sorted(after) for task, after in TASKS[dag_id].items()}
    if order != expected:
        record_property("sent", f"airflow_dags/{dag_id}_dag.py")
        record_property("came", json.dumps(order))
        record_property("expected", json.dumps(expected))
        pytest.fail(f"tasks of {dag_id} and what they come before", pytrace=False)
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    assert set(DagSerialization.from_dict(stored).task_dict) == set(expected)
