# shellcheck shell=sh
# What upgrades leave behind: versions of our own images and bundles that nothing names any more.

tidy_after_seconds=86400 # a younger one may belong to a deploy/up that is still at work

# remove_old_versions: an image or volume that a container uses is refused by the engine and stays.
remove_old_versions() {
    kept=" $hub_tag $server_tag $("$build" name dependencies) $bundle $(versions_of_hubs | tr '\n' ' ') "
    removed=0
    for name in $(our_images); do
        [ "$(image_age_seconds "$name")" -lt "$tidy_after_seconds" ] || remove_version image "$name"
    done
    for name in $(docker volume ls -q --filter label=labhub.role=bundle); do
        [ "$(volume_age_seconds "$name")" -lt "$tidy_after_seconds" ] || remove_version volume "$name"
    done
    [ "$removed" -eq 0 ] || say "  $removed older images and bundles removed"
}

# remove_version KIND NAME
remove_version() {
    case $kept in *" $2 "*) return 0 ;; esac
    ! docker "$1" rm "$2" >/dev/null 2>&1 || removed=$((removed + 1))
}

our_images() {
    for repository in labhub/hub labhub/hub-dependencies labhub/server; do
        docker image ls --format '{{.Repository}}:{{.Tag}}' --filter label=labhub.recipe "$repository"
    done
}

# versions_of_hubs: every instance's hub, running or stopped, names the bundle its next server gets;
# the image that the bundle was made of has the same hash.
versions_of_hubs() {
    for hub in $(docker ps -aq --filter label=labhub.role=hub); do
        docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$hub" |
            sed -n 's#^LABHUB_BUNDLE=\(labhub-server-\(.*\)\)#\1\nlabhub/server:\2#p'
    done
}

image_age_seconds() { age_seconds "$(docker image inspect --format '{{.Created}}' "$1" 2>/dev/null)"; }
volume_age_seconds() { age_seconds "$(docker volume inspect --format '{{.CreatedAt}}' "$1" 2>/dev/null)"; }

# age_seconds TIME: 0 for a time that cannot be read, so that what is unclear stays.
age_seconds() {
    made=$(date -d "$1" +%s 2>/dev/null) && [ -n "$1" ] || made=$(date +%s)
    echo $(($(date +%s) - made))
}
