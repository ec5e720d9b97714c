# Two registries on 127.0.0.1, one open, one that asks for a password. Each takes a free port (it says
# in its log which), keeps its blobs between runs, and dies with this script, however that ends.

start_registries() {
    local dir=$K8ORC_TEST_DIR
    K8ORC_TEST_REGISTRY_USER=tester
    K8ORC_TEST_REGISTRY_PASSWORD=$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
    htpasswd -Bbc "$dir/htpasswd" "$K8ORC_TEST_REGISTRY_USER" "$K8ORC_TEST_REGISTRY_PASSWORD" 2>/dev/null

    start_registry open
    K8ORC_TEST_REGISTRY=$address
    start_registry auth "auth: { htpasswd: { realm: k8orc-tests, path: \"$dir/htpasswd\" } }"
    K8ORC_TEST_REGISTRY_AUTH=$address

    # What `docker login` would leave, for clients that read Docker's configuration.
    mkdir -p "$dir/docker-config"
    printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$K8ORC_TEST_REGISTRY_AUTH" \
        "$(printf '%s:%s' "$K8ORC_TEST_REGISTRY_USER" "$K8ORC_TEST_REGISTRY_PASSWORD" | base64 -w0)" \
        >"$dir/docker-config/config.json"

    local layout=$dir/images/layout open=docker://$K8ORC_TEST_REGISTRY/k8orc
    push "oci:$layout:bookworm" "$open/bookworm-nginx:1"
    push "oci:$layout:trixie" "$open/trixie-nginx:1"
    push "oci:$layout:layers" "$open/layers:1"
    push "docker-archive:$dir/images/layers.docker.tar" "$open/layers:docker"
    push "oci:$layout:layers-zstd" "$open/layers:zstd"
    push "oci:$layout:multi" "$open/multi:1" --all
    push "oci:$layout:bookworm" "docker://$K8ORC_TEST_REGISTRY_AUTH/private/bookworm-nginx:1" \
        --dest-creds "$K8ORC_TEST_REGISTRY_USER:$K8ORC_TEST_REGISTRY_PASSWORD"
}

# The digest stays: without --preserve-digests skopeo puts in another compression of a layer that it
# knows from an earlier push. An archive has no digest to preserve.
push() {
    local preserve=--preserve-digests
    if [[ $1 == docker-archive:* ]]; then preserve=; fi
    skopeo copy --quiet --dest-tls-verify=false $preserve "${@:3}" "$1" "$2" || die "skopeo could not push $1 to $2"
}

# start_registry NAME [LINE OF CONFIGURATION]; leaves its address in $address.
start_registry() {
    local name=$1 log=$K8ORC_TEST_DIR/registry-$1.log config=$K8ORC_TEST_DIR/registry-$1.yml pid try
    cat >"$config" <<-CONF
	version: 0.1
	log: { level: info, accesslog: { disabled: true } }
	storage: { filesystem: { rootdirectory: "$K8ORC_TEST_DIR/registry-$name" }, delete: { enabled: true } }
	http: { addr: "127.0.0.1:0" }
	${2-}
	CONF
    # setpriv: it ends even when this script is killed with -9. 9>&-: it must not hold our lock.
    setpriv --pdeathsig TERM docker-registry serve "$config" >"$log" 2>&1 9>&- &
    pid=$!
    at_end "stop_process $pid"
    for ((try = 0; try < 100; try++)); do
        address=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$log" | head -1)
        # The one with a password answers 401: any answer is one.
        if [[ -n $address ]] && curl --silent --output /dev/null "http://$address/v2/"; then return; fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -5 "$log" >&2
    die "docker-registry did not start; its log is $log"
}

stop_process() {
    kill "$1" 2>/dev/null && wait "$1" 2>/dev/null
    return 0
}
