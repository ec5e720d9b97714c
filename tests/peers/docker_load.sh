#!/usr/bin/env bash
# Loads a docker-archive into a Docker daemon of our own, and stops that again.
#
#   docker_load.sh ARCHIVE                 prints `docker image inspect` of what was loaded
#   docker_load.sh ARCHIVE ARGUMENT…       runs the image with these arguments instead, without network
#
# An entrypoint is replaced by the variable DOCKER_LOAD_ENTRYPOINT. Needs root and docker.io (apt). The
# daemon listens on a socket in a temporary directory and touches neither bridges nor iptables.
set -euo pipefail

if [[ $# -lt 1 ]]; then sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; fi
archive=$1
shift

work=$(mktemp -d "${TMPDIR:-/tmp}/docker-load.XXXXXX")
export DOCKER_HOST=unix://$work/docker.sock DOCKER_CONFIG=$work/config
daemon="" loaded=""
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [[ -n $daemon ]]; then
        kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
        umount "$work/exec/netns/default" 2>/dev/null || true
    fi
    if [[ -z $loaded && -s $work/log ]]; then tail -5 "$work/log" >&2; fi
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

setpriv --pdeathsig TERM dockerd --bridge=none --iptables=false --ip6tables=false --host "$DOCKER_HOST" \
    --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" >"$work/log" 2>&1 &
daemon=$!
for ((try = 0; try < 300; try++)); do
    if docker version >/dev/null 2>&1; then break; fi
    kill -0 "$daemon" 2>/dev/null || { echo "docker_load.sh: dockerd did not start" >&2; exit 1; }
    sleep 0.1
done

# "Loaded image: NAME:TAG" or "Loaded image ID: sha256:…"
said=$(docker load --quiet --input "$archive")
image=$(sed -n 's/^Loaded image\( ID\)\{0,1\}: //p' <<<"$said" | head -1)
if [[ -z $image ]]; then echo "docker_load.sh: docker load said: $said" >&2; exit 1; fi
loaded=yes
if [[ $# -eq 0 ]]; then
    docker image inspect "$image"
else
    docker run --rm --network none ${DOCKER_LOAD_ENTRYPOINT:+--entrypoint "$DOCKER_LOAD_ENTRYPOINT"} "$image" "$@"
fi
