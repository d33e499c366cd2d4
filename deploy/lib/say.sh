# shellcheck shell=sh
# What a person sees while a command works: numbered steps, long work that visibly moves, one
# sentence when something is wrong. All of it also goes to the log.

# begin_output STEPS: opens a private directory for this run; it disappears however the run ends.
begin_output() {
    steps=$1
    step_now=0
    child=
    tty=no
    [ ! -t 1 ] || tty=yes
    began=$(date +%s)
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/labhub.XXXXXX") || {
        echo "error: no temporary directory could be made in ${TMPDIR:-/tmp}: free some space there or set TMPDIR" >&2
        exit 1
    }
    log=$scratch/log
    : >"$log"
    trap 'rm -rf "$scratch"' EXIT
    trap 'interrupted 130' INT
    trap 'interrupted 143' TERM HUP
}

# keep_log FILE: from here on the log is FILE, beginning with what was said so far.
keep_log() {
    if [ -s "$1" ] && [ "$(wc -c <"$1")" -gt 10485760 ]; then
        mv "$1" "$1.old"
    fi
    printf '\n=== %s\n' "$(date -u '+%Y-%m-%d %H:%M:%S UTC')" >>"$1"
    cat "$log" >>"$1"
    log=$1
}

elapsed_seconds() { echo $(($(date +%s) - began)); }

say() {
    printf '%s\n' "$*"
    printf '%s\n' "$*" >>"$log"
}

complain() {
    printf '%s\n' "$*" >&2
    printf '%s\n' "$*" >>"$log"
}

die() {
    complain "error: $*"
    exit 1
}

step() {
    step_now=$((step_now + 1))
    say "[$step_now/$steps, $(elapsed_seconds) s] $*"
}

interrupted() {
    trap '' INT TERM HUP
    [ -z "$child" ] || kill -TERM "-$child" 2>/dev/null || :
    [ "$tty" = no ] || printf '\r\033[K'
    complain "Interrupted. Nothing is lost: run the same command again and it continues from here."
    exit "$1"
}

# long WHAT COMMAND...: runs COMMAND in a process group of its own, so that Ctrl-C ends all of it.
# Its last line on stdout becomes $result; what it says on stderr is shown and logged.
long() {
    what=$1
    shift
    long_began=$(date +%s)
    shown=0
    quiet_since=$long_began
    : >"$scratch/err"
    # 8 and 9 are the locks: a daemon started somewhere below must not keep them.
    setsid "$@" >"$scratch/out" 2>"$scratch/err" 8>&- 9>&- &
    child=$!
    sleep 0.2
    while kill -0 "$child" 2>/dev/null; do
        show_progress
        sleep 1
    done
    wait "$child" && long_status=0 || long_status=$?
    child=
    show_progress
    end_progress
    cat "$scratch/err" "$scratch/out" >>"$log"
    # shellcheck disable=SC2034 # read by the callers
    result=$(tail -n 1 "$scratch/out")
    return "$long_status"
}

show_progress() {
    now=$(date +%s)
    if [ "$tty" = yes ]; then
        printf '\r\033[K%s' "$(printf '  … %s, %s s: %s' "$what" $((now - long_began)) \
            "$(tail -n 1 "$scratch/err" | tr -d '\r')" | cut -c"1-$(terminal_columns)")"
        return
    fi
    lines=$(wc -l <"$scratch/err")
    if [ "$lines" -gt "$shown" ]; then
        sed -n "$((shown + 1)),${lines}p" "$scratch/err" | sed 's/^/  /'
        shown=$lines
        quiet_since=$now
    elif [ $((now - quiet_since)) -ge 15 ]; then
        echo "  … $what, $((now - long_began)) s"
        quiet_since=$now
    fi
}

terminal_columns() {
    columns=$(stty size 2>/dev/null </dev/tty | cut -d' ' -f2)
    echo $((${columns:-80} - 1))
}

end_progress() {
    [ "$tty" = yes ] || return 0
    printf '\r\033[K'
    [ "$long_status" -eq 0 ] || tail -n 16 "$scratch/err" | sed 's/^/  /' >&2
}
