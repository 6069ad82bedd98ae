#!/bin/sh
# Run nginx with this folder's configuration and settings from the environment. On SIGQUIT it completes the requests in
# flight and stops.
#
#   PROXY_ENGINES         addresses of the engines, "host:port host:port"; a name may resolve to several addresses
#   PROXY_PAGE            folder of the built page
#   PROXY_PORT            port to listen on
#   PROXY_API_KEY         the key that predictions must send as `Authorization: Bearer KEY`; empty: no key is required
#   PROXY_TLS_PORT        port for HTTPS; used if there is a certificate
#   PROXY_TLS_CERTIFICATE, PROXY_TLS_KEY   PEM files
#   PROXY_MAX_BODY_BYTES  maximum size of a request body in bytes: the engine's limit
#   PROXY_READ_SECONDS    maximum time for a response, in seconds
#   PROXY_WORKERS         number of nginx's worker processes
#   PROXY_ACCESS_LOG      file for one line of JSON per request; /dev/stdout by default
#   PROXY_RUN             folder for nginx's own files, PROXY_BODIES for large request bodies
#   PROXY_RESOLVE_SECONDS how often the engines' names are resolved again, in seconds
#   PROXY_MIME_TYPES      nginx's list of media types, if its package installs it elsewhere
set -eu

PROXY_CONF=$(cd "$(dirname "$0")" && pwd)
: "${PROXY_ENGINES:=127.0.0.1:8080}" "${PROXY_PAGE:=/srv/page}" "${PROXY_PORT:=8000}"
: "${PROXY_API_KEY:=}" "${PROXY_TLS_PORT:=8443}" "${PROXY_TLS_CERTIFICATE:=}" "${PROXY_TLS_KEY:=}"
: "${PROXY_MAX_BODY_BYTES:=67108864}" "${PROXY_READ_SECONDS:=600}" "${PROXY_WORKERS:=2}"
: "${PROXY_RUN:=/tmp/inpaint-proxy}" "${PROXY_RESOLVE_SECONDS:=5}"
: "${PROXY_BODIES:=$PROXY_RUN/bodies}" "${PROXY_ACCESS_LOG:=/dev/stdout}" "${PROXY_MIME_TYPES:=/etc/nginx/mime.types}"

PROXY_SERVERS=""
for engine in $PROXY_ENGINES; do
    # max_fails=0: once every engine is marked as failed, nginx would refuse requests for a while after they are back.
    PROXY_SERVERS="$PROXY_SERVERS server $engine max_fails=0;"
done

# The key as a regular expression of its bytes: nginx compares plain strings case-insensitively.
PROXY_WITHOUT_KEY=1 PROXY_KEY=""
if [ -n "$PROXY_API_KEY" ]; then
    bytes=$(printf %s "$PROXY_API_KEY" | od -An -v -tx1 | tr -d ' \n' | sed 's/../\\x&/g')
    PROXY_WITHOUT_KEY=0 PROXY_KEY="\"~^Bearer $bytes\$\" 1;"
fi

PROXY_TLS=""
if [ -n "$PROXY_TLS_CERTIFICATE" ]; then
    PROXY_TLS="listen $PROXY_TLS_PORT ssl http2;
        ssl_certificate $PROXY_TLS_CERTIFICATE;
        ssl_certificate_key $PROXY_TLS_KEY;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:2m;"
fi

export PROXY_CONF PROXY_PAGE PROXY_PORT PROXY_MAX_BODY_BYTES PROXY_READ_SECONDS PROXY_WORKERS PROXY_RUN
export PROXY_BODIES PROXY_ACCESS_LOG PROXY_MIME_TYPES PROXY_SERVERS PROXY_WITHOUT_KEY PROXY_KEY PROXY_TLS
umask 077 # the written files contain the key
mkdir -p "$PROXY_RUN" "$PROXY_BODIES"
# Only these names are replaced: the others are nginx's variables.
names=$(env | sed -n 's/^\(PROXY_[A-Z_]*\)=.*/${\1}/p' | tr '\n' ' ')
for template in nginx.conf errors.conf; do
    envsubst "$names" <"$PROXY_CONF/$template.template" >"$PROXY_RUN/$template"
done

# nginx resolves names once, when it starts, but containers restart under the same name with other addresses.
# nginx 1.27.3 and later can resolve an upstream's names itself (`resolve`); Debian 12 has 1.22.
addresses() {
    for engine in $PROXY_ENGINES; do getent ahosts "${engine%:*}"; done | cut -d' ' -f1 | sort -u
}
follow() {
    while sleep "$PROXY_RESOLVE_SECONDS" && kill -0 "$1" 2>/dev/null; do
        now=$(addresses)
        # An engine that is down has no address, and nginx would reject the configuration: keep the last one.
        if [ -n "$now" ] && [ "$now" != "$known" ]; then
            known=$now
            kill -HUP "$1"
        fi
    done
}
known=$(addresses) # before nginx resolves them, so that no change in between is missed
follow $$ &
exec nginx -e stderr -p "$PROXY_RUN" -c "$PROXY_RUN/nginx.conf"
