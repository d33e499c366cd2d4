#!/bin/sh
# Renews every lock file below deploy/images (needs uv and npm); the result is committed.
set -eu
cd "$(dirname "$0")"
compile() { # compile INPUT OUTPUT PYTHON
    uv pip compile --quiet --no-header --no-annotate --no-config --only-binary :all: --python-version "$3" \
        --python-platform x86_64-manylinux_2_28 --upgrade --output-file "$2" "$1"
}
compile server/requirements.in server/requirements.lock 3.13
for minor in 8 9 10 11 12 13; do
    compile server/ipykernel.in "server/ipykernel-py3$minor.lock" "3.$minor"
done
compile hub/tools.in hub/tools.lock 3.13
# The hub's packages are pyproject's dependencies plus what builds its wheel without a network. Left
# out: an optional check of IRIs in event schemas, whose import is a third of the hub's start.
uv pip compile --quiet --no-header --no-annotate --no-config --only-binary :all: --python-version 3.13 \
    --python-platform x86_64-manylinux_2_28 --upgrade --no-emit-package rfc3987-syntax --no-emit-package lark \
    --output-file hub/requirements.lock ../../pyproject.toml hub/build.in
(cd hub/proxy && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund)
