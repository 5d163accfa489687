#!/bin/sh
# Measures the data stage against its peers on the same file with the same checks, side by side in one run, and its own
# cost from 1 to 4 GB. Writes docs/results/data-peers.{md,json} and data-linear.md. Needs hyperfine, and 5 GB in TMPDIR.
# shellcheck disable=SC2086 # commands with their arguments
set -eu
cd "$(dirname "$0")/.."
runs=${RUNS:-10}
contract=scripts/peers/features.yaml
ours="bin/pipeline data:check" # FILE CONTRACT
peers=".venv-peers/bin/python scripts/peers/check.py"
command -v hyperfine >/dev/null || { echo "measure_data.sh: hyperfine not found: apt install hyperfine, brew install hyperfine" >&2; exit 2; }
go tool mage -compile "$PWD/bin/pipeline"
bin/pipeline setup
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
generate=".venv/bin/python scripts/generate_features.py"
once=".venv/bin/python scripts/peers/once.py" # prints seconds, peak memory and exit code as JSON

# A checker that misses a spoiled row would be measured on less than the others do.
for kind in type range required date integer key; do
	$generate --rows 20000 --spoil "$kind" "$out/$kind.csv"
	for name in "$ours" "$peers duckdb" "$peers polars" "$peers pandera-polars" "$peers pandera" "$peers frictionless"; do
		status=0
		$name "$out/$kind.csv" "$contract" >"$out/verdict" 2>&1 || status=$?
		[ "$status" -eq 1 ] || { cat "$out/verdict"; echo "measure_data.sh: $name passes a file with a wrong $kind" >&2; exit 3; }
	done
done

file=$out/features.csv
$generate "$file"
set -- -n pipeline "$ours $file $contract"
for name in duckdb polars pandera-polars pandera; do set -- "$@" -n "$name" "$peers $name $file $contract"; done
hyperfine --warmup 1 --runs "$runs" --export-json "$out/times.json" "$@"
$once pipeline $ours "$file" "$contract" >"$out/once.jsonl"
for name in duckdb polars pandera-polars pandera frictionless; do
	$once "$name" timeout 1800 $peers "$name" "$file" "$contract" >>"$out/once.jsonl"
done
for rows in 8730000 17460000 34910000; do # 1, 2 and 4 GB
	$generate --rows "$rows" "$file"
	for _ in 1 2 3; do $once "linear $rows $(wc -c <"$file")" $ours "$file" "$contract" >>"$out/once.jsonl"; done
done
.venv-peers/bin/python scripts/peers/report.py "$out/times.json" "$out/once.jsonl"
