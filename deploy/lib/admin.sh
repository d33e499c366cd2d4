# shellcheck shell=sh
# The first sign-in: an admin with a one-time link, or the callback URL that a provider needs.

prepare_sign_in() {
    sign_in=
    if [ "$provider" != local ]; then
        say "  people sign in with $provider; register this callback URL there: $(in_hub labhub callback-url)"
    elif admin_has_password; then
        say "  an admin can sign in; new accounts: deploy/labhub user add NAME"
    else
        make_first_admin
    fi
}

make_first_admin() {
    name=${first_admin:-admin}
    if account_exists "$name"; then
        sign_in=$(in_hub labhub user link "$name" | tail -n 1)
    else
        sign_in=$(in_hub labhub user add "$name" --admin | tail -n 1)
    fi
    [ -n "$sign_in" ] || die "the account $name got no sign-in link: try deploy/labhub user link $name"
    say "  account $name is an admin without a password yet"
}

print_address() {
    say ""
    say "labhub is running at  $url"
    if [ -n "$sign_in" ]; then
        # The link is a password until it is used: it goes to the screen and not into the log.
        printf 'First sign-in: open this link within 48 hours and choose a password for "%s":\n  %s\n' "$name" "$sign_in"
    fi
    case $bind in
        127.* | localhost | ::1) print_tunnel ;;
    esac
}

# On loopback only this machine's own browser reaches it; from elsewhere through SSH.
print_tunnel() {
    [ -z "$public_url" ] || return 0
    say "From another computer: ssh -L $port:127.0.0.1:$port ${SUDO_USER:-$(id -un)}@$(hostname -f 2>/dev/null || hostname)"
    say "and then the same address there."
}
