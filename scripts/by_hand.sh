#!/bin/sh
# The tools of `mage check`, one after another, as somebody would type them: what measure_pipeline.sh compares with.
# Needs the environment of `mage setup`, gitleaks on PATH, and METER_ADVISORIES where safety can't reach its database.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
paths="src tests airflow_dags scripts"

# shellcheck disable=SC2086 # a list of paths
{
	BLACK_CACHE_DIR=$out black --check -q $paths # nothing is cached in the pipeline either
	isort --check -q $paths
	flake8 $paths
	pylint src >"$out/pylint" || [ $? -lt 32 ] # its exit code is a bit mask of what it found
	bandit -q -c pyproject.toml -r src airflow_dags scripts >"$out/bandit"
}
safety check ${METER_ADVISORIES:+--db "$METER_ADVISORIES"} -r requirements/api.txt -r requirements/train.txt \
	-r requirements/mlflow.txt -r requirements/airflow.txt --save-json "$out/safety.json" >"$out/safety" 2>&1 || [ $? -eq 64 ]
mkdir "$out/tree"
git archive HEAD | tar -x -C "$out/tree" # what is ignored is nobody's secret to leak
gitleaks dir --no-banner --redact --log-level error "$out/tree"
gitleaks git --no-banner --redact --log-level error .
COVERAGE_FILE=$out/coverage pytest tests/unit -q -n "$(nproc)" -p no:cacheprovider --cov=src --cov-branch \
	--cov-report="json:$out/coverage.json" --cov-report="html:$out/htmlcov" --cov-report="xml:$out/coverage.xml"
# What is ours from end to end has no other tool: the same steps, one after another.
bin/pipeline check -jobs=1 -without=quality,security,unit,benchmark
