"""Hop 7: the API against its OpenAPI document, and the document against what clients rely on."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from hops import Mismatch, PartDown, Uvicorn, left, same, serving
from predictions import ready

# What clients send and read: a name that changes here breaks them.
REQUEST = {
    "voltage": "number",
    "temperature": "number",
    "power_factor": "number",
    "load_kw": "number",
    "frequency_hz": "number",
    "hour": "integer",
    "day_of_week": "integer",
    "is_weekend": "integer",
    "voltage_flag": "integer",
    "pf_issue": "integer",
    "high_temp": "integer",
    "load_intensity": "number",
}
OPTIONAL = {"units_lag_day", "units_lag_week", "units_mean_day", "units_mean_week"}
ANSWER = {
    "units_kwh": "number",
    "high_consumption_probability": "number",
    "model_version": "string",
    "high_consumption_model_version": "string",
}
OPERATIONS = {
    "/predict": ["post"],
    "/predict/batch": ["post"],
    "/health/live": ["get"],
    "/health/ready": ["get"],
    "/metrics": ["get"],
    "/version": ["get"],
}


@pytest.fixture(name="server", scope="module")
def fixture_server(parts: None) -> Iterator[Uvicorn]:
    with serving(left("models/sample", by="load")) as server:
        ready(server)
        yield server


@pytest.fixture(name="document", scope="module")
def fixture_document(server: Uvicorn) -> dict:
    status, document = server.ask("GET", "/openapi.json")
    same("status of the OpenAPI document", status, 200, sent="GET /openapi.json")
    return document


def test_operations_are_the_documented_ones(document: dict) -> None:
    came = {path: list(operations) for path, operations in document["paths"].items()}
    same("operations in the OpenAPI document", came, OPERATIONS, sent="GET /openapi.json")


@pytest.mark.parametrize(
    ("schema", "fields", "optional"),
    [("MeterFeatures", REQUEST, OPTIONAL), ("Prediction", ANSWER, set())],
    ids=["request", "answer"],
)
def test_fields_are_the_ones_that_clients_use(
    document: dict, schema: str, fields: dict[str, str], optional: set[str]
) -> None:
    found = document["components"]["schemas"][schema]
    names, wanted = set(found["properties"]), set(fields) | optional
    if names != wanted:
        raise Mismatch(
            f"fields of {schema} in the OpenAPI document",
            sent="GET /openapi.json",
            came=f"without {sorted(wanted - names)}, with the unknown {sorted(names - wanted)}",
            expected=sorted(wanted),
        )
    same(f"required fields of {schema}", sorted(found["required"]), sorted(fields))
    types = {name: found["properties"][name]["type"] for name in fields}
    same(f"types of the fields of {schema}", types, fields)


def test_schemathesis_finds_nothing(server: Uvicorn, tmp_path: Path) -> None:
    """Valid and invalid data against every operation, by the tool as a program."""
    url = f"http://127.0.0.1:{server.port}/openapi.json"
    command = f"run {url} --checks all --mode all --max-examples 8 --seed 1 --no-color"
    options = "--request-timeout 10 --report json --report-json-path report.json"
    done = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), *f"{command} {options}".split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    path = tmp_path / "report.json"
    if not path.is_file():
        raise PartDown(f"schemathesis ended without a report: {(done.stdout + done.stderr)[-500:]}")
    report = json.loads(path.read_text())
    if report["failures"]:
        raise Mismatch(
            "what schemathesis finds",
            sent=f"{report['test_cases']['generated']} generated requests",
            came=" ".join(done.stdout.split("FAILURES")[-1].split())[:500],
            expected="answers as the OpenAPI document says",
        )
    same("exit code of schemathesis", done.returncode, 0)
    # Green means green: it ran to its end, on every operation, and both kinds of data arrived.
    came = (report["complete"], report["operations"]["tested"])
    same("operations that schemathesis came to the end of", came, (True, len(OPERATIONS)))
    for path_, counts in (
        (path_, answers(server, path_)) for path_ in ("/predict", "/predict/batch")
    ):
        enough = counts.get("200", 0) >= 3 and counts.get("422", 0) >= 20
        if not enough:
            raise Mismatch(
                f"answers of {path_} to schemathesis", came=counts, expected="3 of 200, 20 of 422"
            )


def answers(server: Uvicorn, path: str) -> dict[str, float]:
    """How often a path answered with each status."""
    url = f"http://127.0.0.1:{server.port}/metrics"
    text = urlopen(url, timeout=10).read().decode()  # nosec B310 - the url is our own
    pattern = rf'http_requests_total{{method="POST",route="{path}",status="(\d+)"}} (.+)'
    return {status: float(count) for status, count in re.findall(pattern, text)}
