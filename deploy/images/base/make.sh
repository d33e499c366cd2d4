#!/bin/sh
# A minimal Debian root filesystem for Docker, made with mmdebstrap where no registry answers.
# make.sh SUITE OUTPUT.tar; from LABHUB_DEBIAN_MIRROR, or where mmdebstrap finds Debian by itself.
set -eu
suite=$1 output=$2
here=$(cd "$(dirname "$0")" && pwd)
mirror=${LABHUB_DEBIAN_MIRROR:-}
security=${LABHUB_DEBIAN_SECURITY_MIRROR:-${mirror%/debian}/debian-security}

# apt reads the keys as its own user, so they must lie where everybody may read.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -m 755 "$scratch/keys"
chmod 755 "$scratch"
install -m 644 "$here/debian-archive-keyring.asc" "$scratch/keys/debian.asc"

bootstrap() { # bootstrap MIRROR...: the lines of /etc/apt/sources.list; none is mmdebstrap's own choice
    # shellcheck disable=SC2016 # $1 is for mmdebstrap's own shell
    mmdebstrap --quiet --variant=minbase --include=ca-certificates --keyring="$scratch/keys" \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='rm -rf "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*' \
        "$suite" "$output" "$@"
}

if [ -n "$mirror" ]; then
    bootstrap "deb $mirror $suite main" "deb $mirror $suite-updates main" "deb $security $suite-security main"
else
    bootstrap
fi
