# shellcheck shell=bash
# What a bare Debian or Ubuntu lacks for the tests. Everything is kept in .venv but packages of
# the distribution and the engine, which deploy/up would install as well.

apt() { env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 "$@"; }
missing_packages_for_tests() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || printf ' python3 python3-venv'
    [ -e /etc/ssl/certs/ca-certificates.crt ] || printf ' ca-certificates'
    ! needs_hub || compiler_packages
    ! wants engine || packages_for_engine
    ! wants browser || chromium_path >/dev/null || chromium_packages
}

# The hub tier makes a driver library of its own.
compiler_packages() {
    printf '#include <stdio.h>\n' | gcc -E - >/dev/null 2>&1 || printf ' gcc libc6-dev'
}

# The engine tier makes networks and bare machines of its own.
packages_for_engine() {
    local pair
    for pair in git:git ip:iproute2 iptables:iptables mmdebstrap:mmdebstrap; do
        command -v "${pair%:*}" >/dev/null || printf ' %s' "${pair#*:}"
    done
}

# Ubuntu's chromium package is a pointer to snap, which containers and servers often lack.
chromium_packages() {
    grep -qi '^ID=ubuntu' /etc/os-release || printf ' chromium fonts-dejavu-core'
}

chromium_path() {
    local name
    for name in "${LABHUB_CHROMIUM:-}" /usr/bin/chromium /usr/bin/google-chrome; do
        if [ -x "$name" ]; then
            echo "$name"
            return
        fi
    done
    return 1
}

needs_root() {
    needs_engine || [ -n "$(missing_packages_for_tests)" ]
}

install_packages_for_tests() {
    local packages
    packages=$(missing_packages_for_tests)
    if [ -z "$packages" ]; then
        echo "    nothing is missing"
        return
    fi
    command -v apt-get >/dev/null ||
        die "these packages are missing and there is no apt-get:$packages; install them by hand"
    echo "    installing$packages"
    apt update >"$work/apt.log" 2>&1 || tail -n 3 "$work/apt.log"
    # shellcheck disable=SC2086 # a list of words
    apt install -y --no-install-recommends $packages >>"$work/apt.log" 2>&1 ||
        die "apt could not install$packages: $(grep '^E:' "$work/apt.log" | head -n 1)"
}

die() {
    echo "error: $*" >&2
    exit 1
}

# make_environment: .venv with exactly what tests/requirements.lock says, once per lock file.
make_environment() {
    local python=$root/.venv/bin/python wanted stamp=$root/.venv/.labhub-tests
    [ -x "$python" ] || { check_python && python3 -m venv "$root/.venv"; }
    wanted=$(cat "$tests/requirements.lock" "$root/pyproject.toml" | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        echo "    up to date"
        return
    fi
    # --no-deps: the lock file is complete; --no-build-isolation: the build backend is in it
    if ! "$python" -m pip install -q --disable-pip-version-check --no-deps -r "$tests/requirements.lock" ||
        ! "$python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e "$root"; then
        die "pip could not install tests/requirements.lock into .venv (see above): check the network or pip's configuration"
    fi
    echo "$wanted" >"$stamp"
}

check_python() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "the tests need Python 3.11 or newer and this machine's python3 is $(python3 -V | cut -d' ' -f2): use Debian 12, Ubuntu 24.04 or newer"
}

install_node_packages() {
    local folder folders=()
    for folder in "$deploy/images/hub/proxy" "$tests/browser"; do
        [ ! -e "$folder/package-lock.json" ] || folders+=("$folder")
    done
    "$root/.venv/bin/python" -m tests.lib.node "${folders[@]}" ||
        die "npm could not install what ${folders[*]} need (see above): check the network or npm's configuration"
}

find_chromium() {
    if ! LABHUB_CHROMIUM=$(chromium_path); then
        "$root/.venv/bin/playwright" install --with-deps chromium >"$work/chromium.log" 2>&1 ||
            die "Chromium could not be installed: $(tail -n 1 "$work/chromium.log"); install a Chromium and name it in LABHUB_CHROMIUM"
        LABHUB_CHROMIUM=$("$root/.venv/bin/python" -c 'from playwright.sync_api import sync_playwright
with sync_playwright() as p: print(p.chromium.executable_path)')
    fi
    export LABHUB_CHROMIUM
    echo "    $("$LABHUB_CHROMIUM" --version 2>/dev/null)"
}

# make_engine: the functions of deploy/up, in a shell of their own.
make_engine() {
    local answered=no
    ! engine_answers || answered=yes
    [ "$answered" = no ] || remember_images
    sh "$tests/lib/ensure_engine.sh" || die "the engine and browser tiers need a Docker engine (see above)"
    if [ "$answered" = no ]; then
        # shellcheck disable=SC2034 # read by leave.sh
        engine_started=yes
        # deploy/down ends an engine whose pid lies there, and later tiers still need this one
        [ ! -s /run/labhub-dockerd.pid ] || mv /run/labhub-dockerd.pid "$work/dockerd.pid"
        remember_images
    fi
}

engine_answers() { timeout 30 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# The images that most engine tests need are built beside the tiers that need no engine.
begin_building() {
    # shellcheck disable=SC2016 # the inner shell expands it
    local script='for image in server hub tensorflow; do sh "$0" "$image"; done'
    setsid sh -c "$script" "$deploy/images/build.sh" >"$work/build.log" 2>&1 &
    # shellcheck disable=SC2034 # read by leave.sh
    builder=$!
}

# wait_for_images: what could not be built, the tests try again, and say why it failed.
wait_for_images() {
    [ -n "$builder" ] || return 0
    timed "images" wait "$builder" || :
    builder=
}
