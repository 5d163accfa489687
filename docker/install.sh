#!/bin/sh
# In a build stage: makes /venv from one hash-pinned requirements file, the same bytes every time.
#   install.sh UV_REQUIREMENTS REQUIREMENTS
# What a machine needs to reach its package index comes as secrets, so that no layer holds it: "ca", a bundle of
# certificates, and "index", an address. Both are optional.
set -eu
if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca; fi
if [ -s /run/secrets/index ]; then
	PIP_INDEX_URL=$(cat /run/secrets/index)
	export PIP_INDEX_URL UV_DEFAULT_INDEX="$PIP_INDEX_URL"
fi
export UV_CACHE_DIR=/cache/uv UV_LINK_MODE=copy UV_NO_CONFIG=1 UV_PYTHON_DOWNLOADS=never

# uv has an environment of its own, which stays in this stage.
python3 -m venv /uv
/uv/bin/pip install --quiet --disable-pip-version-check --cache-dir /cache/pip --require-hashes --requirement "$1"
/uv/bin/uv venv --quiet --no-project --python python3 /venv
/uv/bin/uv pip sync --quiet --python /venv/bin/python --require-hashes "$2"
# Tests of packages: a tenth of what they take.
find /venv/lib/python3*/site-packages -type d -name tests -prune -exec rm -r {} +
