"""Schemathesis against the served OpenAPI document: valid and invalid data, every check.

As a command against a real server, since that is how a client meets it.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

from api_support import Server, write_models


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    write_models(tmp_path / "models")
    with Server(MODEL_DIR=str(tmp_path / "models")) as server:
        server.wait_ready()
        url = f"http://127.0.0.1:{server.port}/openapi.json"
        command = f"run {url} --checks all --mode all --max-examples 10 --seed 1"
        options = "--request-timeout 10 --report json --report-json-path report.json"
        done = subprocess.run(
            [Path(sys.executable).with_name("schemathesis"), *f"{command} {options}".split()],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        answered = {path: answers(server, path) for path in ("/predict", "/predict/batch")}
    assert "Traceback" not in "".join(server.lines)
    report = json.loads((tmp_path / "report.json").read_text())
    # Green means green: it ran to its end, on every operation, and both kinds of data arrived.
    assert report["complete"] and report["operations"]["tested"] == 6
    assert report["test_cases"]["generated"] > 200 and not report["failures"]
    for path, counts in answered.items():
        assert counts["200"] >= 5 and counts["422"] >= 50, (path, counts)


def answers(server: Server, path: str) -> dict[str, float]:
    """How often a path answered with each status."""
    url = f"http://127.0.0.1:{server.port}/metrics"
    text = urlopen(url, timeout=10).read().decode()  # nosec B310 - the url is our own
    pattern = rf'http_requests_total{{method="POST",route="{path}",status="(\d+)"}} (.+)'
    return {status: float(count) for status, count in re.findall(pattern, text)}
