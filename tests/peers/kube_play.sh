#!/usr/bin/env bash
# Plays manifests with podman, asks for a page, and takes everything down again.
#
#   kube_play.sh FILE_OR_DIRECTORY PORT PATH [IMAGE]
#
# FILE_OR_DIRECTORY  Kubernetes YAML; of a directory all files but kustomization.yaml and
#                    patches (patch-*.yaml)
# PORT PATH          GET http://127.0.0.1:PORT/PATH as seen in the pod, until it answers (60 s)
# IMAGE              what skopeo reads (oci:out/web/image …); it is put into the store under every name
#                    that the manifests give to an image, the digest included
#
# The body goes to stdout; the exit status is 0 when the answer's was 200. Needs root, podman, runc, catatonit
# (podman's pause image is made of it), slirp4netns and curl. What podman 4.3 does not do of what the
# kubelet does: it ignores `subPath` on a claim, seccompProfile and readiness probes; fsGroup we do here.
set -euo pipefail

if [[ $# -lt 3 ]]; then sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; fi

# In a network of its own: podman publishes every containerPort on all addresses of the host, and refuses
# other modes than bridge and slirp4netns for a manifest that has any.
if [[ ${KUBE_PLAY_INSIDE-} != yes ]]; then
    KUBE_PLAY_INSIDE=yes exec unshare --net -- "$0" "$@"
fi
ip link set lo up

manifests=$1 port=$2 path=$3 image=${4-}
work=$(mktemp -d "${TMPDIR:-/tmp}/kube-play.XXXXXX")
export CONTAINERS_CONF=$work/containers.conf
cat >"$CONTAINERS_CONF" <<'CONF'
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
CONF
podman() { command podman --root "$work/root" --runroot "$work/run" --tmpdir "$work/tmp" "$@"; }

# shellcheck disable=SC2317 # called by the trap
clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [[ -n ${at_the_claims-} ]]; then kill "$at_the_claims" 2>/dev/null || true; fi
    if [[ $status -ne 0 ]]; then
        { podman ps --all --format '{{.Names}}: {{.Status}}'; for c in $(podman ps --all --quiet); do podman logs "$c"; done; } >&2 2>&1 || true
    fi
    { podman pod rm --all --force --time 1; podman rmi --all --force; umount "$work/root/overlay"; } >/dev/null 2>&1 || true
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

file=$work/manifests.yaml
if [[ -d $manifests ]]; then
    for part in "$manifests"/*.yaml; do
        if [[ ${part##*/} != kustomization.yaml && ${part##*/} != patch-* ]]; then echo ---; cat "$part"; fi
    done >"$file"
else
    cp "$manifests" "$file"
fi

if [[ -n $image ]]; then
    sed -n 's/^[ -]*image: *"\{0,1\}\([^" ]*\)"\{0,1\} *$/\1/p' "$file" | sort -u | while read -r name; do
        skopeo copy --quiet "$image" "containers-storage:[overlay@$work/root+$work/run]$name"
    done
fi

# podman restarts an init container that has succeeded when the pod says Always, as every Deployment does.
if ! grep -q '^ *restartPolicy:' "$file"; then
    sed -i 's/^\( *\)containers: *$/\1restartPolicy: OnFailure\n&/' "$file"
fi
podman kube play --start=false --network slirp4netns "$file" >&2

# fsGroup, as the kubelet does it: the claims belong to that group, which may write, and so do new files.
group=$(sed -n 's/^ *fsGroup: *\([0-9]*\) *$/\1/p' "$file" | head -1)
own_claims() {
    local volume directory
    for volume in $(podman volume ls --quiet); do
        directory=$(podman volume inspect --format '{{.Mountpoint}}' "$volume")
        chgrp -R "$group" "$directory"
        chmod -R g+rwX "$directory"
        find "$directory" -type d -exec chmod g+s {} +
    done
}

# At its first mount podman gives a volume the owner and mode of the image's directory there (/mnt belongs to
# root), after anything that could be done before. It starts a failed init container again, though.
if [[ -n $group ]]; then
    own_claims
    while sleep 0.5; do own_claims; done 2>/dev/null &
    at_the_claims=$!
fi
podman pod start --all >&2
if [[ -n $group ]]; then kill "$at_the_claims"; fi
pod=$(podman pod ls --quiet | head -1)
infra=$(podman pod inspect --format '{{.InfraContainerID}}' "$pod")
pid=$(podman inspect --format '{{.State.Pid}}' "$infra")
for ((try = 0; try < 600; try++)); do
    if nsenter --target "$pid" --net curl --silent --show-error --fail --max-time 5 \
        --output "$work/body" "http://127.0.0.1:$port$path" 2>"$work/curl.err"; then
        cat "$work/body"
        exit 0
    fi
    sleep 0.1
done
cat "$work/curl.err" >&2
echo "kube_play.sh: no good answer on port $port within 60 s" >&2
exit 1
