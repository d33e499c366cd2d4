# shellcheck shell=sh
# Stopping an instance: the hub first, so that nothing starts a server behind our back.

require_engine() {
    command -v docker >/dev/null || die "the docker command is not installed, so nothing can be running"
    # An engine other than the machine's own is remembered by the instance.
    remembered_socket=$(recall LABHUB_ENGINE_SOCKET)
    if [ "$engine_given" = no ] && [ -n "$remembered_socket" ]; then
        engine_socket=$remembered_socket
        DOCKER_HOST=unix://$engine_socket
    fi
    timeout 30 docker version >/dev/null 2>&1 ||
        die "no Docker engine answers at $engine_socket: start it first, its containers cannot be seen otherwise"
}

require_instance() {
    [ -e "$dir/instance.env" ] || [ -n "$(containers_of "")" ] || [ -n "$(networks_of)" ] || [ -e "$dir/up.log" ] ||
        die "there is no labhub instance in $dir: name its directory with --dir"
}

# containers_of ROLE: running or not; ROLE may be empty.
containers_of() {
    docker ps -aq --no-trunc --filter "label=labhub.instance=$instance" ${1:+--filter "label=labhub.role=$1"}
}

networks_of() { docker network ls -q --filter "label=labhub.instance=$instance"; }
volumes_of() { docker volume ls -q --filter "label=labhub.instance=$instance"; }

stop_instance() {
    stop_containers "the hub" "$(containers_of hub)" 20
    stop_containers "the users' servers" "$(containers_of server)" 10
    stop_containers "the proxy" "$(containers_of proxy)" 10
    stop_containers "what is left" "$(containers_of "")" 10
}

# stop_containers WHAT IDS SECONDS: gracefully, then removed; user files are in volumes, never in a container.
stop_containers() {
    [ -n "$2" ] || return 0
    # shellcheck disable=SC2086 # ids are words
    long "stopping $1" docker stop --time "$3" $2 || :
    # shellcheck disable=SC2086
    docker rm --force $2 >/dev/null 2>"$scratch/err" || die "$1 could not be removed: $(tail -n 1 "$scratch/err")"
    say "  $1: $(echo "$2" | wc -l) stopped"
}
