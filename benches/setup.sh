#!/bin/sh
# Installs what `make bench` needs on a Debian machine: the peers, the load generators, a compiler
# for the floor. Does nothing, and needs no root, when all of it is there. The packages' services
# are not started: the benchmark runs its own processes with its own configuration.
set -eu

PATH="$PATH:/usr/sbin:/sbin"
packages=""

need() { # need PROGRAM PACKAGE: the package is wanted when the program is missing
    command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}

need nginx nginx
need haproxy haproxy
need varnishd varnish
need hitch hitch
need wrk wrk
need h2load nghttp2-client
need gtlsclient ngtcp2-client
need openssl openssl
need cc "gcc libc6-dev"
need python3 python3
[ -n "$packages" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root="sudo"
fi

echo "benches/setup.sh: installing$packages" >&2
policy=/usr/sbin/policy-rc.d
made_policy=""
finish() {
    [ -z "$made_policy" ] || $as_root rm -f "$policy"
}
trap finish EXIT
trap "exit 1" HUP INT TERM
if [ ! -e "$policy" ]; then
    # 101: services must not be started by their packages (invoke-rc.d's protocol).
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
    made_policy=yes
fi
$as_root apt-get update -q
# shellcheck disable=SC2086 -- a list of package names
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages
