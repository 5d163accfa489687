"""What every test gets: isolation from the user's own stores, real data, throwaway databases."""

import os
from pathlib import Path

import pytest

REAL_SETS = ("steel_industry.csv", "household_power.csv", "vic_electricity.csv")


@pytest.fixture(autouse=True)
def isolated_stores(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Point model registry and model directory at empty places: no test touches a user's own."""
    folder = tmp_path_factory.mktemp("stores")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.setenv("MODEL_DIR", str(folder / "models"))
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets (METER_DATA_DIR); without it skipped, in CI failed."""
    folder = os.environ.get("METER_DATA_DIR", "")
    lacking = [name for name in REAL_SETS if not folder or not (Path(folder) / name).is_file()]
    if not lacking:
        return Path(folder)
    reason = f"METER_DATA_DIR ({folder or 'not set'}) lacks {', '.join(lacking)}"
    if os.environ.get("CI"):
        pytest.fail(f"{reason}: CI must test the real data")
    pytest.skip(f"{reason}: set it to the folder of the real data to run this test")
