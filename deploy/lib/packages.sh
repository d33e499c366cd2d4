# shellcheck shell=sh
# What apt installs, when something is missing.

# find_compose: sets compose to the plugin or to the command of its own, or fails.
find_compose() {
    if docker compose version >/dev/null 2>&1; then
        compose="docker compose"
    elif docker-compose version >/dev/null 2>&1; then
        compose=docker-compose
    else
        compose=
        return 1
    fi
}

check_compose() {
    if command -v docker >/dev/null && find_compose; then
        found "$compose $($compose version --short 2>/dev/null)"
    elif have_apt; then
        will "install Docker Compose with apt"
    else
        cannot "Docker Compose is missing and this system has no apt-get: install the compose plugin by hand (https://docs.docker.com/compose/install/)"
    fi
}

# install_packages: one run of apt for all that is missing, none when nothing is.
install_packages() {
    if [ "$engine_plan" != install ] && find_compose && { command -v mmdebstrap >/dev/null || ! have_apt; }; then
        return 0
    fi
    lock_machine
    apt="env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600"
    # shellcheck disable=SC2086 # $apt is a list of words
    long "reading the package lists" $apt update ||
        note "apt-get update had errors; going on with the lists that are there"
    packages=$(missing_packages)
    if [ -n "$packages" ]; then
        say "  installing$packages"
        # shellcheck disable=SC2086 # a list of words
        long "installing packages" $apt install -y --no-install-recommends $packages ||
            die "apt could not install$packages: $(grep '^E:' "$scratch/err" | head -n 1); run apt-get install yourself to see why"
    fi
    unlock_machine
    find_compose || die "Docker Compose was installed and does not run: try 'docker compose version' by hand"
}

missing_packages() {
    if [ "$engine_plan" = install ]; then
        engine_packages
    fi
    find_compose || printf ' %s' "$(first_candidate docker-compose-plugin docker-compose-v2 docker-compose)"
    command -v mmdebstrap >/dev/null || printf ' mmdebstrap'
}

# Docker's own repository, where an admin has configured it; else the distribution's packages.
engine_packages() {
    if has_candidate docker-ce; then
        printf ' docker-ce docker-ce-cli containerd.io'
    else
        printf ' docker.io'
        ! has_candidate docker-cli || printf ' docker-cli'
    fi
    printf ' ca-certificates'
    ! grep -q Y /sys/module/apparmor/parameters/enabled 2>/dev/null || printf ' apparmor'
    [ -d /run/systemd/system ] || grep -q ' cgroup2\{0,1\} ' /proc/mounts || ! has_candidate cgroupfs-mount || printf ' cgroupfs-mount'
}

has_candidate() {
    candidate=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
    [ -n "$candidate" ] && [ "$candidate" != '(none)' ]
}

first_candidate() {
    for package in "$@"; do
        if has_candidate "$package"; then
            echo "$package"
            return
        fi
    done
    echo docker-compose
}
