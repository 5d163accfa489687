#!/bin/sh
# A deploy for people who have no mage at hand: scripts/deploy.sh TARGET [-flag=value ...]
#   scripts/deploy.sh staging            scripts/deploy.sh production -release=v1.4.0
#   scripts/deploy.sh rollback -env=production -reason="it looks odd"
# It runs the target deploy:TARGET, with the compiled targets (bin/pipeline) if they are there, else with Go.
set -eu
cd "$(dirname "$0")/.."
case ${1:-} in
local | staging | production | smoke | status | watch | rollback | abort | pause | resume | promote | history | down) ;;
*)
	sed -n 's/^#   *//p' "$0" >&2
	exit 2
	;;
esac
target=deploy:$1
shift
if [ -x bin/pipeline ]; then exec bin/pipeline "$target" "$@"; fi
command -v go >/dev/null || { echo "deploy.sh: there is neither bin/pipeline nor Go: https://go.dev/dl, or take bin/pipeline from a run of CI" >&2; exit 2; }
exec go tool mage "$target" "$@"
