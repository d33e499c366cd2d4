#!/bin/sh
# A minimal Debian root filesystem for Docker, made with mmdebstrap where no registry answers.
# make.sh SUITE OUTPUT.tar; the mirror is ${LABHUB_DEBIAN_MIRROR:-http://deb.debian.org/debian}.
set -eu
suite=$1 output=$2
here=$(cd "$(dirname "$0")" && pwd)
mirror=${LABHUB_DEBIAN_MIRROR:-http://deb.debian.org/debian}
security=${LABHUB_DEBIAN_SECURITY_MIRROR:-${mirror%/debian}/debian-security}

command -v mmdebstrap >/dev/null || {
    echo "error: mmdebstrap is missing; install it (apt-get install mmdebstrap) and run this again" >&2
    exit 1
}
# apt reads the keys as its own user, so they must lie where everybody may read.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
install -m 644 "$here/debian-archive-keyring.asc" "$scratch/keys.asc"

sources() { # sources OPTIONS: the three lines every Debian installation has
    echo "deb $1$mirror $suite main"
    echo "deb $1$mirror $suite-updates main"
    echo "deb $1$security $suite-security main"
}
sources '' >"$scratch/sources.list"
# shellcheck disable=SC2016 # $1 is for mmdebstrap's own shell
sources "[signed-by=$scratch/keys.asc] " | mmdebstrap --quiet --variant=minbase --include=ca-certificates \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="copy-in $scratch/sources.list /etc/apt/" \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list.d/0000* "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*' \
    "$suite" "$output" -
