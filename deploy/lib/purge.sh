# shellcheck shell=sh
# Removing an instance for good: what up made, and nothing that it did not make.

confirm_purge() {
    [ "$yes" = no ] || return 0
    [ -t 0 ] || die "--purge removes all data of $instance and asks first: run it in a terminal, or add --yes"
    say "This removes the instance $instance for good: the users' files, accounts, secrets and settings in $dir."
    printf 'Type %s to go on: ' "$instance"
    read -r answer || answer=
    [ "$answer" = "$instance" ] || die "that was not '$instance': nothing was removed"
}

remove_instance() {
    remove_all "volumes" volume "$(volumes_of)"
    remove_all "network" network "$(networks_of)"
    remove_directory
    if [ "$keep_images" = yes ]; then
        say "  images and server bundle kept"
    elif [ -n "$(docker network ls -q --filter label=labhub.role=network)" ]; then
        say "  images and server bundle kept: another instance on this machine uses them"
    else
        remove_shared
        leave_own_engine
    fi
    say "Removed. Packages that deploy/up installed (Docker, Compose, mmdebstrap) are still there; apt-get purge removes them."
}

# remove_all WHAT KIND NAMES
remove_all() {
    [ -n "$3" ] || return 0
    # shellcheck disable=SC2086 # names are words
    docker "$2" rm $3 >/dev/null 2>"$scratch/err" || die "the $1 could not be removed: $(tail -n 1 "$scratch/err"); run this again when that is cleared"
    say "  $1: $(echo "$3" | wc -l) removed"
}

# Only what up wrote; an admin's own files beside it stay, and the directory with them.
remove_directory() {
    log=$scratch/log
    for name in labhub.yaml labhub.schema.json instance.env hub.env secrets state volumes up.log up.log.old .labhub.yaml.new .instance.env.new; do
        rm -rf --one-file-system "${dir:?}/$name"
    done
    if [ ! -d "$dir" ] || rmdir "$dir" 2>/dev/null; then
        say "  $dir removed"
    else
        say "  $dir kept, because it holds files that are not labhub's: $(find "$dir" -mindepth 1 -maxdepth 1 | head -n 3 | tr '\n' ' ')"
    fi
}

# What the last instance leaves: images that deploy/up built, and bundles. Pulled images are not
# marked as ours, so they are only named.
remove_shared() {
    for name in $(docker volume ls -q --filter label=labhub.role=bundle) $(built_images); do
        docker volume rm "$name" >/dev/null 2>&1 || docker image rm "$name" >/dev/null 2>&1 ||
            say "  $name is in use and stays"
    done
    say "  images and server bundle removed"
    docker image ls --format '{{.Repository}}:{{.Tag}}' | grep -E '^(tensorflow/tensorflow:2\.9\.0-gpu-jupyter|debian:[a-z]+-slim)$' |
        while IFS= read -r name; do
            say "  $name was pulled and stays; docker image rm $name removes it"
        done
}

# Results before the bases they were made from.
built_images() {
    docker image ls --format '{{.Repository}}:{{.Tag}}' --filter label=labhub.recipe | grep -v '<none>' || :
    docker image ls --format '{{.Repository}}:{{.Tag}}' --filter 'reference=labhub/debian' --filter label=labhub.built=local
}

# An engine that up started itself ends with the last instance, unless others use it.
leave_own_engine() {
    [ -s /run/labhub-dockerd.pid ] && [ "$engine_socket" = /var/run/docker.sock ] || return 0
    engine_pid=$(cat /run/labhub-dockerd.pid)
    grep -q dockerd "/proc/$engine_pid/comm" 2>/dev/null || return 0
    if [ -n "$(docker ps -aq)" ]; then
        say "  the engine that deploy/up started still has other containers and stays; stop it with: kill $engine_pid"
        return
    fi
    kill "$engine_pid"
    rm -f /var/log/labhub-dockerd.log
    say "  the engine that deploy/up started was stopped"
}
