"""Judges many small files with frictionless, for the differential test.

python frictionless_worker.py REQUESTS ANSWERS

A line of REQUESTS is {"descriptors": [...]}: data resources with absolute paths, of which the first
is judged and the others are what its foreign keys refer to. A line of ANSWERS is {"valid", "rows",
"errors": [{"type", "note", "row", "field", "column", "cell"}], "failure"}.
"""

import json
import sys
from typing import Any

from frictionless import Package, system
from frictionless.exception import FrictionlessException

system.trusted = True  # it refuses absolute paths otherwise
LIMIT = 100_000


def judge(request: dict[str, Any]) -> dict[str, Any]:
    """Return what frictionless says of the first of the resources."""
    try:
        package = Package.from_descriptor({"resources": request["descriptors"]})
        task = package.resources[0].validate(limit_errors=LIMIT).tasks[0]
    except FrictionlessException as failure:
        return {"valid": False, "rows": 0, "errors": [], "failure": str(failure.error)}
    except Exception as crash:  # pylint: disable=broad-exception-caught  # the other files go on
        failure = f"{type(crash).__name__}: {crash}"
        return {"valid": False, "rows": 0, "errors": [], "failure": failure}
    errors = [
        {
            "type": error.type,
            "note": error.note,
            "row": getattr(error, "row_number", 0),
            "field": getattr(error, "field_number", 0),
            "column": getattr(error, "field_name", ""),
            "cell": getattr(error, "cell", ""),
        }
        for error in task.errors
    ]
    rows = task.stats.get("rows") or 0
    return {"valid": task.valid, "rows": rows, "errors": errors, "failure": ""}


def main(requests: str, answers: str) -> int:
    """Answer every line."""
    with open(requests, encoding="utf-8") as lines, open(answers, "w", encoding="utf-8") as out:
        for line in lines:
            json.dump(judge(json.loads(line)), out)
            out.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
