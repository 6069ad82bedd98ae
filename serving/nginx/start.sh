#!/bin/sh
# Run nginx with this folder's configuration, filled in from the environment; stop it with SIGQUIT to have the
# requests in flight answered.
#
#   PROXY_ENGINES         where the engines listen, "host:port host:port"; a name may stand for several addresses
#   PROXY_PAGE            folder of the built page
#   PROXY_PORT            port to listen on
#   PROXY_API_KEY         the key that predictions must carry as `Authorization: Bearer KEY`; none: nobody is asked
#   PROXY_TLS_PORT        port for HTTPS; used where there is a certificate
#   PROXY_TLS_CERTIFICATE, PROXY_TLS_KEY   files in PEM form
#   PROXY_MAX_BODY_BYTES  bytes that a request's body may have: what the engine takes
#   PROXY_READ_SECONDS    how long an answer may take
#   PROXY_WORKERS         nginx's processes
#   PROXY_ACCESS_LOG      file that gets a line of JSON for each request; /dev/stdout
#   PROXY_RUN             folder for what nginx writes, PROXY_BODIES for large request bodies
#   PROXY_RESOLVE_SECONDS how often the engines' names are looked up again
#   PROXY_MIME_TYPES      nginx's list of media types, where its package puts it elsewhere
set -eu

PROXY_CONF=$(cd "$(dirname "$0")" && pwd)
: "${PROXY_ENGINES:=127.0.0.1:8080}" "${PROXY_PAGE:=/srv/page}" "${PROXY_PORT:=8000}"
: "${PROXY_API_KEY:=}" "${PROXY_TLS_PORT:=8443}" "${PROXY_TLS_CERTIFICATE:=}" "${PROXY_TLS_KEY:=}"
: "${PROXY_MAX_BODY_BYTES:=67108864}" "${PROXY_READ_SECONDS:=600}" "${PROXY_WORKERS:=2}"
: "${PROXY_RUN:=/tmp/inpaint-proxy}" "${PROXY_RESOLVE_SECONDS:=5}"
: "${PROXY_BODIES:=$PROXY_RUN/bodies}" "${PROXY_ACCESS_LOG:=/dev/stdout}" "${PROXY_MIME_TYPES:=/etc/nginx/mime.types}"

PROXY_SERVERS=""
for engine in $PROXY_ENGINES; do
    PROXY_SERVERS="$PROXY_SERVERS server $engine max_fails=2 fail_timeout=5s;"
done

# The key as a regular expression of its bytes: nginx compares other strings without regard to case.
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
umask 077 # the key is in what is written
mkdir -p "$PROXY_RUN" "$PROXY_BODIES"
# Only these names are filled in: the others are nginx's variables.
names=$(env | sed -n 's/^\(PROXY_[A-Z_]*\)=.*/${\1}/p' | tr '\n' ' ')
for template in nginx.conf errors.conf; do
    envsubst "$names" <"$PROXY_CONF/$template.template" >"$PROXY_RUN/$template"
done

# nginx looks names up once, when it starts. Containers come and go, under the same name with other addresses.
addresses() {
    for engine in $PROXY_ENGINES; do getent ahosts "${engine%:*}"; done | cut -d' ' -f1 | sort -u
}
follow() {
    known=$(addresses)
    while sleep "$PROXY_RESOLVE_SECONDS" && kill -0 "$1" 2>/dev/null; do
        now=$(addresses)
        # An engine that is away has no address: nginx would refuse such a configuration, and keeps the last one.
        if [ -n "$now" ] && [ "$now" != "$known" ]; then
            known=$now
            kill -HUP "$1"
        fi
    done
}
follow $$ &
exec nginx -e stderr -p "$PROXY_RUN" -c "$PROXY_RUN/nginx.conf"
