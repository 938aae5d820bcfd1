#!/bin/sh
# Stands in for the official image's entrypoint, as far as compose.yaml leans on it: a cluster is made where there is
# none, with POSTGRES_PASSWORD_FILE, POSTGRES_DB and the files of /docker-entrypoint-initdb.d.
set -eu
if [ "${1-}" != postgres ]; then
	exec "$@"
fi
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA"
	chown postgres:postgres "$PGDATA"
	chmod 0700 "$PGDATA"
	exec gosu postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust --auth-host=scram-sha-256 \
		--encoding=UTF8 --locale=C.UTF-8 >/dev/null
	echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	# Not over TCP: who waits for that must not see the server before it is filled.
	pg_ctl -w -s start -o "-c listen_addresses=''"
	[ "${POSTGRES_DB:-postgres}" = postgres ] || createdb --username=postgres "$POSTGRES_DB"
	for file in /docker-entrypoint-initdb.d/*.sql; do
		[ ! -e "$file" ] || psql -v ON_ERROR_STOP=1 -q -U postgres -d "${POSTGRES_DB:-postgres}" -f "$file"
	done
	pg_ctl -w -s -m fast stop
fi
exec "$@" -c listen_addresses='*'
