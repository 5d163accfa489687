"""Run the benchmarks of the Python system and write what they measured.

    python scripts/benchmark_report.py

writes docs/results/benchmarks.md, and beside it pytest-benchmark's own report without the single
rounds (benchmarks.json). Run it on a machine that does nothing else; the load is written down.
"""

import json
import os
import subprocess  # nosec B404  # the benchmarks run in a process of their own, without a shell
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"

# Benchmark (prefix of its name): documented limit, aim. A limit without a percentile is for all.
GOALS = {
    "test_model_load": ("1 s", "200 ms"),
    "test_single_prediction": ("5 ms", "p99 1 ms"),
    "test_batch_of_100": ("500 ms", "10 ms"),
    "test_api_response_at_200_per_second": ("100 ms", "p99 15 ms"),
    "test_create_features_on_a_million_rows": ("2 s", "1 s"),
}


def goals(name: str) -> tuple[str, str]:
    """Return the documented limit and the aim of a benchmark, empty where there is none."""
    return next((goal for prefix, goal in GOALS.items() if name.startswith(prefix)), ("", ""))


def table(report: dict) -> list[str]:
    """Return the rows of the table, in the order of the benchmarks' names."""
    rows = []
    for bench in sorted(report["benchmarks"], key=lambda entry: entry["name"]):
        info = bench["extra_info"]
        times = [f"{info[name]:.3f}" for name in ("p50_ms", "p95_ms", "p99_ms")]
        rounds = info.get("requests", info.get("rounds"))
        rows.append(
            f"| {' | '.join([bench['name'], *times, str(rounds), *goals(bench['name'])])} |"
        )
    return rows


def main() -> int:
    """Run, write, and return pytest's exit code."""
    raw = RESULTS / "benchmarks.json"
    load = os.getloadavg()[0]
    command = [sys.executable, "-m", "pytest", "tests/benchmarks", "-q", f"--benchmark-json={raw}"]
    done = subprocess.run(command, cwd=ROOT, check=False)  # nosec B603  # a fixed command
    if done.returncode:
        return done.returncode
    report = json.loads(raw.read_text(encoding="utf-8"))
    report["machine_info"].pop("node", None)  # the machine's name is nobody's business
    for bench in report["benchmarks"]:
        bench["stats"].pop("data", None)  # thousands of rounds, which the percentiles sum up
        bench.pop("params", None)  # whole request bodies; their names are in the benchmark's own
    raw.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    machine = report["machine_info"]
    cores, model = machine["cpu"]["count"], machine["cpu"]["brand_raw"]
    lines = [
        "# Benchmarks of the Python system",
        "",
        "Written by `python scripts/benchmark_report.py`; raw figures in `benchmarks.json`.",
        f"{cores} cores ({model}), Python {machine['python_version']},",
        f"load average {load:.1f} at the start.",
        "",
        "Milliseconds of a round; the response at 200 per second is an open loop on one worker",
        "over 64 kept-alive connections, its latency counted from the appointed time.",
        "",
        "| benchmark | p50 | p95 | p99 | rounds | limit | aim |",
        "|---|---|---|---|---|---|---|",
        *table(report),
        "",
    ]
    (RESULTS / "benchmarks.md").write_text("\n".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
