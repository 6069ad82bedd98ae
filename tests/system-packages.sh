#!/bin/sh
# Make sure of commands that come as Debian packages: tests/system-packages.sh chromium=chromium nginx=nginx
# Each argument is COMMAND=PACKAGE. Where a command is missing and this user may install packages (root, or sudo
# that asks for no password), its package is installed. Ends with 0 when every command is there; with 1, and a line
# that says what to install, when not.
set -u

there() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

missing=""
for pair in "$@"; do
    there "${pair%%=*}" || missing="$missing ${pair#*=}"
done
[ -z "$missing" ] && exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
    sudo -n true 2>/dev/null || as_root=no
fi
if [ "$as_root" != no ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing$missing ..."
    log=$(mktemp)
    # shellcheck disable=SC2086 # both are lists of words
    { $as_root apt-get update &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing; } \
        >"$log" 2>&1 || tail -n 5 "$log"
    rm -f "$log"
fi

for pair in "$@"; do
    there "${pair%%=*}" || { echo "Missing:$missing. Install it (Debian: apt-get install$missing)."; exit 1; }
done
