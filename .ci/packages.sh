#!/bin/sh
# Install Debian packages whose commands are missing: .ci/packages.sh nginx=nginx-light java=openjdk-17-jre-headless
# Each argument is COMMAND=PACKAGE. It prints nothing when every command is there. It needs root, or sudo without a
# password. Ends with 1, and a line that says what is missing, when a package could not be installed.
set -u

missing() {
    for pair in "$@"; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%=*}" >/dev/null 2>&1 || echo "${pair#*=}"
    done | sort -u
}

packages=$(missing "$@")
[ -z "$packages" ] && exit 0

as_root=
[ "$(id -u)" -eq 0 ] || as_root="sudo -n"
echo "Installing" $packages "..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ $as_root apt-get update &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $packages; } \
    >"$log" 2>&1 || tail -n 5 "$log"

packages=$(missing "$@")
[ -z "$packages" ] || { echo "Not installed:" $packages; exit 1; }
