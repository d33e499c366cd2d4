#!/bin/sh
# Builds what labhub runs. Every command is idempotent and prints the resulting name as its last line.
#   build.sh base SUITE       Debian: pulled, or made with mmdebstrap where no registry answers
#   build.sh tensorflow [gpu] TensorFlow 2.9: the official image if it can be pulled, else our stand-in
#   build.sh server           the server bundle as an image
#   build.sh bundle [VOLUME]  the same, as a volume ready to be mounted at /opt/labserver
#   build.sh hub              hub, proxy and local accounts
#   build.sh name COMMAND     the name COMMAND would print, without building anything
# Environment: DOCKER, DOCKER_HOST, LABHUB_DEBIAN_MIRROR, LABHUB_PULL=no, LABHUB_BUILD_LOG.
set -eu
IMAGES=$(cd "$(dirname "$0")" && pwd)
REPOSITORY=$(cd "$IMAGES/../.." && pwd)
. "$IMAGES/common.sh"

base() {
    suite=$1
    local_tag=labhub/debian:$suite-local
    if [ -z "${LABHUB_DEBIAN_MIRROR:-}" ]; then
        if have_image "debian:$suite-slim"; then
            echo "debian:$suite-slim"
            return
        fi
        if ! have_image "$local_tag" && pull "debian:$suite-slim"; then
            echo "debian:$suite-slim"
            return
        fi
    fi
    have_image "$local_tag" || {
        lock
        have_image "$local_tag" || base_from_debian
    }
    echo "$local_tag"
}

base_from_debian() {
    command -v mmdebstrap >/dev/null ||
        die "mmdebstrap is missing; install it (apt-get install mmdebstrap) and run this again"
    require_free_mib 1500 "the base image"
    say "no registry answers: making $local_tag from Debian's archive (about one minute) …"
    started=$(date +%s)
    sh "$IMAGES/base/make.sh" "$suite" "$WORK/base.tar" >"$WORK/base.log" 2>&1 || {
        tail -n 5 "$WORK/base.log" | sed 's/^/  | /' >&2
        die "Debian $suite could not be fetched${LABHUB_DEBIAN_MIRROR:+ from $LABHUB_DEBIAN_MIRROR}; check the network or set LABHUB_DEBIAN_MIRROR to a mirror you can reach"
    }
    docker_cli import -c 'CMD ["bash"]' -c 'LABEL labhub.built=local' \
        -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        "$WORK/base.tar" "$local_tag" >/dev/null 2>"$WORK/base.log" ||
        die "Docker could not store $local_tag: $(tail -n 1 "$WORK/base.log")"
    rm -f "$WORK/base.tar"
    say "  $local_tag made in $(elapsed_since "$started") s"
}

# context NAME: a copy of deploy/images/NAME with what the build stages need from this host.
context() {
    mkdir "$WORK/context"
    cp -R "$IMAGES/$1/." "$WORK/context/"
    host_files "$WORK/context/host"
}

OFFICIAL_TENSORFLOW=tensorflow/tensorflow:2.9.0-gpu-jupyter
LOCAL_TENSORFLOW=labhub/tensorflow:2.9.0-jupyter-local

tensorflow() {
    gpu=0
    [ "${1:-}" != gpu ] || gpu=1
    recipe=$(inputs_hash "$IMAGES/tensorflow")-gpu$gpu
    if have_image "$OFFICIAL_TENSORFLOW"; then
        echo "$OFFICIAL_TENSORFLOW"
    elif [ "$(image_label "$LOCAL_TENSORFLOW" labhub.recipe)" = "$recipe" ]; then
        echo "$LOCAL_TENSORFLOW"
    elif pull "$OFFICIAL_TENSORFLOW"; then
        echo "$OFFICIAL_TENSORFLOW"
    else
        lock
        [ "$(image_label "$LOCAL_TENSORFLOW" labhub.recipe)" = "$recipe" ] || tensorflow_from_pypi
        echo "$LOCAL_TENSORFLOW"
    fi
}

tensorflow_from_pypi() {
    say "no registry answers: building TensorFlow 2.9.0 from PyPI; it will be shown as locally built"
    require_free_mib $((6000 + gpu * 12000)) "the TensorFlow image"
    from=$(base bullseye | tail -n 1)
    context tensorflow
    build_image "$LOCAL_TENSORFLOW" "$recipe" "$WORK/context" --build-arg "BASE=$from" --build-arg "GPU=$gpu"
}

server_name() { echo "labhub/server:$(inputs_hash "$IMAGES/server")"; }

server() {
    name=$(server_name)
    have_image "$name" || {
        lock
        have_image "$name" || server_build
    }
    echo "$name"
}

server_build() {
    require_free_mib 4000 "the server bundle"
    from=$(base trixie | tail -n 1)
    context server
    build_image "$name" "${name##*:}" "$WORK/context" --build-arg "BASE=$from"
}

bundle_name() { echo "labhub-server-$(inputs_hash "$IMAGES/server")"; }

# bundle: the volume is complete only when it has as many files as its MANIFEST says.
bundle() {
    volume=${1:-$(bundle_name)}
    if ! bundle_complete; then
        lock
        server >/dev/null
        bundle_complete || bundle_fill
        bundle_complete || die "the volume $volume is not complete after filling it; is the disk of Docker's directory full?"
    fi
    echo "$volume"
}

bundle_complete() {
    docker_cli volume inspect "$volume" >/dev/null 2>&1 || return 1
    name=$(server_name)
    have_image "$name" || return 1
    docker_cli run --rm --network none --label labhub.role=build --mount "type=volume,src=$volume,dst=/opt/labserver,readonly,volume-nocopy" \
        "$name" /opt/labserver/bin/labserver-verify >/dev/null 2>&1
}

bundle_fill() {
    require_free_mib 1500 "the server bundle's volume"
    say "filling the volume $volume …"
    started=$(date +%s)
    docker_cli volume rm -f "$volume" >/dev/null 2>&1 ||
        die "the volume $volume is half filled and in use; stop the servers that use it and run this again"
    docker_cli volume create --label labhub.role=bundle "$volume" >/dev/null
    docker_cli container rm "$(docker_cli create --label labhub.role=build --mount "type=volume,src=$volume,dst=/opt/labserver" "$name" true)" >/dev/null 2>"$WORK/fill.log" || {
        docker_cli volume rm -f "$volume" >/dev/null 2>&1 || :
        die "the volume $volume could not be filled: $(tail -n 1 "$WORK/fill.log")"
    }
    say "  $volume filled in $(elapsed_since "$started") s"
}

SOURCES="pyproject.toml README.md LICENSE hub_config spawner auth"

sources_present() {
    for source in $SOURCES; do
        [ ! -e "$REPOSITORY/$source" ] || echo "$source"
    done
}

hub_name() {
    cd "$REPOSITORY"
    # shellcheck disable=SC2046 # the names hold no spaces
    echo "labhub/hub:$(inputs_hash "$IMAGES/hub" $(sources_present))"
}

dependencies_name() { echo "labhub/hub-dependencies:$(inputs_hash "$IMAGES/hub")"; }

hub() {
    name=$(hub_name)
    have_image "$name" || {
        lock
        have_image "$name" || hub_build
    }
    echo "$name"
}

hub_build() {
    require_free_mib 2500 "the hub's image"
    dependencies=$(dependencies_name)
    if ! have_image "$dependencies"; then
        from=$(base trixie | tail -n 1)
        context hub
        build_image "$dependencies" "${dependencies##*:}" "$WORK/context" \
            --file "$WORK/context/deps.Dockerfile" --build-arg "BASE=$from"
    fi
    mkdir -p "$WORK/hub/source"
    cp "$IMAGES/hub/Dockerfile" "$WORK/hub/"
    cd "$REPOSITORY"
    # shellcheck disable=SC2046 # the names hold no spaces
    cp -R $(sources_present) "$WORK/hub/source/"
    find "$WORK/hub/source" -name __pycache__ -prune -exec rm -rf {} +
    build_image "$name" "${name##*:}" "$WORK/hub" --build-arg "DEPENDENCIES=$dependencies"
}

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$IMAGES/build.sh" >&2
    exit 2
}

main() {
    command=${1:-}
    [ $# -eq 0 ] || shift
    case $command in
        base) [ $# -eq 1 ] || usage ;;
        tensorflow | server | bundle | hub) ;;
        name)
            "${1}_name"
            return
            ;;
        *) usage ;;
    esac
    make_work_dir
    "$command" "$@"
}

main "$@"
