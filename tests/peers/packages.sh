# The programs that the tests talk to, and the Debian packages that hold them.

# command, package. Looked up in PATH with the sbin directories added, as not every user has those.
peer_packages=(
    mmdebstrap:mmdebstrap skopeo:skopeo umoci:umoci buildah:buildah podman:podman
    catatonit:catatonit qemu-x86_64:qemu-user docker-registry:docker-registry htpasswd:apache2-utils
    runc:runc strace:strace setcap:libcap2-bin setfattr:attr python3:python3
    node:nodejs npm:npm dockerd:docker.io slirp4netns:slirp4netns ip:iproute2 curl:curl
    flock:util-linux setpriv:util-linux script:bsdutils mount:mount cc:gcc
    rpm:rpm rpmbuild:rpm sqlite3:sqlite3 chroot:coreutils
    chromium:chromium chromedriver:chromium-driver fc-list:fontconfig
)

install_packages() {
    local pair missing=()
    export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    for pair in "${peer_packages[@]}"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    # A browser without any font shows boxes.
    [[ -n $(fc-list 2>/dev/null) ]] || missing+=(fonts-dejavu-core)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
    compgen -G '/usr/lib/*/libc.a' >/dev/null || compgen -G '/usr/lib*/libc.a' >/dev/null || missing+=(libc6-dev)
    if [[ ${#missing[@]} -gt 0 ]]; then
        command -v apt-get >/dev/null || die "these programs are missing, and there is no apt to install them:" \
            "${missing[*]} (names of Debian packages); install them and run again"
        apt_install "${missing[@]}"
    fi
    # The tests of apt's archives ask apt which it knows; it says so only once it has their lists.
    if command -v apt-get >/dev/null && ! compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null; then
        need_root "apt-get update"
        "${sudo[@]}" apt-get -qq update >&2
    fi
    # Part of docker.io in bookworm, a package of its own since.
    command -v docker >/dev/null || apt_install docker-cli
    command -v cargo >/dev/null || die "cargo is missing: install Rust (rustup.rs), at least the version in Cargo.toml"
    need_root "running containers"
}

# The recommended packages stay away, and no daemon is started: Debian's docker-registry would listen
# on every address. policy-rc.d is Debian's own switch for that; one that exists already is left alone,
# and so is one that somebody puts there while we install.
policy=/usr/sbin/policy-rc.d
policy_mark="# made by k8orc's tests/run, process $$, and removed by it"

apt_install() {
    need_root "apt-get install $*"
    export DEBIAN_FRONTEND=noninteractive
    note "installing $*"
    forbid_daemons
    "${sudo[@]}" apt-get -qq update >&2
    "${sudo[@]}" apt-get -qq install --yes --no-install-recommends "$@" >"$K8ORC_TEST_DIR/apt.log" 2>&1 ||
        { tail -20 "$K8ORC_TEST_DIR/apt.log" >&2; die "apt-get could not install $*"; }
    allow_daemons
}

forbid_daemons() {
    if [[ -e $policy || -L $policy ]]; then return; fi
    at_end allow_daemons
    printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod 0755 "$policy"
}

# Removes the file only when it holds our mark: at the end it may long be another's.
allow_daemons() {
    if grep -qsFx "$policy_mark" "$policy"; then "${sudo[@]}" rm -f "$policy"; fi
}
