# Shared by build.sh and base/make.sh (POSIX sh, sourced): messages, hashes, pulls, builds.
# stdout carries results only (the last line is the tag); everything a person reads goes to stderr.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

docker_cli() { "${DOCKER:-docker}" "$@"; }

have_image() { docker_cli image inspect "$1" >/dev/null 2>&1; }

image_label() { docker_cli image inspect --format "{{index .Config.Labels \"$2\"}}" "$1" 2>/dev/null; }

elapsed_since() { echo $(($(date +%s) - $1)); }

# inputs_hash PATH...: 12 hex digits over names and contents, the same on every machine.
inputs_hash() {
    find "$@" -type f ! -path '*/__pycache__/*' ! -name '*.pyc' -print | LC_ALL=C sort |
        while IFS= read -r file; do
            printf '%s\n' "${file#"$IMAGES"/}"
            cat "$file"
        done | sha256sum | cut -c1-12
}

# make_work_dir: one temporary directory per run, removed however the run ends.
make_work_dir() {
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/labhub-build.XXXXXX") ||
        die "cannot create a temporary directory in ${TMPDIR:-/tmp}; free some space or set TMPDIR"
    chmod 755 "$WORK"
    trap 'rm -rf "$WORK"; [ -z "${build_id:-}" ] || drop_build_stages' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# lock: one build at a time on this host. Whoever waited looks again whether there is still work.
lock() {
    [ -z "${LOCKED:-}" ] || return 0
    LOCKED=yes
    command -v flock >/dev/null || return 0
    exec 9>"${TMPDIR:-/tmp}/labhub-build.$(id -u).lock"
    flock --nonblock 9 || {
        say "another build is running on this host; waiting for it …"
        flock 9
    }
}

# require_free_mib MIB WHAT: a full disk is found before the work, not in its middle.
require_free_mib() {
    root=$(docker_cli info --format '{{.DockerRootDir}}' 2>/dev/null) ||
        die "the Docker engine does not answer; start it (systemctl start docker) and run this again"
    [ -d "$root" ] || return 0 # an engine on another host or in another namespace
    free=$(df -Pm "$root" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$1" ] ||
        die "$2 needs $1 MiB in $root, only $free MiB are free; free some space and run this again"
}

# pull IMAGE: true when the image is there afterwards. The registry gets ${LABHUB_PULL_SECONDS:-15}
# seconds for its first answer (a firewall that drops packets must not cost minutes); once data
# flows, the transfer may take an hour.
pull() {
    [ "${LABHUB_PULL:-yes}" = no ] && return 1
    say "pulling $1 …"
    started=$(date +%s)
    timeout 3600 "${DOCKER:-docker}" pull "$1" >"$WORK/pull.log" 2>&1 &
    puller=$!
    while kill -0 "$puller" 2>/dev/null; do
        waited=$(elapsed_since "$started")
        if ! grep -q 'Pulling from' "$WORK/pull.log" && [ "$waited" -ge "${LABHUB_PULL_SECONDS:-15}" ]; then
            kill "$puller" 2>/dev/null
            echo "no answer within $waited s" >>"$WORK/pull.log"
            break
        fi
        [ $((waited % 10)) -ne 9 ] || say "  … $waited s, $(grep -c 'Pull complete' "$WORK/pull.log") layers complete"
        sleep 1
    done
    if wait "$puller"; then
        return 0
    fi
    say "  not pulled: $(tail -n 1 "$WORK/pull.log" | cut -c1-200)"
    return 1
}

# host_files DIR: the host's CA bundle and pip configuration, for build stages only.
# Local paths of the pip configuration mean nothing inside a build, so those lines are dropped.
host_files() {
    mkdir -p "$1"
    : >"$1/ca.crt"
    for bundle in "${PIP_CERT:-}" "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/cert.pem; do
        if [ -n "$bundle" ] && [ -s "$bundle" ]; then
            cat "$bundle" >"$1/ca.crt"
            break
        fi
    done
    grep -hE '^[[:space:]]*(@[^:]+:)?registry[[:space:]]*=|_authToken' /etc/npmrc "${HOME:-/root}/.npmrc" >"$1/npmrc" 2>/dev/null || :
    pip_settings | awk -f "$IMAGES/pip-conf.awk" >"$1/pip.conf"
}

# pip_settings: what pip would read on this host, weakest first, the environment last.
pip_settings() {
    for conf in /etc/pip.conf "${HOME:-/root}/.pip/pip.conf" "${HOME:-/root}/.config/pip/pip.conf" "${PIP_CONFIG_FILE:-}"; do
        [ -z "$conf" ] || [ ! -s "$conf" ] || { cat "$conf" && echo; }
    done
    echo '[global]'
    [ -z "${PIP_INDEX_URL:-}" ] || echo "index-url = $PIP_INDEX_URL"
    [ -z "${PIP_EXTRA_INDEX_URL:-}" ] || echo "extra-index-url = $PIP_EXTRA_INDEX_URL"
    [ -z "${PIP_TRUSTED_HOST:-}" ] || echo "trusted-host = $PIP_TRUSTED_HOST"
}

# Only the lines that say how far a build is, from either builder.
progress_lines() {
    awk -v log_file="$1" '
        { print >> log_file; fflush(log_file) }
        /^Step [0-9]+\/[0-9]+ :/ { print "  " substr($0, 1, 110); fflush() }
        /^#[0-9]+ \[[^]]*[0-9]+\/[0-9]+\]/ && !seen[$1]++ { sub(/^#[0-9]+ /, ""); print "  " substr($0, 1, 110); fflush() }
    ' >&2
}

# build_image TAG HASH CONTEXT [docker build arguments]: tags the image only when every step worked.
build_image() {
    tag=$1 recipe=$2 context=$3
    shift 3
    lock
    started=$(date +%s)
    drop_build_stages
    build_id=$(date +%s).$$
    log_file=${LABHUB_BUILD_LOG:-$WORK/build.log}
    say "building $tag …"
    echo 1 >"$WORK/build.rc"
    for proxy in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        eval "value=\${$proxy:-}"
        [ -z "$value" ] || set -- "$@" --build-arg "$proxy=$value"
    done
    {
        BUILDKIT_PROGRESS=plain docker_cli build --force-rm --tag "$tag" --label "labhub.recipe=$recipe" \
            --build-arg "BUILD_ID=$build_id" "$@" "$context" 2>&1 && echo 0 >"$WORK/build.rc"
    } | progress_lines "$log_file"
    drop_build_stages
    if [ "$(cat "$WORK/build.rc")" -ne 0 ]; then
        tail -n 15 "$log_file" | sed 's/^/  | /' >&2
        grep -q 'no space left on device' "$log_file" &&
            die "no disk space left while building $tag; free some space in Docker's directory and run this again"
        die "building $tag failed (last lines above); fix what they name and run this again"
    fi
    say "  $tag built in $(elapsed_since "$started") s"
}

# The legacy builder keeps build stages as untagged images; they hold the host's CA and pip files.
# With the lock held none is in use, so those of a build that was killed go as well, after the
# container of the step it was killed in.
drop_build_stages() {
    for container in $(docker_cli container ls -aq --filter label=labhub.build); do
        docker_cli container rm -f "$container" >/dev/null 2>&1 || :
    done
    for image in $(docker_cli image ls -q --no-trunc --filter label=labhub.build --filter dangling=true | sort -u); do
        docker_cli image rm "$image" >/dev/null 2>&1 || :
    done
}
