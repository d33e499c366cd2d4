# shellcheck shell=sh
# The command line shared by up and down, the instance it names, and root.

# read_dir VALUE: sets dir (absolute, no links) and instance (the name of everything it owns).
read_dir() {
    dir=$(realpath -m -- "$1")
    case $dir in
        /) usage_error "--dir / would make the whole machine the instance: name a directory such as /srv/labhub" ;;
        *[!A-Za-z0-9._/+-]*) usage_error "--dir $dir holds a character that Docker's mount options cannot carry: use letters, digits, and . _ + - only" ;;
    esac
    instance=labhub
    [ "$dir" = /srv/labhub ] || instance=labhub-$(printf '%s' "$dir" | sha256sum | cut -c1-6)
}

# read_port VALUE: the four ports of an instance must all exist, so PORT + 2101 must be one.
read_port() {
    case $1 in
        '' | *[!0-9]* | ??????*) usage_error "--port $1 is not a port number: use 1 to 63434" ;;
    esac
    if [ "$1" -lt 1 ] || [ "$1" -gt 63434 ]; then
        usage_error "--port $1 is out of range: use 1 to 63434"
    fi
    port=$1
}

usage_error() {
    echo "error: $*" >&2
    exit 2
}

# option_value NAME COUNT VALUE: VALUE, or a sentence when the command line ended before it.
option_value() {
    [ "$2" -ge 2 ] || usage_error "$1 needs a value: see --help"
    printf '%s' "$3"
}

# become_root SCRIPT ARGUMENTS...: returns as root, or replaces this process by sudo's.
become_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null || usage_error "root is needed and sudo is not installed: run '$1' as root, for example with su -c"
    echo "Root is needed; asking sudo for it."
    [ -n "${PIP_CONFIG_FILE:-}" ] || use_own_pip_configuration
    script=$1
    shift
    set -- "$script" "$@"
    for name in DOCKER_HOST LABHUB_DEBIAN_MIRROR LABHUB_PULL LABHUB_PULL_SECONDS PIP_CONFIG_FILE PIP_CERT \
        SSL_CERT_FILE http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY TMPDIR; do
        eval "value=\${$name:-}"
        [ -z "$value" ] || set -- "$name=$value" "$@"
    done
    exec sudo -- env "$@"
}

# root has another home, but the pip configuration that works is that of the person who types.
use_own_pip_configuration() {
    for conf in "${HOME:-/}/.config/pip/pip.conf" "${HOME:-/}/.pip/pip.conf"; do
        if [ -s "$conf" ]; then
            PIP_CONFIG_FILE=$conf
            return
        fi
    done
}

# recall KEY: what an earlier run decided, or nothing.
recall() {
    [ -r "$dir/instance.env" ] || return 0
    sed -n "s/^$1=//p" "$dir/instance.env" | tail -n 1
}

# lock_instance: two runs for the same instance would undo each other's work.
lock_instance() {
    mkdir -p /run/lock
    exec 9>"/run/lock/$instance.lock"
    flock -n 9 || die "another deploy/up or deploy/down is at work on $dir: wait until it has ended"
}

# lock_machine: packages and images are shared by all instances; one run at a time makes them.
lock_machine() {
    mkdir -p /run/lock
    exec 8>/run/lock/labhub-machine.lock
    flock -n 8 && return
    say "  another deploy/up is installing or building on this machine; waiting for it"
    flock 8
}

unlock_machine() { exec 8>&-; }
