#!/bin/sh
# Rewrites requirements/*.txt from requirements/*.in, hash-pinned, for Python 3.11 on every platform.
# dev.txt is resolved first and constrains the others, so what is tested is what is shipped.
set -eu
cd "$(dirname "$0")/../requirements"
UV=${UV:-uv}
command -v "$UV" >/dev/null || { echo "lock.sh: uv not found: run 'mage setup' or 'pip install uv', or set UV=" >&2; exit 2; }

lock() {
	name=$1
	shift
	"$UV" pip compile --quiet --no-config --python-version 3.11 --universal --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command scripts/lock.sh \
		"$@" "$name.in" --output-file "$name.txt"
	echo "locked requirements/$name.txt"
}

lock dev "$@"
lock api -c dev.txt "$@"
lock train -c dev.txt "$@"
lock mlflow -c dev.txt "$@"
lock airflow "$@"
lock airflow-dev -c airflow.txt "$@"
lock peers "$@"
lock uv "$@"
