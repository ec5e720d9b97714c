# Bases from the Debian archive: an essential system with nginx and the CA bundle, as plain tar files; and the same as a
# root of rpm.

prepare_bases() {
    make_base bookworm nginx-light,redis-server,memcached,lighttpd,haproxy servers
    make_arm_base
    make_base bookworm nginx-light,ca-certificates
    make_base trixie nginx-light,ca-certificates
    make_rpm_base
    make_rpm_ndb
}

# A user file for k8orc with the archives that this machine's own apt uses, where it uses Debian's.
prepare_user_file() {
    local file=$K8ORC_TEST_DIR/user.kdl
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk -F'|' 'BEGIN { print "k8orc version=1" }
            $1 == "Debian" && ($2 == "Debian" || $2 == "Debian-Security") && !seen[$2]++ {
                printf "mirror \"%s\" \"%s\"\n", tolower($2), $3
            }' >"$file"
    if [[ $(wc -l <"$file") -eq 3 ]]; then K8ORC_TEST_USER_FILE=$file; fi
}

# Packages of arm64, unpacked and not configured: nothing of them runs here without an emulator.
make_arm_base() {
    local include=libc6,coreutils,bash,grep,nginx-light,memcached tar=bookworm-arm64.tar mirror
    if made "$tar" bookworm "$include"; then return; fi
    mirror=$(debian_mirror)
    note "  making $tar"
    rm -f "$K8ORC_TEST_DIR/$tar.partial"
    mmdebstrap --quiet --format=tar --variant=extract --architectures=arm64 --include="$include" \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        bookworm "$K8ORC_TEST_DIR/$tar.partial" ${mirror:+"$mirror"} >"$K8ORC_TEST_DIR/$tar.log" 2>&1 ||
        { tail -20 "$K8ORC_TEST_DIR/$tar.log" >&2; die "mmdebstrap could not make the base of arm64"; }
    mv "$K8ORC_TEST_DIR/$tar.partial" "$K8ORC_TEST_DIR/$tar"
    stamp "$tar" bookworm "$include"
}

# The mirror that this machine's own apt uses for Debian; empty where it uses none (another
# distribution), and then mmdebstrap takes its default. Only Debian's suite names count, so that
# the updates, security and third-party archives of the machine are not taken for it.
debian_mirror() {
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk '$1 ~ /^(bookworm|trixie|forky|sid|stable|oldstable|testing|unstable)$/ { print $2; exit }'
}

# A bookworm host makes a trixie base as well: its archive keyring holds trixie's keys.
make_base() {
    local suite=$1 include=$2 tar=$1-${3-nginx}.tar mirror
    if made "$tar" "$suite" "$include"; then return; fi
    mirror=$(debian_mirror)
    note "  making $tar"
    rm -f "$K8ORC_TEST_DIR/$tar.partial"
    mmdebstrap --quiet --format=tar --variant=essential --include="$include" \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        "$suite" "$K8ORC_TEST_DIR/$tar.partial" ${mirror:+"$mirror"} >"$K8ORC_TEST_DIR/$tar.log" 2>&1 ||
        { tail -20 "$K8ORC_TEST_DIR/$tar.log" >&2; die "mmdebstrap could not make the base $suite"; }
    mv "$K8ORC_TEST_DIR/$tar.partial" "$K8ORC_TEST_DIR/$tar"
    stamp "$tar" "$suite" "$include"
}

# bookworm's packages as packages of rpm, put into a root by rpm: rpmdb.sqlite is rpm's own.
make_rpm_base() {
    local tar=bookworm-rpm.tar
    if made "$tar" "$peers/rpm_root.py" "$K8ORC_TEST_DIR/bookworm-nginx.tar.stamp"; then return; fi
    note "  making $tar"
    "${sudo[@]}" python3 "$peers/rpm_root.py" "$K8ORC_TEST_DIR/bookworm-nginx.tar" "$K8ORC_TEST_DIR/$tar.partial" \
        >"$K8ORC_TEST_DIR/$tar.log" 2>&1 || { tail -20 "$K8ORC_TEST_DIR/$tar.log" >&2; die "rpm could not make a root"; }
    mv "$K8ORC_TEST_DIR/$tar.partial" "$K8ORC_TEST_DIR/$tar"
    stamp "$tar" "$peers/rpm_root.py" "$K8ORC_TEST_DIR/bookworm-nginx.tar.stamp"
}

# An rpm that knows NDB: bookworm's does not.
make_rpm_ndb() {
    local dir=rpm-ndb mirror
    if made "$dir" rpm trixie; then return; fi
    mirror=$(debian_mirror)
    note "  taking rpm from trixie"
    "${sudo[@]}" rm -rf "${K8ORC_TEST_DIR:?}/$dir"
    "${sudo[@]}" mmdebstrap --quiet --format=directory --variant=extract --include=base-files,rpm \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        trixie "$K8ORC_TEST_DIR/$dir" ${mirror:+"$mirror"} >"$K8ORC_TEST_DIR/$dir.log" 2>&1 ||
        { tail -20 "$K8ORC_TEST_DIR/$dir.log" >&2; die "mmdebstrap could not get rpm"; }
    stamp "$dir" rpm trixie
}

# A kubectl whose kustomize knows targets of patches is in Debian from trixie on (bookworm's is of 2020), so
# that one is taken out of its package where the machine has none.
prepare_kubectl() {
    if command -v kubectl >/dev/null; then return; fi
    local tools=$K8ORC_TEST_DIR/tools mirror
    if ! made tools kubectl trixie; then
        mirror=$(debian_mirror)
        note "  taking kubectl from trixie"
        mkdir -p "$tools"
        mmdebstrap --quiet --format=tar --variant=extract --include=kubectl \
            --keyring=/usr/share/keyrings/debian-archive-keyring.gpg trixie - ${mirror:+"$mirror"} 2>"$tools/log" |
            tar -xO ./usr/bin/kubectl >"$tools/kubectl" ||
            { tail -20 "$tools/log" >&2; die "mmdebstrap could not get kubectl"; }
        chmod 0755 "$tools/kubectl"
        stamp tools kubectl trixie
    fi
    export PATH=$tools:$PATH
}
