# shellcheck shell=sh
# The first sign-in: an admin with a one-time link, or the callback URL that a provider needs.

prepare_sign_in() {
    sign_in=
    if [ "$provider" != local ]; then
        say "  people sign in with $provider; register this callback URL there: $(in_hub labhub callback-url)"
        return
    fi
    in_hub labhub user list --json >"$scratch/accounts" 2>>"$log" ||
        die "the local accounts do not answer: see docker logs $instance-hub"
    case $(needed_for_first_admin) in
        nothing) say "  an admin can sign in; new accounts: deploy/labhub user add NAME" ;;
        link) make_link user link "$first_admin" ;;
        add) make_link user add "$first_admin" --admin ;;
        *) die "the list of local accounts could not be read: see $log" ;;
    esac
}

# needed_for_first_admin: nothing, once somebody who administers can sign in.
needed_for_first_admin() {
    docker exec --interactive "$instance-hub" python3 -c '
import json, sys
accounts, admins = json.load(sys.stdin), sys.argv[1].split()
able = [row for row in accounts if row["has_password"] and not row["locked"]]
if any(row["admin"] or row["user"] in admins for row in able):
    print("nothing")
else:
    print("link" if admins[0] in [row["user"] for row in accounts] else "add")
' "$admins" <"$scratch/accounts" 2>>"$log"
}

make_link() {
    sign_in=$(in_hub labhub "$@" 2>"$scratch/err" | tail -n 1)
    [ -n "$sign_in" ] ||
        die "the first admin $first_admin (login.admins in $dir/labhub.yaml) got no account: $(tail -n 1 "$scratch/err" | sed 's/^Error: //')"
    say "  $first_admin is an admin, without a password yet"
}

print_address() {
    say ""
    say "labhub is running at  $url"
    if [ -n "$sign_in" ]; then
        # The link is a password until it is used: it goes to the screen and not into the log.
        printf 'First sign-in: open this link within 48 hours and choose a password for "%s":\n  %s\n' "$first_admin" "$sign_in"
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
