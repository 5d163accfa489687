"""Writes docs/results/data-peers.{md,json} and data-linear.md from what measure_data.sh measured.

python scripts/peers/report.py TIMES ONCE

TIMES is hyperfine's JSON, ONCE has one line of once.py for each single run.
"""

import json
import os
import statistics
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
#: What is shown for each checker, and the packages whose versions matter.
NAMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "pipeline": ("this pipeline, with profile", ()),
    "duckdb": ("DuckDB, one query", ("duckdb",)),
    "polars": ("Polars, one streaming query", ("polars",)),
    "pandera-polars": ("pandera on Polars", ("pandera", "polars")),
    "pandera": ("pandera on pandas", ("pandera", "pandas")),
    "frictionless": ("frictionless", ("frictionless",)),
}


def machine() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    load = round(os.getloadavg()[2], 1)
    return {"cores": os.cpu_count(), "cpu": model, "load_of_15_minutes": load}


def peers(times: list[dict[str, Any]], once: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each checker, the fastest first."""
    measured = {entry["command"]: entry for entry in times}
    rows = []
    for name, (title, packages) in NAMES.items():
        single, many = once[name], measured.get(name)
        inside = single["inside"] or {}
        rows.append(
            {
                "name": name,
                "title": title,
                "version": ", ".join(f"{package} {version(package)}" for package in packages),
                "seconds": many["mean"] if many else single["seconds"],
                "deviation": many["stddev"] if many else None,
                "runs": len(many["times"]) if many else 1,
                "times": many["times"] if many else [single["seconds"]],
                "without_start": inside.get("seconds"),
                "rows": inside.get("rows", 0),
                "cpu": single["cpu"],
                "peak_mib": single["peak_mib"],
                "finished": single["exit"] == 0,
            }
        )
    return sorted(rows, key=lambda row: row["seconds"])


def peer_line(row: dict[str, Any], ours: float) -> str:
    """Return a row of the table."""
    spread = "once" if row["deviation"] is None else f"± {row['deviation']:.2f}"
    seconds = f"{row['seconds']:.2f} {spread}" + ("" if row["finished"] else ", not finished")
    inside = f"{row['without_start']:.2f}" if row["without_start"] else "–"
    title = f"{row['title']} ({row['version']})" if row["version"] else row["title"]
    factor = f"{row['seconds'] / ours:.1f}"
    return f"| {title} | {seconds} | {inside} | {row['cpu']:.2f} | {row['peak_mib']} | {factor} |"


def fit(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Return seconds at zero and seconds per gigabyte, by least squares."""
    slope, intercept = statistics.linear_regression(*zip(*points))
    return intercept, slope


def linear_page(runs: list[dict[str, Any]], about: str) -> str:
    """Return the page about the cost of larger files."""
    lines = [
        "# The data stage on larger files",
        "",
        "Written by `scripts/measure_data.sh`: every check of the contract, the exact key and the",
        f"profile, on files with unique keys. {about}",
        "",
        "| rows | GB | seconds (the runs) | GB/s | MiB at most |",
        "|---:|---:|---|---:|---:|",
    ]
    points, seen = [], []
    for label in dict.fromkeys(run["label"] for run in runs):
        same = [run for run in runs if run["label"] == label]
        _, rows, size = label.split()
        gigabytes, times = int(size) / 1e9, [run["seconds"] for run in same]
        middle = statistics.median(times)
        points += [(gigabytes, seconds) for seconds in times]
        seen.append((gigabytes, middle))
        shown = ", ".join(f"{seconds:.2f}" for seconds in times)
        peak = max(run["peak_mib"] for run in same)
        lines.append(
            f"| {int(rows):,} | {gigabytes:.2f} | {shown} | {gigabytes / middle:.3f} | {peak} |"
        )
    start, slope = fit(points)
    off = max(abs(start + slope * size - seconds) / seconds for size, seconds in seen)
    lines += [
        "",
        f"The straight line through all runs: {start:.2f} s and {slope:.2f} s for each GB; no",
        f"median is further than {off:.1%} from it. So 10 GB take about {start + 10 * slope:.0f} s",
        "(extrapolated, not measured).",
        "",
    ]
    return "\n".join(lines)


def peers_page(rows: list[dict[str, Any]], about: str) -> str:
    """Return the page that compares the checkers."""
    ours = next(row["seconds"] for row in rows if row["name"] == "pipeline")
    count = max(row["rows"] for row in rows)
    return "\n".join(
        [
            "# The data stage and its peers",
            "",
            f"Written by `scripts/measure_data.sh`: one file of {count:,} rows and 17 columns",
            "(from `scripts/generate_features.py`), one contract, one run.",
            about,
            "",
            "All check every type, what is required, every range and length, the exact uniqueness",
            "of the key and the number of rows, as `scripts/peers/features.yaml` says. Before they",
            "are measured, each has refused six files that are spoiled in one cell. The pipeline",
            "makes the profile of each column as well, and names row and column of what it finds;",
            "of the others only frictionless and pandera do.",
            "",
            "Seconds are of the whole process, mean and standard deviation, with the file in the",
            "page cache; without start means without the start of Python and its imports.",
            "",
            "| checker | seconds | without start | CPU seconds | MiB at most | factor |",
            "|---|---|---:|---:|---:|---:|",
            *[peer_line(row, ours) for row in rows],
            "",
        ]
    )


def main(times: str, once: str) -> int:
    """Write the three files."""
    hyperfine = json.loads(Path(times).read_text(encoding="utf-8"))["results"]
    singles = [json.loads(line) for line in Path(once).read_text(encoding="utf-8").splitlines()]
    rows = peers(hyperfine, {entry["label"]: entry for entry in singles})
    facts = machine()
    load = f"load average {facts['load_of_15_minutes']} over the last 15 minutes"
    about = f"{facts['cores']} cores ({facts['cpu']}), {load}."
    linear = [entry for entry in singles if entry["label"].startswith("linear ")]
    raw = {"machine": facts, "peers": rows, "linear": linear}
    text = json.dumps(raw, indent=1, sort_keys=True) + "\n"
    (RESULTS / "data-peers.json").write_text(text, encoding="utf-8")
    (RESULTS / "data-peers.md").write_text(peers_page(rows, about), encoding="utf-8")
    (RESULTS / "data-linear.md").write_text(linear_page(linear, about), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
