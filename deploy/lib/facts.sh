# shellcheck shell=sh
# What labhub.yaml means for these scripts, read by the code that will run.

# read_facts: sets provider, admins, bind, and the addresses.
read_facts() {
    run_in_image "$hub_tag" python3 -c '
from pathlib import Path
from hub_config.load import load

config = load(Path("/etc/labhub/labhub.yaml"))
for name, value in {
    "provider": config.login.provider,
    "admins": " ".join(config.login.admins) or "admin",
    "bind": config.hub.bind,
    "url": config.hub.url or "",
    "images": " ".join(image.image for image in config.images.values()),
}.items():
    print(f"{name}={value}".replace("\n", " "))' >"$scratch/facts" 2>>"$log" ||
        die "$dir/labhub.yaml could not be read: see $log"
    provider=$(fact provider)
    admins=$(fact admins)
    first_admin=${admins%% *}
    bind=$(fact bind)
    public_url=$(fact url)
    local_url=http://$(reachable_address):$port/
    url=${public_url:+$public_url/}
    url=${url:-$local_url}
}

fact() { sed -n "s/^$1=//p" "$scratch/facts"; }

# Where this machine itself reaches the proxy: "everywhere" is no address to connect to.
reachable_address() {
    case $bind in
        0.0.0.0) echo 127.0.0.1 ;;
        ::) echo '[::1]' ;;
        *:*) echo "[$bind]" ;;
        *) echo "$bind" ;;
    esac
}
