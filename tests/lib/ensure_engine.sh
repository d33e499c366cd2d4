#!/bin/sh
# Finds, installs or starts the Docker engine with the very functions of deploy/up.
set -eu
deploy=$(cd "$(dirname "$0")/../../deploy" && pwd)
for part in say arguments preflight packages engine; do
    # shellcheck disable=SC1090 # five files next to deploy/up
    . "$deploy/lib/$part.sh"
done
begin_output 1
read_engine_socket
check_engine
[ "${failures:-0}" -eq 0 ] || refuse
ensure_engine
