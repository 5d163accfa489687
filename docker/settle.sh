#!/bin/sh
# In a build stage: makes a tree the same bytes whenever it is made, so that a layer of it is.
#   settle.sh TREE [DIRECTORY_OF_PYTHON_CODE...]
# Code is compiled, since nobody can do it later on a read-only root file system. Compiled files hold a hash of their
# source, which is not looked at, and no time. Each package is compiled by a process of its own, since what the same
# one compiled before shows in the bytes. What does not compile is a package's template, not code. Then all has one time.
set -eu
tree=$1
shift
export PYTHONHASHSEED=0
for directory in "$@"; do
	find "$directory" -mindepth 1 -maxdepth 1 \( -name '*.py' -o -type d \) -print0 |
		xargs -0 -r -n 1 -P "$(nproc)" python3 -m compileall -q --invalidation-mode unchecked-hash ||
		echo "settle.sh: some files in $directory do not compile: see above"
done
find "$tree" -exec touch --no-dereference --date=@0 {} +
