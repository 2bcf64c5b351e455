#!/usr/bin/env bash
# Installs the two programs that some tests drive, Chromium and PostgreSQL, where the system's packages can be had.
# Without them those tests say loudly that they did not run; under CI they fail instead.
set -u
missing=()
command -v chromium >/dev/null 2>&1 || missing+=(chromium)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "highwater: installing ${missing[*]} for the tests that drive them"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1 \
    || echo "highwater: could not install ${missing[*]}"
else
  echo "highwater: ${missing[*]} not found; the tests that need it will say so"
fi
exit 0
