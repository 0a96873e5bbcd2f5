#!/bin/sh
# Runs in: an image build; hands the optional build secrets to pip and uv, then becomes the given command.
set -eu
secrets=/run/secrets
[ ! -s "$secrets/ca_bundle" ] || export SSL_CERT_FILE="$secrets/ca_bundle" PIP_CERT="$secrets/ca_bundle"
[ ! -s "$secrets/index_url" ] || UV_DEFAULT_INDEX="$(cat "$secrets/index_url")"
[ -z "${UV_DEFAULT_INDEX:-}" ] || export UV_DEFAULT_INDEX PIP_INDEX_URL="$UV_DEFAULT_INDEX"
exec "$@"
