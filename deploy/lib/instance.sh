# shellcheck shell=sh
# What belongs to one instance: its directory, its file, its network, what it remembers.

make_directory() {
    mkdir -p "$dir" || die "$dir could not be made"
    keep_log "$dir/up.log"
}

# run_in_image IMAGE COMMAND...: with this instance's file, before anything runs.
run_in_image() {
    set -- --label "labhub.instance=$instance" --label labhub.role=check -v "$dir:/etc/labhub:ro" "$@"
    [ ! -e "$dir/hub.env" ] || set -- --env-file "$dir/hub.env" "$@"
    [ ! -e "$scratch/instance.env" ] || set -- --env-file "$scratch/instance.env" "$@"
    docker run --rm --network none "$@"
}

# configuration_errors: true when labhub.yaml has errors; they are, one per line and with
# the host's path, in $scratch/configuration.
configuration_errors() {
    ! run_in_image "$hub_tag" labhub --config /etc/labhub/labhub.yaml config check >"$scratch/configuration" 2>&1 || return 1
    sed -i -e "s#/etc/labhub/#$dir/#g" -e 's/^Error: //' -e '/^[[:space:]]*$/d' "$scratch/configuration"
}

# refuse_bad_configuration: the check that had to wait until the image was there.
refuse_bad_configuration() {
    [ -e "$dir/labhub.yaml" ] && [ "$checked_by" != "$hub_tag" ] || return 0
    checked_by=$hub_tag
    if configuration_errors; then
        say_configuration_errors
        complain "Correct it and run deploy/up again; what runs was not touched."
        exit 1
    fi
}

# write_configuration: the commented example, naming the TensorFlow image that is really here.
write_configuration() {
    docker run --rm --network none "$hub_tag" labhub config schema >"$scratch/schema" 2>>"$log" &&
        cp "$scratch/schema" "$dir/labhub.schema.json" ||
        note "$dir/labhub.schema.json, which helps editors, could not be written"
    if [ -e "$dir/labhub.yaml" ]; then
        say "  $dir/labhub.yaml kept"
        return
    fi
    title="TensorFlow 2.9"
    [ "$tensorflow" = "$official_tensorflow" ] || title="TensorFlow 2.9 (built on this machine)"
    docker run --rm --network none "$hub_tag" labhub config example >"$scratch/labhub.yaml" ||
        die "the hub image could not print the example configuration: see $log"
    sed -e "s#$official_tensorflow#$tensorflow#" -e "s/^\(    title:\) TensorFlow 2.9\$/\1 $title/" \
        "$scratch/labhub.yaml" >"$dir/.labhub.yaml.new"
    chmod 644 "$dir/.labhub.yaml.new"
    mv "$dir/.labhub.yaml.new" "$dir/labhub.yaml"
    say "  $dir/labhub.yaml written; every key is explained in it"
}

make_state() {
    mkdir -p "$dir/state/gpus" "$dir/volumes"
    chmod 700 "$dir/state" "$dir/volumes"
    [ -e "$dir/hub.env" ] || (
        umask 077
        echo "# NAME=value lines for the hub, for secrets that labhub.yaml takes by 'env: NAME'." >"$dir/hub.env"
    )
}

# make_network: users' containers reach the hub through its gateway, and not each other.
make_network() {
    network=$instance-users
    if ! docker network inspect "$network" >/dev/null 2>&1; then
        docker network create --driver bridge -o com.docker.network.bridge.enable_icc=false \
            --label "labhub.instance=$instance" --label labhub.role=network "$network" >/dev/null 2>"$scratch/err" ||
            die "the network $network could not be made: $(tail -n 1 "$scratch/err")"
        say "  network $network made"
    fi
    gateway=$(docker network inspect -f '{{range .IPAM.Config}}{{println .Gateway}}{{end}}' "$network" | grep -F . | head -n 1)
    [ -n "$gateway" ] || die "the network $network has no IPv4 gateway: remove it with 'docker network rm $network' and run deploy/up again"
}

# time_zone: the machine's, which containers do not know: schedules in labhub.yaml are meant in it.
time_zone() {
    name=${TZ:-}
    [ -n "$name" ] || name=$(readlink -f /etc/localtime 2>/dev/null | sed -n 's#^.*/zoneinfo/##p')
    echo "${name:-Etc/UTC}"
}

# instance_environment: what was decided. Containers get it as their environment, the next run and
# deploy/down read it back.
instance_environment() {
    cat <<END
# Written by deploy/up at every run. Change labhub.yaml instead.
LABHUB_INSTANCE=$instance
LABHUB_DIR=$dir
LABHUB_CONFIG=/etc/labhub/labhub.yaml
LABHUB_SECRETS=/etc/labhub/secrets
LABHUB_STATE=/var/lib/labhub
LABHUB_STATE_ON_HOST=$dir/state
LABHUB_VOLUMES=/var/lib/labhub-volumes
LABHUB_VOLUMES_ON_HOST=$dir/volumes
LABHUB_PORT=$port
LABHUB_API_PORT=$((port + 1))
LABHUB_HUB_PORT=$((port + 81))
LABHUB_ACCOUNTS_PORT=$((port + 2101))
LABHUB_NETWORK=$network
LABHUB_GATEWAY=$gateway
LABHUB_BUNDLE=$bundle
TZ=$(time_zone)
LABHUB_HUB_IMAGE=$hub_tag
LABHUB_PROXY_IMAGE=$proxy_image
LABHUB_ENGINE_SOCKET=$engine_socket
END
}

# remember: whole or not at all.
remember() {
    instance_environment >"$dir/.instance.env.new"
    chmod 644 "$dir/.instance.env.new"
    mv "$dir/.instance.env.new" "$dir/instance.env"
}
