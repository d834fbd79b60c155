#!/bin/sh
# Builds the image with docker, podman or buildah, the first that works here, or with $ENGINE.
#
#   IMAGE           the tag                                (finetune-job:dev)
#   BASE, TORCH     as in the Dockerfile
#   BUILD_OPTIONS   anything else for the engine: "--secret id=pip,src=pip.conf --platform linux/arm64"
set -eu
cd "$(dirname "$0")/../.."

for engine in ${ENGINE:-docker podman buildah} none; do
    # a client without its daemon builds nothing
    "$engine" info > /dev/null 2>&1 && break
done
if [ "$engine" = none ]; then
    echo "build.sh: none of these works here: ${ENGINE:-docker, podman, buildah}" >&2
    exit 69
fi

set -- --build-arg "REVISION=${REVISION:-$(git rev-parse HEAD 2> /dev/null || echo unknown)}"
for name in BASE TORCH VERSION; do
    eval "value=\${$name:-}"
    [ -z "$value" ] || set -- "$@" --build-arg "$name=$value"
done
# the options are words, split on purpose
# shellcheck disable=SC2086
exec "$engine" build "$@" ${BUILD_OPTIONS:-} --tag "${IMAGE:-finetune-job:dev}" .
