"""Exits 0 if a role of Airflow on this host is alive: ``heartbeat.py DagProcessorJob``.

As `airflow jobs check` does, it asks Airflow's database for a young heartbeat; but that takes
seconds of a processor to begin with, and this runs every few seconds.
"""

import os
import socket
import sys
from pathlib import Path

# Airflow's own is half a minute between two looks of `airflow jobs check`; a beat comes every 5 s.
OLDEST = 60

QUERY = """
SELECT extract(epoch FROM now() - max(latest_heartbeat)) FROM job
WHERE job_type = %s AND hostname = %s AND state = 'running'
"""


def main() -> int:
    """Ask once, and return the exit code."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))  # isolated mode leaves it out
    # pylint: disable=import-outside-toplevel  # found by the path that is set above only
    import psycopg
    from told import NotToldError, told

    role = sys.argv[1]
    try:
        environment = told(os.environ)
        address = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg", "", 1)
        with psycopg.connect(
            address, password=environment.get("PGPASSWORD"), connect_timeout=3
        ) as connection:
            row = connection.execute(QUERY, (role, socket.gethostname())).fetchone()
    except (psycopg.Error, KeyError, NotToldError) as error:
        print(f"{role}: {type(error).__name__}: {error}")
        return 1
    age = row[0] if row else None
    print(f"{role}: " + ("no heartbeat" if age is None else f"last heartbeat {age:.0f} s ago"))
    return 0 if age is not None and age <= OLDEST else 1


if __name__ == "__main__":
    sys.exit(main())
