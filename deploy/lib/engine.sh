# shellcheck shell=sh
# The Docker engine: found, checked, installed and started when missing, never touched when it answers.

engine_floor=20.10        # API 1.41: what the hub speaks
engine_recommended=29.5.1 # below it: known ways out of a container or into the host's files
runc_recommended=1.3.6
toolkit_recommended=1.19.1

have_apt() { command -v apt-get >/dev/null; }
have_image() { docker image inspect "$1" >/dev/null 2>&1; }
engine_info() { docker info --format "$1" 2>/dev/null || :; }

# version_below A B, by the digits in front ("20.10.24+dfsg1" is 20.10.24).
version_below() {
    left=$(printf '%s' "$1" | sed 's/^\([0-9.]*\).*/\1/')
    [ "$left" != "$2" ] && [ "$(printf '%s\n%s\n' "$left" "$2" | sort -V | head -n 1)" = "$left" ]
}

# read_engine_socket: DOCKER_HOST names a second engine, which is used as it is and never started.
read_engine_socket() {
    engine_given=no
    if [ -n "${DOCKER_HOST:-}" ]; then
        engine_given=yes
    fi
    DOCKER_HOST=${DOCKER_HOST:-unix:///var/run/docker.sock}
    export DOCKER_HOST
    engine_socket=${DOCKER_HOST#unix://}
}

# check_engine: engine_plan becomes none (it answers), start, install, or broken.
check_engine() {
    engine_plan=broken
    if [ "$engine_socket" = "$DOCKER_HOST" ]; then
        cannot "DOCKER_HOST=$DOCKER_HOST is not a unix socket: labhub mounts the socket of an engine on this machine (unix:///path)"
    elif ! command -v docker >/dev/null; then
        plan_installation "the docker command"
    elif engine_version=$(timeout 30 docker version --format '{{.Server.Version}}' 2>"$scratch/engine"); then
        engine_plan=none
        check_running_engine cannot
    elif ! grep -Eqi 'cannot connect|failed to connect|no such file|connection refused|daemon running' "$scratch/engine"; then
        cannot "the docker command does not get on with the engine at $engine_socket: $(head -n 1 "$scratch/engine" | cut -c1-200); make that work first"
    elif [ "$engine_given" = yes ]; then
        cannot "no engine answers at $DOCKER_HOST: start that engine, or unset DOCKER_HOST to use the machine's own"
    elif command -v dockerd >/dev/null; then
        engine_plan=start
        will "start the Docker engine with $(engine_starter)"
    else
        plan_installation "Docker Engine"
    fi
}

plan_installation() {
    if ! have_apt; then
        cannot "$1 is missing and this system has no apt-get: install Docker Engine $engine_floor or newer by hand (https://docs.docker.com/engine/install/)"
    elif [ "$engine_given" = yes ]; then
        cannot "$1 is missing although DOCKER_HOST names an engine: install the docker command line first"
    else
        engine_plan=install
        will "install Docker Engine with apt and start it with $(engine_starter)"
    fi
}

# check_running_engine COMPLAINT: COMPLAINT is cannot before anything is changed, die afterwards.
check_running_engine() {
    if version_below "$engine_version" "$engine_floor"; then
        "$1" "Docker Engine $engine_version at $engine_socket is too old: labhub needs $engine_floor or newer, so upgrade it (for example apt-get install docker.io)"
        return
    fi
    found "Docker Engine $engine_version at $engine_socket"
    note_old_parts
    check_engine_limits "$1"
    check_engine_mode "$1"
}

# Distributions carry security fixes back without a new number, so these are notes and no refusals.
note_old_parts() {
    ! version_below "$engine_version" "$engine_recommended" ||
        note "Docker Engine $engine_version is older than $engine_recommended, which closes known holes: upgrade it, or know that your distribution patches it"
    runc_version=$(docker version --format '{{range .Server.Components}}{{if eq .Name "runc"}}{{.Version}}{{end}}{{end}}' 2>/dev/null) || runc_version=
    [ -z "$runc_version" ] || ! version_below "$runc_version" "$runc_recommended" ||
        note "runc $runc_version is older than $runc_recommended, which closes known ways out of a container: upgrade it, or know that your distribution patches it"
    toolkit_version=$(nvidia-ctk --version 2>/dev/null | sed -n 's/.*version \([0-9.]*\).*/\1/p' | head -n 1)
    [ -z "$toolkit_version" ] || ! version_below "$toolkit_version" "$toolkit_recommended" ||
        note "nvidia-container-toolkit $toolkit_version is older than $toolkit_recommended, which closes known holes: upgrade it"
    note_bare_hooks
}

# Until toolkit 1.17.8 its hooks were described without variables of their own; with an older runc
# they then run as root with those of the image (CVE-2025-23266). Such a file outlives an upgrade.
note_bare_hooks() {
    cdi_directories=$(engine_info '{{join .CDISpecDirs " "}}')
    for directory in ${cdi_directories:-/etc/cdi /var/run/cdi}; do
        for file in "$directory"/*.yaml "$directory"/*.json; do
            grep -qs 'nvidia\.com/' "$file" || continue
            bare_hooks=$(awk -f "$deploy/lib/cdi-hooks.awk" "$file")
            [ "$bare_hooks" -eq 0 ] ||
                note "$file describes $bare_hooks hook(s) without variables of their own, so an image's LD_PRELOAD could run as root on this machine: write it again with a current toolkit (nvidia-ctk cdi generate --output=$file)"
        done
    done
}

# An engine that cannot enforce a limit drops it with a warning only, so it is refused here.
check_engine_limits() {
    limits=$(engine_info '{{.MemoryLimit}} {{.CPUCfsQuota}} {{.PidsLimit}} {{.SwapLimit}} {{.InitCommit.ID}}')
    # shellcheck disable=SC2086 # four words and perhaps a fifth
    set -- "$1" $limits
    missing_limits=
    [ "${2:-}" = true ] || missing_limits="$missing_limits memory"
    [ "${3:-}" = true ] || missing_limits="$missing_limits cpu"
    [ "${4:-}" = true ] || missing_limits="$missing_limits pids"
    [ -z "$missing_limits" ] ||
        "$1" "Docker cannot enforce limits on this kernel (missing cgroup controllers:$missing_limits): enable them (kernel command line cgroup_enable=memory, or delegate them to Docker's cgroup)"
    [ "${5:-}" = true ] || ! host_has_swap ||
        "$1" "Docker cannot limit swap on this kernel, so memory limits would not hold: boot with swapaccount=1 or switch swap off (swapoff -a)"
    [ "${6:-}" != N/A ] ||
        "$1" "Docker's init program (docker-init) is missing or broken: install it (apt-get install tini, or docker-ce's own package)"
    [ -n "$missing_limits" ] || found "limits for memory, CPU and processes that Docker enforces"
}

host_has_swap() { [ "$(wc -l </proc/swaps)" -gt 1 ]; }

# check_engine_mode: modes in which user ids or the host's network are not what the hub expects.
check_engine_mode() {
    modes=$(engine_info '{{range .SecurityOptions}}{{println .}}{{end}}')
    case $modes in
        *name=rootless*) "$1" "the engine at $engine_socket is rootless, where containers cannot use the host's network: use the system's engine" ;;
        *name=userns*) "$1" "the engine at $engine_socket remaps user ids (userns-remap), which the users' own ids do not survive: use an engine without it" ;;
    esac
}

engine_starter() {
    if [ -d /run/systemd/system ]; then
        echo systemd
    elif [ -x /etc/init.d/docker ]; then
        echo "its init script"
    else
        echo "dockerd itself"
    fi
}

# ensure_engine: after it, an engine that passed every check answers.
ensure_engine() {
    install_packages
    [ "$engine_plan" != none ] || return 0
    engine_version=$(timeout 30 docker version --format '{{.Server.Version}}' 2>/dev/null) || start_engine
    check_running_engine die
    # shellcheck disable=SC2034 # read by the later steps
    engine_plan=none
}

start_engine() {
    say "  starting the Docker engine with $(engine_starter)"
    case $(engine_starter) in
        systemd) long "starting docker" systemctl enable --now docker || : ;;
        "its init script") start_by_script || start_dockerd ;;
        *) start_dockerd ;;
    esac
    wait_for_engine 60 || die "the Docker engine was started and does not answer: $(engine_log_tail)"
}

# Init scripts fail where their assumptions do (ulimits in a container, for one); dockerd still may run.
start_by_script() {
    long "starting docker" /etc/init.d/docker start && wait_for_engine 30
}

# No init system at all: dockerd in a session of its own, with its log and pid where README says.
start_dockerd() {
    say "  starting dockerd directly; its log is /var/log/labhub-dockerd.log"
    setsid dockerd --pidfile /run/labhub-dockerd.pid >>/var/log/labhub-dockerd.log 2>&1 </dev/null 8>&- 9>&- &
}

wait_for_engine() {
    deadline=$(($(date +%s) + $1))
    until engine_version=$(timeout 10 docker version --format '{{.Server.Version}}' 2>/dev/null); do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.5
    done
}

engine_log_tail() {
    for file in /var/log/labhub-dockerd.log /var/log/docker.log; do
        if [ -s "$file" ]; then
            echo "the last line of $file is '$(tail -n 1 "$file" | cut -c1-300)'"
            return
        fi
    done
    echo "see journalctl -u docker"
}
