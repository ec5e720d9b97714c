//! A spec that uses every word below `workload` and `stage`, and an edit of each.

/// What an edit does to the outputs beside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Something in the manifests, the report or the graph changes.
    Seen,
    /// It only says what holds anyway.
    Same,
}

/// An edit of one word.
pub struct Edit {
    /// Where the word stands: see `spots` in `environment.rs`.
    pub spot: &'static str,
    /// Texts and what takes their place.
    pub replace: &'static [(&'static str, &'static str)],
    /// What it does.
    pub effect: Effect,
}

/// The spec. The workload stands last but for the stage.
pub const SPEC: &str = r#"k8orc version=1
image "hello" {
    base "tar:base.tar"
    user "web"
    entrypoint "/usr/bin/hello"
    runs "/usr/bin/perl"
    publish "registry.example.com/shop/hello"
}
users {
    keep "root" "nobody"
    create "web" uid=auto gid=auto
}
packages closure="depends"
syscalls { allow "@runtime-default" }
volumes {
    volume "data" class="fast" size="1Gi" access="ReadWriteOnce" { mount "/data" owner="web:web" mode="0750" }
    volume "cache" ephemeral=#true size="64Mi" { mount "/var/cache/hello" }
}
workload "front" kind="Deployment" replicas=1 {
    command "/usr/bin/hello" "--one"
    port 8080 name="http" protocol="TCP"
    port 5353 protocol="UDP"
    resources { request cpu="50m"; limit memory="64Mi" }
    probe "readiness" period="5s" timeout="2s" delay="1s" failures=3 { http "/healthz" port="http" }
    probe "liveness" { tcp port="http" }
    probe "startup" { exec "/usr/bin/hello" "--check" }
    env MODE="one"
    secret "PASSWORD" from="k8s:db/password" to="env"
    secret "key" from="k8s:tls/key" to="/k8or/secrets/key" mode="0400"
    config "./one.toml" to="/etc/hello/hello.toml"
    service port=80 target="http"
    patch "./one.yaml"
    volumes "data" "cache"
    grace "30s"
}
stage "live" {
    target "eks"
    namespace "shop" create=#false
    class "fast" provisioner="ebs.csi.aws.com" {
        parameter type="gp3"
        binding "WaitForFirstConsumer"
        reclaim "Retain"
        expand #true
        mount-option "noatime"
    }
    class "slow" existing=#true as="local-path"
    replicas "front" 1
    eks "prod" region="eu-west-1"
    jump-host "ec2-user@bastion"
    node-group "web"
    require "aws"
}
"#;

const fn seen(spot: &'static str, replace: &'static [(&'static str, &'static str)]) -> Edit {
    Edit { spot, replace, effect: Effect::Seen }
}

/// One for each word.
pub const EDITS: &[Edit] = &[
    seen("workload:name", &[("\"front\"", "\"back\""), ("patch \"./one.yaml\"", "")]),
    Edit { spot: "workload=kind", replace: &[(" kind=\"Deployment\"", "")], effect: Effect::Same },
    seen("workload=replicas", &[("replicas=1", "replicas=0"), ("    replicas \"front\" 1\n", "")]),
    seen("workload/command:program", &[("command \"/usr/bin/hello\"", "command \"/usr/bin/perl\"")]),
    seen("workload/command:argument", &[("\"--one\"", "\"--two\" \"--three\"")]),
    seen("workload/port:number", &[("port 8080", "port 8081")]),
    seen("workload/port=name", &[("\"http\"", "\"web\"")]),
    seen("workload/port=protocol", &[("protocol=\"UDP\"", "protocol=\"TCP\"")]),
    seen("workload/resources/request=*", &[("request cpu=\"50m\"", "request cpu=\"60m\" memory=\"32Mi\"")]),
    seen("workload/resources/limit=*", &[("limit memory=\"64Mi\"", "limit memory=\"128Mi\"")]),
    seen("workload/probe:kind", &[("probe \"liveness\" { tcp port=\"http\" }", "")]),
    seen("workload/probe=period", &[("period=\"5s\"", "period=\"6s\"")]),
    seen("workload/probe=timeout", &[("timeout=\"2s\"", "timeout=\"3s\"")]),
    seen("workload/probe=delay", &[("delay=\"1s\"", "delay=\"2s\"")]),
    seen("workload/probe=failures", &[("failures=3", "failures=4")]),
    seen("workload/probe/http:path", &[("\"/healthz\"", "\"/ready\"")]),
    seen("workload/probe/http=port", &[("http \"/healthz\" port=\"http\"", "http \"/healthz\" port=5353")]),
    seen(
        "workload/probe/tcp=port",
        &[("tcp port=\"http\"", "tcp port=5353"), ("protocol=\"UDP\"", "protocol=\"TCP\"")],
    ),
    seen("workload/probe/exec:program", &[("exec \"/usr/bin/hello\"", "exec \"/usr/bin/perl\"")]),
    seen("workload/probe/exec:argument", &[("\"--check\"", "\"--check\" \"--twice\"")]),
    seen("workload/env=*", &[("env MODE=\"one\"", "env MODE=\"two\" MORE=\"yes\"")]),
    seen("workload/secret:name", &[("secret \"PASSWORD\"", "secret \"PASSPHRASE\"")]),
    seen("workload/secret=from", &[("k8s:db/password", "k8s:database/password")]),
    seen("workload/secret=to", &[("to=\"/k8or/secrets/key\"", "to=\"/k8or/secrets/other\"")]),
    seen("workload/secret=mode", &[("mode=\"0400\"", "mode=\"0440\"")]),
    seen("workload/config:source", &[("./one.toml", "./two.toml")]),
    seen("workload/config=to", &[("/etc/hello/hello.toml", "/etc/hello/other.toml")]),
    seen("workload/service=port", &[("service port=80", "service port=81")]),
    seen("workload/service=target", &[("target=\"http\"", "target=5353")]),
    seen("workload/patch:file", &[("./one.yaml", "./two.yaml")]),
    seen("workload/volumes:name", &[("volumes \"data\" \"cache\"", "volumes \"cache\"")]),
    seen("workload/grace:time", &[("grace \"30s\"", "grace \"10s\"")]),
    seen("stage:name", &[("stage \"live\"", "stage \"production\"")]),
    seen(
        "stage/target:name",
        &[("target \"eks\"", "target \"plain\""), ("    eks \"prod\" region=\"eu-west-1\"\n", "")],
    ),
    seen("stage/namespace:name", &[("namespace \"shop\"", "namespace \"store\"")]),
    seen("stage/namespace=create", &[("create=#false", "create=#true")]),
    seen("stage/class:name", &[("\"fast\"", "\"quick\"")]),
    seen("stage/class=existing", &[("class \"slow\" existing=#true as=\"local-path\"", "")]),
    seen("stage/class=as", &[("as=\"local-path\"", "as=\"hostpath\"")]),
    seen("stage/class=provisioner", &[("ebs.csi.aws.com", "pd.csi.storage.gke.io")]),
    seen("stage/class/parameter=*", &[("type=\"gp3\"", "type=\"gp2\" iops=\"3000\"")]),
    seen("stage/class/binding:mode", &[("\"WaitForFirstConsumer\"", "\"Immediate\"")]),
    seen("stage/class/reclaim:policy", &[("\"Retain\"", "\"Delete\"")]),
    seen("stage/class/expand:yes", &[("expand #true", "expand #false")]),
    seen("stage/class/mount-option:option", &[("\"noatime\"", "\"noatime\" \"nodiratime\"")]),
    seen("stage/replicas:workload", &[("    replicas \"front\" 1\n", "    replicas \"front\" 0\n")]),
    seen("stage/replicas:count", &[("replicas \"front\" 1", "replicas \"front\" 0")]),
    seen("stage/eks:cluster", &[("eks \"prod\"", "eks \"production\"")]),
    seen("stage/eks=region", &[("eu-west-1", "eu-central-1")]),
    seen("stage/jump-host:host", &[("ec2-user@bastion", "admin@bastion")]),
    seen("stage/node-group:name", &[("node-group \"web\"", "node-group \"web\" \"batch\"")]),
    seen("stage/require:provider", &[("require \"aws\"", "require \"aws\" \"github\"")]),
];

/// Edits of volumes that are nothing but environment.
pub const VOLUME_EDITS: &[(&str, &[(&str, &str)])] = &[
    ("the size of a claim", &[("size=\"1Gi\"", "size=\"5Gi\"")]),
    ("the size of an ephemeral volume", &[("size=\"64Mi\"", "size=\"65Mi\"")]),
    ("its class", &[("volume \"data\" class=\"fast\"", "volume \"data\" class=\"slow\"")]),
    ("its access", &[("access=\"ReadWriteOnce\"", "access=\"ReadWriteOncePod\"")]),
    ("its name", &[("volume \"data\"", "volume \"store\""), ("volumes \"data\"", "volumes \"store\"")]),
];
