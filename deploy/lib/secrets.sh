# shellcheck shell=sh
# Secrets: made once, 0600 in a 0700 directory, never made again while they are there.

secret_names="crypt_key cookie_secret proxy_token cli_token accounts_client_secret"

make_secrets() {
    umask 077
    mkdir -p "$dir/secrets"
    chmod 700 "$dir/secrets"
    rm -f "$dir"/secrets/.new.*
    for name in $secret_names; do
        make_secret "$dir/secrets/$name"
    done
    find "$dir/secrets" -type f -exec chmod 600 {} +
    umask 022
}

# make_secret FILE: 32 random bytes as hex. Written aside and linked, so a file is whole or absent.
make_secret() {
    if [ -e "$1" ]; then
        [ -s "$1" ] || die "$1 is empty: bring it back from a backup, or remove it and everybody signs in again"
        return 0
    fi
    fresh=$dir/secrets/.new.$$
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$fresh"
    [ "$(wc -c <"$fresh")" -eq 64 ] || die "$1 could not be written: is the disk full?"
    ln "$fresh" "$1"
    rm -f "$fresh"
    made_secrets=yes
}
