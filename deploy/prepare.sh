#!/bin/sh
# Everything that the service needs before it starts; run again it changes nothing. It logs in as the database's owner.
set -eu

# The key that Prometheus reads /metrics with. The file of keys has its hash alone, so a lost key is made anew.
key=${SCRAPE_KEY:-/run/scrape-key/key}
if [ ! -s "$key" ] || ! media-gateway keys list --json | grep -q '"prometheus"'; then
    media-gateway keys revoke prometheus >/dev/null 2>&1 || true
    media-gateway keys create prometheus --scope read >"$key.new"
    mv "$key.new" "$key"
fi

media-gateway db migrate
# With the passwords of the environment. A password that it had to make up would be shown here, and not be kept in the log.
media-gateway db roles >/dev/null
# These tell slow statements and warm the index; without them everything else works.
media-gateway db psql --quiet <<'SQL' >/dev/null
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
CREATE EXTENSION IF NOT EXISTS pg_prewarm;
SQL
