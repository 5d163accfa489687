#!/bin/sh
# Measures how long builds of the images take, and writes docs/results/images.md. It needs hyperfine, and a trained
# model (mage integration). Without a base image it brings up the machine that tests use, and ends it.
set -eu
cd "$(dirname "$0")/.."
if [ -z "${METER_BASE_IMAGE:-}" ]; then exec go run ./internal/stage/image/imagetest/machine sh scripts/measure_images.sh; fi
work=$(mktemp -d)
source=src/api/measured.py
trap 'rm -rf "$work" "$source"' EXIT
go tool mage -compile "$work/pipeline"

measure() { # name, runs, what comes before each run, arguments
	name=$1 runs=$2 before=$3
	shift 3
	hyperfine --runs "$runs" --prepare "$before" --export-json "$work/$name.json" "$work/pipeline image:build $*"
}
forget="rm -rf .pipeline/images"
measure cold 1 "docker buildx prune --all --force >/dev/null; $forget"
measure cached 3 "$forget"
measure unchanged 5 true
measure fresh 1 true -only=model_api -fresh
measure one-file 5 "date +'# %s%N' >$source" -only=model_api
rm -f "$source"
"$work/pipeline" image:build
python3 scripts/image_report.py "$work" >docs/results/images.md
