"""The same way for the real data sets of METER_DATA_DIR: features, training, registry, serving.

The other hops are about PostgreSQL and the MLflow server. Here each set has a registry of its own,
so that no model meets the champion of another meter, and nothing waits for those hops.
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hops import PartDown, directory, same, serving
from predictions import compare, ready
from trained import leave_trained

from data.create_datasets import create_dataset, load_data
from model_support import store
from models.artifact import CLASSIFICATION, REGRESSION, ModelArtifact
from models.inference import export_champions
from models.registry import Registry
from models.report import REAL_SETS
from models.train import TRAINERS

# MLflow 3.17 uses a loader strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
SETS = os.environ.get("METER_SYSTEM_SETS", "").split()


def file_of(name: str) -> Path:
    """The file of a set; PartDown when it is not there."""
    assert name in REAL_SETS, f"METER_SYSTEM_SETS names {name}: there are {', '.join(REAL_SETS)}"
    path = Path(os.environ["METER_DATA_DIR"]).resolve() / REAL_SETS[name]
    if not path.is_file():
        raise PartDown(f"METER_DATA_DIR holds no {path.name}: copy it there")
    return path


@pytest.mark.parametrize("name", SETS)
def test_real_set_is_trained_and_served(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file_of(name)
    readings = load_data(path, name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store(tmp_path))
    registry = Registry()
    results = []
    for kind in (REGRESSION, CLASSIFICATION):
        result = TRAINERS[kind](readings, registry=registry)
        same(f"{kind} of {name} becomes champion", result.registered, True, sent=result.reason)
        results.append(result)
    files = [Path(unquote(urlsplit(result.artifact_uri).path)) for result in results]
    artifacts = [ModelArtifact.load(each) for each in files]
    versions = export_champions(directory() / "models" / name)
    same(
        f"versions of the exported champions of {name}",
        versions,
        {result.model: result.version for result in results},
    )
    test = create_dataset(readings).split()[1]
    leave_trained(name, path, readings, test, results, artifacts)
    with serving(directory() / "models" / name) as server:
        ready(server)
        compare(server, name, singles=50)
