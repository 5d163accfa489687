#!/bin/sh
# What docker/compose.yaml asks of the public image's entry point: an empty data directory becomes a cluster with one
# role and one database, and what lies in /docker-entrypoint-initdb.d runs once, on a server that no network reaches.
set -eu
if [ "${1:-}" != postgres ]; then exec "$@"; fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	user=${POSTGRES_USER:-postgres}
	if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); fi
	: "${POSTGRES_PASSWORD:?set it, or POSTGRES_PASSWORD_FILE}"
	umask 077
	printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
	# shellcheck disable=SC2086 # it holds several arguments
	initdb --username="$user" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
	rm /tmp/password
	printf "host all all all scram-sha-256\n" >>"$PGDATA/pg_hba.conf"
	printf "listen_addresses = '*'\n" >>"$PGDATA/postgresql.conf"
	pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''" --wait --silent start
	if [ "${POSTGRES_DB:=$user}" != postgres ]; then createdb --username="$user" --no-password "$POSTGRES_DB"; fi
	for file in /docker-entrypoint-initdb.d/*; do
		case $file in
		*.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
		*.sql) psql --quiet -v ON_ERROR_STOP=1 --username="$user" --no-password --dbname="$POSTGRES_DB" --file="$file" ;;
		esac
	done
	pg_ctl --pgdata="$PGDATA" --mode=fast --wait --silent stop
fi
exec "$@"
