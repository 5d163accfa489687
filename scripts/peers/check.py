#!/usr/bin/env python3
"""Checks a CSV file against a contract with one of the libraries that data stages are built on.

    .venv-peers/bin/python scripts/peers/check.py NAME FILE CONTRACT

NAME is frictionless, pandera, pandera-polars, polars or duckdb. All make the same checks, which
they read from the contract: the type of every column, required, minimum, maximum, minLength and
maxLength, the exact uniqueness of the primary key, and the least number of rows. Each is written
as its documentation recommends for a large file; of several ways the fastest was taken.

Prints one line of JSON: valid, rows, seconds (without the start of Python and imports) and
peak_mib (resident, of the whole process). Exit code 0 valid, 1 not, 2 usage.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Verdict = tuple[bool, int]
Check = Callable[[Path, dict[str, Any]], Verdict]


def frictionless() -> Check:
    """Return the check of the standard's own implementation, all errors counted."""
    import frictionless as lib

    lib.system.trusted = True  # it refuses absolute paths otherwise

    def check(path: Path, contract: dict[str, Any]) -> Verdict:
        standard = {key: value for key, value in contract.items() if key != "quality"}
        resource_ = lib.Resource.from_descriptor({**standard, "path": str(path)})
        report = resource_.validate(limit_errors=1_000_000)
        rows = report.tasks[0].stats["rows"]
        return report.valid and rows >= least(contract), rows

    return check


def pandera() -> Check:
    """Return the check with pandas, whose C reader parses, and pandera's schema."""
    import pandas as pd
    import pandera.pandas as pa

    types = {"string": "str", "number": "float64", "integer": "Int64"}

    def column(field: dict[str, Any]) -> pa.Column:
        rules, checks = field.get("constraints", {}), []
        convert = pd.Timestamp if field["type"] == "datetime" else (lambda value: value)
        if "minimum" in rules:
            checks.append(pa.Check.in_range(convert(rules["minimum"]), convert(rules["maximum"])))
        if "minLength" in rules:
            checks.append(pa.Check.str_length(rules["minLength"], rules["maxLength"]))
        kind = types.get(field["type"]) or pd.DatetimeTZDtype("us", "UTC")
        return pa.Column(kind, checks, nullable=not rules.get("required", False))

    def check(path: Path, contract: dict[str, Any]) -> Verdict:
        fields = contract["schema"]["fields"]
        schema = pa.DataFrameSchema(
            {field["name"]: column(field) for field in fields},
            unique=contract["schema"]["primaryKey"],
            strict=True,
            ordered=True,
        )
        dates = [field["name"] for field in fields if field["type"] == "datetime"]
        kinds = {f["name"]: types[f["type"]] for f in fields if f["type"] in types}
        try:
            frame = pd.read_csv(
                path, dtype=kinds, parse_dates=dates, na_values=[""], keep_default_na=False
            )
            schema.validate(frame, lazy=True)
        except (ValueError, TypeError, pa.errors.SchemaErrors):
            return False, 0
        return len(frame) >= least(contract), len(frame)

    return check


def pandera_polars() -> Check:
    """Return the check with Polars, whose reader parses, and pandera's schema."""
    import pandera.polars as pa
    import polars as pl

    types = polars_types(pl)

    def column(field: dict[str, Any]) -> pa.Column:
        rules, checks = field.get("constraints", {}), []
        if "minimum" in rules:
            low, high = (polars_limit(pl, field, rules[k]) for k in ("minimum", "maximum"))
            checks.append(pa.Check.in_range(low, high))
        if "minLength" in rules:
            checks.append(pa.Check.str_length(rules["minLength"], rules["maxLength"]))
        kind = types.get(field["type"]) or pl.Datetime("us", "UTC")
        return pa.Column(kind, checks, nullable=not rules.get("required", False))

    def check(path: Path, contract: dict[str, Any]) -> Verdict:
        schema = pa.DataFrameSchema(
            {field["name"]: column(field) for field in contract["schema"]["fields"]},
            unique=contract["schema"]["primaryKey"],
            strict=True,
            ordered=True,
        )
        try:
            frame = polars_scan(pl, path, contract).collect()
            schema.validate(frame, lazy=True)
        except (pl.exceptions.PolarsError, pa.errors.SchemaErrors):
            return False, 0
        return frame.height >= least(contract), frame.height

    return check


def polars_types(pl: Any) -> dict[str, Any]:
    """Return Polars' types by those of the contract; instants are read as text first."""
    return {"string": pl.String, "number": pl.Float64, "integer": pl.Int64}


def polars_limit(pl: Any, field: dict[str, Any], limit: Any) -> Any:
    """Return a minimum or maximum as a value of the field's type."""
    if field["type"] != "datetime":
        return limit
    return pl.Series([limit]).str.to_datetime("%+", time_unit="us", time_zone="UTC").item()


def polars_scan(pl: Any, path: Path, contract: dict[str, Any]) -> Any:
    """Return the lazy frame of a file, typed; what is no value of its type is an error."""
    fields = contract["schema"]["fields"]
    types = polars_types(pl)
    kinds = {field["name"]: types.get(field["type"], pl.String) for field in fields}
    dates = [field["name"] for field in fields if field["type"] == "datetime"]
    return pl.scan_csv(path, schema=kinds).with_columns(
        pl.col(dates).str.to_datetime("%Y-%m-%dT%H:%M:%S%:z", time_unit="us", time_zone="UTC")
    )


def polars() -> Check:
    """Return the check as one lazy query in Polars' streaming engine."""
    import polars as pl

    def broken(field: dict[str, Any]) -> list[Any]:
        rules, column, wrong = field.get("constraints", {}), pl.col(field["name"]), []
        if rules.get("required"):
            wrong.append(column.null_count())
        if "minimum" in rules:
            low, high = (polars_limit(pl, field, rules[k]) for k in ("minimum", "maximum"))
            wrong.append((~column.is_between(low, high)).sum())
        if "minLength" in rules:
            length = column.str.len_chars()
            wrong.append((~length.is_between(rules["minLength"], rules["maxLength"])).sum())
        return wrong

    def check(path: Path, contract: dict[str, Any]) -> Verdict:
        schema = contract["schema"]
        wrong = [expression for field in schema["fields"] for expression in broken(field)]
        query = polars_scan(pl, path, contract).select(
            pl.len().alias("rows"),
            pl.struct(schema["primaryKey"]).n_unique().alias("keys"),
            *[expression.alias(f"wrong {n}") for n, expression in enumerate(wrong)],
            # A column that no rule looks at would not even be parsed.
            *[
                pl.col(field["name"]).count().alias(f"count {field['name']}")
                for field in schema["fields"]
            ],
        )
        try:
            row = query.collect(engine="streaming").row(0, named=True)
        except pl.exceptions.PolarsError:
            return False, 0
        rows, keys = row["rows"], row["keys"]
        found = sum(value for name, value in row.items() if name.startswith("wrong"))
        return found == 0 and keys == rows and rows >= least(contract), rows

    return check


def duckdb() -> Check:
    """Return the check as one SQL query; its reader parses with all threads."""
    import duckdb as lib

    # Read as BIGINT, 7.5 would become 8.
    types = {"string": "VARCHAR", "number": "DOUBLE", "integer": "DOUBLE"}

    def broken(field: dict[str, Any]) -> list[str]:
        rules, name, wrong = field.get("constraints", {}), f'"{field["name"]}"', []
        quote = "TIMESTAMPTZ '{}'".format if field["type"] == "datetime" else str
        if rules.get("required"):
            wrong.append(f"{name} IS NULL")
        if field["type"] == "integer":
            wrong.append(f"{name} <> trunc({name})")
        if "minimum" in rules:
            low, high = quote(rules["minimum"]), quote(rules["maximum"])
            wrong.append(f"{name} NOT BETWEEN {low} AND {high}")
        if "minLength" in rules:
            low, high = rules["minLength"], rules["maxLength"]
            wrong.append(f"length({name}) NOT BETWEEN {low} AND {high}")
        return wrong

    def check(path: Path, contract: dict[str, Any]) -> Verdict:
        schema = contract["schema"]
        kinds = {f["name"]: types.get(f["type"], "TIMESTAMPTZ") for f in schema["fields"]}
        wrong = [f"count_if({rule})" for field in schema["fields"] for rule in broken(field)]
        counts = [f'count("{name}")' for name in kinds]
        key = ", ".join(f'"{name}"' for name in schema["primaryKey"])
        counts += ["count(*)", f"count(DISTINCT ({key}))", " + ".join(wrong)]
        reader = (
            f"FROM read_csv(?, columns = {kinds}, delim = ',', quote = '\"', escape = '\"', "
            "header = true, nullstr = '', auto_detect = false)"
        )
        query = " ".join(["SELECT", ", ".join(counts), reader])
        try:
            with lib.connect(config={"threads": 2}) as connection:
                row = connection.execute(query, [str(path)]).fetchone()
        except lib.Error:
            return False, 0
        rows, keys, found = (row or (0, 0, 0))[-3:]
        return found == 0 and keys == rows and rows >= least(contract), rows

    return check


def least(contract: dict[str, Any]) -> int:
    """Return the least number of rows that the contract asks for."""
    return contract.get("quality", {}).get("rows", {}).get("minimum", 1)


PEERS: dict[str, Callable[[], Check]] = {
    "frictionless": frictionless,
    "pandera": pandera,
    "pandera-polars": pandera_polars,
    "polars": polars,
    "duckdb": duckdb,
}


def main(arguments: list[str]) -> int:
    """Run one check, print what came of it, and return the exit code."""
    if len(arguments) != 3 or arguments[0] not in PEERS:
        print(f"usage: check.py {'|'.join(PEERS)} FILE CONTRACT", file=sys.stderr)
        return 2
    name, path, contract = arguments[0], Path(arguments[1]), Path(arguments[2])
    check = PEERS[name]()
    started = time.perf_counter()
    valid, rows = check(path, yaml.safe_load(contract.read_text(encoding="utf-8")))
    seconds = time.perf_counter() - started
    # Kilobytes, but bytes on macOS.
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(
        json.dumps(
            {"valid": valid, "rows": rows, "seconds": round(seconds, 3), "peak_mib": round(peak)}
        )
    )
    return 0 if valid else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
