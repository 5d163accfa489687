"""Say whether safety's own database can be reached: exit code 0, or 1 and why not.

It asks for the database in the way in which safety does, with the same address, proxies and certificates, and reads
nothing but the answer's head. safety itself takes many seconds to start, and to give up.
"""

import os
import sys

from safety.constants import API_MIRRORS, OPEN_MIRRORS  # isort: skip (first, since without it nothing else matters)
import requests

key = os.environ.get("SAFETY_API_KEY")
mirrors = API_MIRRORS if key else OPEN_MIRRORS
try:
    with requests.get(mirrors[0] + "insecure.json", timeout=(3, 5), stream=True) as reply:
        if not key:
            reply.raise_for_status()
except requests.RequestException as error:
    cause = error
    while cause.__context__ is not None:
        cause = cause.__context__
    print(f"{type(error).__name__}: {cause}")
    sys.exit(1)
print("it can be reached")
