# shellcheck shell=sh
# Every check says one line: what it found, what will be installed, or what cannot work and the fix.
# All checks run before anything is changed; the failing ones are all shown.

failures=0
checked_by=

found() { say "  found    $*"; }
will() { say "  will     $*"; }
note() { say "  note     $*"; }
cannot() {
    complain "  cannot   $*"
    failures=$((failures + 1))
}

check_everything() {
    check_machine
    check_tools
    check_engine
    check_gpus
    check_compose
    check_directory
    check_disk
    check_ports
    check_configuration
    [ "$failures" -eq 0 ] || refuse
}

refuse() {
    complain "Nothing was changed. Correct what cannot work above, then run deploy/up again."
    exit 1
}

check_machine() {
    machine=$(uname -m)
    system=$(. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-Linux}" || echo "an unknown system")
    if [ "$(uname -s)/$machine" = Linux/x86_64 ]; then
        found "$system on $machine"
    else
        cannot "this machine is $(uname -s) on $machine: labhub's images exist for Linux on x86_64 only"
    fi
}

check_tools() {
    missing_tools=
    for tool in awk sed sort sha256sum flock setsid timeout realpath od df; do
        command -v "$tool" >/dev/null || missing_tools="$missing_tools $tool"
    done
    [ -z "$missing_tools" ] || cannot "these commands are missing:$missing_tools; install the packages coreutils, util-linux and mawk"
    if command -v mmdebstrap >/dev/null; then
        found "mmdebstrap, for base images where no registry answers"
    elif have_apt; then
        will "install mmdebstrap with apt"
    else
        note "no mmdebstrap and no apt: images can only be pulled, not made here"
    fi
}

# check_directory: DIR can be made or written, seen from the nearest directory that exists.
check_directory() {
    ancestor=$(nearest_directory "$dir")
    if [ -e "$dir" ] && [ ! -d "$dir" ]; then
        cannot "$dir is not a directory: move it away or choose another with --dir"
    elif [ ! -d "$ancestor" ]; then
        cannot "$ancestor is not a directory, so $dir cannot be made in it: choose another with --dir"
    elif ! [ -w "$ancestor" ]; then
        cannot "$ancestor cannot be written (read-only file system?): remount it or choose another place with --dir"
    elif [ -d "$dir" ]; then
        found "$dir"
    else
        will "make $dir"
    fi
}

nearest_directory() {
    place=$1
    while [ ! -e "$place" ]; do
        place=$(dirname "$place")
    done
    echo "$place"
}

# check_disk: what is missing decides what is needed; two needs on one file system add up.
check_disk() {
    directory_mib=256
    count_missing_images
    docker_root=$(engine_info '{{.DockerRootDir}}')
    docker_place=$(nearest_directory "${docker_root:-/var/lib/docker}")
    directory_place=$(nearest_directory "$dir")
    if [ "$(stat -c %d "$docker_place")" = "$(stat -c %d "$directory_place")" ]; then
        check_free "$docker_place" $((images_mib + directory_mib)) "for $dir and Docker's images"
    else
        check_free "$directory_place" "$directory_mib" "for $dir"
        check_free "$docker_place" "$images_mib" "for Docker's images"
    fi
}

# check_free PLACE MIB PURPOSE
check_free() {
    free_mib=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
    if [ "$free_mib" -ge "$2" ]; then
        found "$(gib "$free_mib") GiB free on $1 ($(gib "$2") GiB needed $3)"
    else
        cannot "only $free_mib MiB are free on $1, and $2 MiB are needed $3: free some space there or move it to a larger disk"
    fi
}

gib() { awk -v mib="$1" 'BEGIN { printf "%.1f", mib / 1024 }'; }

check_ports() {
    ports_taken=0
    check_port "$port" "for the browser"
    check_port $((port + 1)) "for the proxy's own API"
    check_port $((port + 81)) "for the hub"
    check_port $((port + 2101)) "for local accounts"
    [ "$ports_taken" -gt 0 ] || found "ports $port, $((port + 1)), $((port + 81)) and $((port + 2101))"
}

# check_port NUMBER PURPOSE: free, or held by this very instance.
check_port() {
    sockets=$(listening_sockets "$1")
    [ -n "$sockets" ] || return 0
    holder=$(socket_holder "$sockets")
    ! held_by_instance "$holder" || return 0
    ports_taken=$((ports_taken + 1))
    cannot "port $1, needed $2, is taken by $(process_words "$holder"): stop that program or choose another port with --port"
}

# Read from /proc: a bare machine has neither ss nor lsof.
listening_sockets() {
    awk -v wanted="$(printf ':%04X' "$1")" '$4 == "0A" && substr($2, length($2) - 4) == wanted { print $10 }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# socket_holder INODES: the first process that has one of these sockets open.
socket_holder() {
    for inode in $1; do
        # shellcheck disable=SC2012 # find cannot compare the target of a link in /proc this cheaply
        ls -l /proc/[0-9]*/fd/ 2>/dev/null | awk -v link="socket:[$inode]" '
            /^\/proc\// { split($0, part, "/"); pid = part[3] }
            $NF == link { print pid; exit }'
    done | head -n 1
}

process_words() {
    if [ -n "$1" ]; then
        echo "$(cat "/proc/$1/comm" 2>/dev/null || echo a program) (process $1)"
    else
        echo "another program"
    fi
}

held_by_instance() {
    [ -n "$1" ] && [ "$engine_plan" = none ] || return 1
    for container in $(docker ps -q --no-trunc --filter "label=labhub.instance=$instance"); do
        ! grep -q "$container" "/proc/$1/cgroup" 2>/dev/null || return 0
    done
    return 1
}

# check_configuration: with the image that will run; the first time, as soon as it has been built.
check_configuration() {
    if [ -d "$dir/labhub.yaml" ]; then
        cannot "$dir/labhub.yaml is a directory: remove it, a commented file will be written"
    elif [ ! -e "$dir/labhub.yaml" ]; then
        will "write $dir/labhub.yaml"
    elif [ "$engine_plan" != none ] || ! have_image "$hub_tag"; then
        note "$dir/labhub.yaml will be checked as soon as the hub image is there"
    elif configuration_errors; then
        say_configuration_errors
    else
        found "$dir/labhub.yaml, valid"
        checked_by=$hub_tag
    fi
}

say_configuration_errors() {
    while IFS= read -r line; do
        cannot "$line"
    done <"$scratch/configuration"
}
