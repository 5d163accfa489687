#!/bin/sh
# Measures the pipeline against its peers in one run, and writes docs/results/pipeline-*.{md,json}. Needs hyperfine.
# Nothing is cached between runs but the Python environment, which both sides need.
set -eu
cd "$(dirname "$0")/.."
runs=${RUNS:-3}
results=docs/results
command -v hyperfine >/dev/null || { echo "measure_pipeline.sh: hyperfine not found: apt install hyperfine, brew install hyperfine" >&2; exit 2; }
go tool mage -compile "$PWD/bin/pipeline"
bin/pipeline setup
PATH=$(bin/pipeline doctor | sed -n 's/.* \(\/[^ ]*gitleaks-v[^ ]*\).*/\1/p' | head -n 1):$PATH
command -v gitleaks >/dev/null || { echo "measure_pipeline.sh: gitleaks was not found where doctor says it is" >&2; exit 3; }

hyperfine --runs "$runs" --export-markdown "$results/pipeline-check.md" --export-json "$results/pipeline-check.json" \
	-n 'check' 'bin/pipeline check -without=benchmark' \
	-n 'the same tools one after another' scripts/by_hand.sh
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
GOBIN=$tools go install github.com/magefile/mage # of the version in go.mod
hyperfine --warmup 2 --runs 20 -N --export-markdown "$results/pipeline-list.md" --export-json "$results/pipeline-list.json" \
	-n 'compiled' 'bin/pipeline -l' \
	-n 'MAGEFILE_HASHFAST=1 mage -l' "env MAGEFILE_HASHFAST=1 $tools/mage -l" \
	-n 'mage -l' "$tools/mage -l" \
	-n 'go tool mage -l' 'go tool mage -l'
go test -run '^$' -bench . -benchtime 20x ./internal/engine | tee "$results/pipeline-engine.txt"
