# Images made of the bases: one OCI layout with several tags, a docker-archive, and a tar with GNU
# sparse members. What each is for:
#
#   layout:bookworm, layout:trixie   one layer each, as `podman import` makes it
#   layout:layers                    layers/Containerfile, and a layer with sparse files on top
#   layout:layers-zstd               the same, compressed with zstd
#   layout:multi                     an index of two platforms (the content is that of bookworm)
#   layers.docker.tar                layers/Containerfile as `docker save` writes it: no sparse layer, and
#                                    a configuration with the health check that OCI's has no field for
#   sparse-gnu.tar                   sparse members of type S: umoci and podman refuse them, so that
#                                    GNU tar is the peer to compare with

prepare_images() {
    local dir=$K8ORC_TEST_DIR/images
    write_containers_conf
    local inputs=("$peers/images.sh" "$peers/make_index.py" "$peers"/layers/* "$K8ORC_TEST_DIR"/{bookworm,trixie}-nginx.tar.stamp)
    if made images "${inputs[@]}"; then return; fi

    "${sudo[@]}" rm -rf "$dir"
    mkdir -p "$dir"
    image_store=$K8ORC_TEST_DIR/image-store
    at_end drop_image_store
    local suite
    for suite in bookworm trixie; do
        note "  image $suite"
        store_podman import --quiet "$K8ORC_TEST_DIR/$suite-nginx.tar" "localhost/$suite:1" >&2
        from_store "$suite" "oci:$dir/layout:$suite"
    done
    note "  image layers"
    store_podman build --quiet --format docker --network host --layers --build-arg BASE=localhost/bookworm:1 \
        --tag localhost/layers:1 "$peers/layers" >&2
    from_store layers "oci:$dir/layout:layers"
    from_store layers "docker-archive:$dir/layers.docker.tar:example.com/layers:1"
    drop_image_store
    add_sparse_layer "$dir"
    # By way of a second layout: in the first, skopeo would take the gzip blobs that are there already.
    skopeo copy --quiet --dest-compress-format zstd "oci:$dir/layout:layers" "oci:$dir/zstd:layers"
    skopeo copy --quiet --preserve-digests "oci:$dir/zstd:layers" "oci:$dir/layout:layers-zstd"
    rm -r "$dir/zstd"
    umoci config --image "$dir/layout:bookworm" --tag arm64 --architecture arm64
    python3 "$peers/make_index.py" "$dir/layout" multi bookworm arm64
    stamp images "${inputs[@]}"
}

# containers.conf of every podman that the tests start: runc, because crun refuses hybrid cgroups, and
# limits that a root without CAP_SYS_RESOURCE can set.
write_containers_conf() {
    export CONTAINERS_CONF=$K8ORC_TEST_DIR/containers.conf
    cat >"$CONTAINERS_CONF" <<-'CONF'
	[engine]
	runtime = "runc"
	cgroup_manager = "cgroupfs"
	events_logger = "file"
	[containers]
	default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
	CONF
}

# A store of our own, so that nobody's images are touched.
store_podman() { "${sudo[@]}" podman --root "$image_store/root" --runroot "$image_store/run" "$@"; }
from_store() {
    "${sudo[@]}" skopeo copy --quiet "containers-storage:[overlay@$image_store/root+$image_store/run]localhost/$1:1" "$2"
    "${sudo[@]}" chown -R "$(id -u):$(id -g)" "$K8ORC_TEST_DIR/images"
}
drop_image_store() {
    if [[ -e $image_store ]]; then
        store_podman rmi --all --force >/dev/null 2>&1 || true
        "${sudo[@]}" umount "$image_store/root/overlay" 2>/dev/null || true
        "${sudo[@]}" rm -rf "$image_store"
    fi
}

# Sparse files in the three PAX spellings (0.0, 0.1, 1.0) as a top layer, and in GNU's as a tar.
add_sparse_layer() {
    local dir=$1 tree=$1/sparse
    mkdir -p "$tree/srv/sparse"
    python3 - "$tree/srv/sparse" <<-'PY'
	import os, sys
	def sparse(name, size, blocks):
	    with open(os.path.join(sys.argv[1], name), "wb") as f:
	        for offset, data in blocks:
	            f.seek(offset)
	            f.write(data)
	        f.truncate(size)
	sparse("hole", 1 << 20, [])
	sparse("middle", 8 << 20, [(0, bytes(range(256)) * 16), (4_000_000, b"in the middle")])
	sparse("end", 1 << 20, [((1 << 20) - 5, b"end.\n")])
	# More blocks than one old GNU header holds.
	sparse("many", 2 << 20, [(i * 65536, b"block %d\n" % i) for i in range(30)])
	PY
    local tar=(tar --directory="$tree" --sparse --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000)
    local version
    for version in 0.0 0.1 1.0; do
        "${tar[@]}" --format=posix --sparse-version="$version" --transform="s,srv/sparse,srv/sparse-$version," \
            --create --file="$dir/sparse-$version.tar" srv/sparse
        umoci raw add-layer --image "$dir/layout:layers" "$dir/sparse-$version.tar"
    done
    "${tar[@]}" --format=gnu --create --file="$dir/sparse-gnu.tar" srv/sparse
    rm -r "$tree"
}
