# shellcheck shell=sh
# Sourced by the benches: `bench MODULE ARGS…` runs one in the test environment.
bench() {
    root=$(cd "$(dirname "$0")/../.." && pwd)
    if [ ! -x "$root/.venv/bin/python" ]; then
        echo "error: there is no test environment yet: run tests/run unit once, which makes it" >&2
        exit 1
    fi
    cd "$root" || exit 1
    exec .venv/bin/python -m "$@"
}
