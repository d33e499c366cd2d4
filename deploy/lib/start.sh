# shellcheck shell=sh
# Starting what compose.yaml describes, waiting until it answers, and the first admin.

# choose_proxy_image: a new hub image often brings the very same proxy; keeping the old image then
# keeps the proxy's container, and nobody's notebook is cut off.
choose_proxy_image() {
    proxy_image=$(recall LABHUB_PROXY_IMAGE)
    instance_environment >"$scratch/instance.env"
    LABHUB_PROXY_CONFIGURATION=$(proxy_fingerprint "$hub_tag")
    [ -n "$LABHUB_PROXY_CONFIGURATION" ] || die "the hub image $hub_tag cannot say how its proxy is started: see $log"
    if [ "$proxy_image" != "$hub_tag" ] &&
        [ "$(proxy_fingerprint "${proxy_image:-none}")" != "$LABHUB_PROXY_CONFIGURATION" ]; then
        proxy_image=$hub_tag
    fi
    # Compose replaces a container whose label changed: both read files only at their start.
    LABHUB_HUB_CONFIGURATION=$(cat "$dir/labhub.yaml" "$dir/hub.env" | sha256sum | cut -c1-12)
    export LABHUB_HUB_CONFIGURATION LABHUB_PROXY_CONFIGURATION
}

# proxy_fingerprint IMAGE: the proxy's code, its node, and the command line it gets; or nothing.
proxy_fingerprint() {
    have_image "$1" || return 0
    # shellcheck disable=SC2016 # expanded by Python
    run_in_image "$1" sh -c 'cat /opt/labhub/proxy/package-lock.json && node --version && python3 -c "
import os
from pathlib import Path
from hub_config.instance import read_instance
from hub_config.load import load
from hub_config.proxy import proxy_command
print(proxy_command(load(Path(\"/etc/labhub/labhub.yaml\")), read_instance(os.environ)))"' \
        >"$scratch/fingerprint" 2>>"$log" || return 0
    sha256sum <"$scratch/fingerprint" | cut -c1-12
}

# compose_run PROJECT FILE ARGUMENTS...: with the values of instance.env, whatever the caller's
# environment says.
compose_run() {
    project=$1 file=$2
    shift 2
    set -a
    # shellcheck disable=SC1091 # written by remember
    . "$dir/instance.env"
    set +a
    # shellcheck disable=SC2086 # "docker compose" is two words
    long "$compose $1" $compose --project-name "$project" --file "$deploy/$file" "$@"
}

start_containers() {
    before=$(our_containers)
    compose_run "$instance" compose.yaml up -d --remove-orphans ||
        die "the containers could not be started: $(grep -i error "$scratch/err" | tail -n 1); see $log"
    if [ "$before" = "$(our_containers)" ]; then
        say "  hub and proxy run already and are up to date"
    else
        say "  hub and proxy started"
    fi
    start_gpu_monitor
}

our_containers() {
    docker ps -q --no-trunc --filter "label=labhub.instance=$instance" --filter label=labhub.role=hub
    docker ps -q --no-trunc --filter "label=labhub.instance=$instance" --filter label=labhub.role=proxy
}

# wait_for_hub: it counts only what a browser would see, the hub's answer through the proxy.
wait_for_hub() {
    deadline=$(($(date +%s) + 120))
    until hub_answers; do
        if [ "$(date +%s)" -ge "$deadline" ]; then
            explain_silence
        fi
        sleep 0.5
    done
    say "  the hub answers at $url ($hub_version)"
}

# Asked from inside the proxy's container, which shares the host's network: no tool on the host
# needed. Local accounts come up after the hub; without them nobody can sign in.
hub_answers() {
    set -- "${local_url}hub/api"
    [ "$provider" != local ] || set -- "$@" "${local_url}services/accounts/health"
    hub_version=$(docker exec "$instance-proxy" python3 -c '
import json, sys, urllib.request
pages = [urllib.request.urlopen(url, timeout=5).read() for url in sys.argv[1:]]
print("JupyterHub", json.loads(pages[0])["version"])' "$@" 2>/dev/null)
}

explain_silence() {
    for role in proxy hub; do
        complain "last lines of $instance-$role:"
        docker logs --tail 15 "$instance-$role" 2>&1 | sed 's/^/  | /' | tee -a "$log" >&2 || :
    done
    die "the hub did not answer at $local_url within 120 s: correct what its last lines name (often $dir/labhub.yaml) and run deploy/up again"
}

in_hub() { docker exec "$instance-hub" "$@"; }
