# shellcheck shell=bash
# Leaves the machine as it was: what the run started is ended, what it made is removed, by label.

engine_started=no
left=no
builder=
beside=()

begin_run() {
    LABHUB_TEST_RUN=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
    work=$(mktemp -d "${TMPDIR:-/tmp}/labhub-tests.XXXXXX")
    LABHUB_TEST_STATE=$work
    export LABHUB_TEST_RUN LABHUB_TEST_STATE
    : >"$work/instances"
    : >"$work/table"
    trap leave_nothing_behind EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# pytest ends what it began when it is interrupted; where that is ignored, nothing else would help.
end_beside() {
    local group=$1
    kill -INT -- "-$group" || return 0
    for _ in $(seq 60); do
        kill -0 -- "-$group" || return 0
        sleep 1
    done
    kill -KILL -- "-$group" || :
}

remember_images() {
    docker image ls -aq --no-trunc | sort -u >"$work/images"
    docker volume ls -q --filter label=labhub.role=bundle | sort >"$work/bundles"
}

# Called at the end and by the trap; the second call has nothing left to do.
leave_nothing_behind() {
    [ "$left" = no ] || return 0
    left=yes
    trap '' INT TERM HUP
    for group in "${beside[@]}"; do end_beside "$group" 2>/dev/null; done
    [ -z "$builder" ] || { kill -TERM -- "-$builder" && wait "$builder"; } 2>/dev/null || :
    if needs_engine && [ -e "$work/images" ]; then
        echo
        echo "--- removing what this run made"
        remove_instances
        remove_labelled
        [ "$keep" = yes ] || remove_new_images
        [ "$engine_started" = no ] || stop_engine
    fi
    give_files_back
    rm -rf "$work"
}

# Instances whose fixture could not end: interrupted, or killed.
remove_instances() {
    local dir
    while IFS= read -r dir; do
        [ ! -e "$dir" ] || "$deploy/down" --dir "$dir" --purge --yes --keep-images >>"$work/down.log" 2>&1 ||
            echo "    $dir is still there: $(tail -n 1 "$work/down.log")"
    done <"$work/instances"
}

remove_labelled() {
    local mine="label=labhub.test=$LABHUB_TEST_RUN"
    docker ps -aq --filter "$mine" | xargs -r docker rm -fv >/dev/null || :
    docker network ls -q --filter "$mine" | xargs -r docker network rm >/dev/null || :
    docker volume ls -q --filter "$mine" | xargs -r docker volume rm >/dev/null || :
    docker image ls -q --filter "$mine" | sort -u | xargs -r docker image rm -f >/dev/null || :
}

# Children before parents, so several rounds; an image that somebody else uses by now stays.
remove_new_images() {
    local image before found
    found=$(new_images | wc -l)
    docker volume ls -q --filter label=labhub.role=bundle | sort | comm -13 "$work/bundles" - |
        xargs -r docker volume rm >/dev/null 2>&1 || :
    for _ in 1 2 3; do
        before=$(new_images | wc -l)
        for image in $(new_images); do
            ! is_ours "$image" || docker image rm -f "$image" >/dev/null 2>&1 || :
        done
        [ "$(new_images | wc -l)" -lt "$before" ] || break
    done
    echo "    images: $found new ones found, $(new_images | wc -l) left (--keep keeps them for the next run)"
}

new_images() { docker image ls -aq --no-trunc | sort -u | comm -13 "$work/images" -; }

# On an engine that this run started, everything new is ours.
is_ours() {
    [ "$engine_started" = yes ] ||
        docker image inspect -f '{{json .RepoTags}} {{json .Config.Labels}}' "$1" 2>/dev/null |
        grep -qE '"labhub[/.]|"tensorflow/tensorflow:2.9.0-gpu-jupyter"|"debian:[a-z]*-slim"'
}

stop_engine() {
    if [ -s "$work/dockerd.pid" ]; then
        stop_dockerd "$(cat "$work/dockerd.pid")"
    elif [ -d /run/systemd/system ]; then
        systemctl stop docker.socket docker
    elif [ -x /etc/init.d/docker ]; then
        /etc/init.d/docker stop
    fi >/dev/null 2>&1 || :
    echo "    the engine that this run started was stopped"
}

stop_dockerd() {
    kill "$1"
    for _ in $(seq 60); do
        kill -0 "$1" || return 0
        sleep 0.5
    done
}

# Under sudo, what was made in the checkout belongs to the person again.
give_files_back() {
    [ -z "${SUDO_UID:-}" ] || chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$root/.venv" "$tests" 2>/dev/null || :
}

say_what_was_not_run() {
    if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
        echo "not run: opening devices that an imitation of NVIDIA's hook gave, because this machine mounts cgroup v2"
    else
        echo "not run: limits on cgroup v2, because this machine mounts cgroup v1"
    fi
    [ -e /proc/driver/nvidia/version ] ||
        echo "not run: work on a real GPU, because this machine has no NVIDIA driver"
    docker_root_is_xfs ||
        echo "not run: disk quota on XFS, because Docker's directory is not on XFS with pquota"
}

docker_root_is_xfs() {
    findmnt -no FSTYPE,OPTIONS --target /var/lib/docker 2>/dev/null | grep -qE '^xfs.*(pquota|prjquota)'
}
