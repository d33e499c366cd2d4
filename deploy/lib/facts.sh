# shellcheck shell=sh
# What labhub.yaml means for these scripts, read by the code that the hub runs.

# read_facts: sets bind, provider, first_admin, public_url, url, local_url and the proxy's arguments.
read_facts() {
    in_hub_image facts >"$scratch/facts" || die "x"
}
