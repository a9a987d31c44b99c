#!/bin/bash
# What Ensemble uses of the official image's entry point: make the cluster once, run what lies in
# /docker-entrypoint-initdb.d against it while only this container can reach it, then become the server.
set -euo pipefail

if [ "$(id -u)" = 0 ]; then
  install -d -o postgres -g postgres -m 700 "$PGDATA"
  chown -R postgres: "$PGDATA" /var/run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ "${1:-}" != postgres ]; then exec "$@"; fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  user=${POSTGRES_USER:-postgres}
  # Nothing is worth keeping until all of it is: one sync at the end, instead of one for each file made.
  initdb --no-sync --username="$user" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD}") \
    --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  printf '\nhost all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"

  pg_ctl --silent --wait --options='-c listen_addresses= -c fsync=off' start
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sh) bash "$file" ;;
      *.sql) psql -v ON_ERROR_STOP=1 --quiet --no-psqlrc --username="$user" --dbname=postgres --file="$file" ;;
    esac
  done
  pg_ctl --silent --wait --mode=fast stop
  initdb --sync-only >/dev/null
fi

exec "$@" -c listen_addresses='*'
