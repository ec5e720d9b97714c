//! The OCI runtime configuration of a container: the pod's restrictions, said in runc's words.

use serde_json::{Value, json};

/// A directory or file of the host that the container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// On the host.
    pub source: String,
    /// In the container.
    pub path: String,
    /// Whether it may be written.
    pub read_only: bool,
}

/// What differs from container to container.
pub struct Container<'a> {
    /// The unpacked image.
    pub rootfs: &'a str,
    /// Program and arguments.
    pub args: &'a [String],
    /// `KEY=VALUE`.
    pub env: &'a [String],
    /// Working directory.
    pub cwd: &'a str,
    /// User, group, further groups.
    pub user: (u32, u32, &'a [u32]),
    /// Volumes and files.
    pub mounts: &'a [Mount],
    /// `LinuxSeccomp`.
    pub seccomp: Option<&'a Value>,
}

/// `config.json` (runtime-spec 1.0): no privileges, read-only root, own namespaces with a loopback device.
///
/// No resource limits: a test machine may not be able to set them, and none of the checks needs one.
pub fn config(container: &Container<'_>) -> Value {
    let (uid, gid, groups) = container.user;
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
               "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
               "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
               "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]}),
        json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
               "options": ["nosuid", "noexec", "nodev"]}),
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs",
               "options": ["nosuid", "noexec", "nodev", "ro"]}),
    ];
    mounts.extend(container.mounts.iter().map(|mount| {
        let access = if mount.read_only { "ro" } else { "rw" };
        json!({"destination": mount.path, "type": "bind", "source": mount.source,
               "options": ["rbind", "rprivate", "nosuid", "nodev", access]})
    }));
    let none: [&str; 0] = [];
    let mut linux = json!({
        "namespaces": (["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}))),
        "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        // As Docker (20.10) and containerd (2.0) have it: a port below 1024 needs no capability.
        "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0"},
    });
    if let (Some(seccomp), Some(linux)) = (container.seccomp, linux.as_object_mut()) {
        linux.insert("seccomp".to_owned(), seccomp.clone());
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": uid, "gid": gid, "additionalGids": groups},
            "args": container.args,
            "env": container.env,
            "cwd": container.cwd,
            "capabilities": {"bounding": none, "effective": none, "inheritable": none, "permitted": none, "ambient": none},
            "noNewPrivileges": true,
        },
        "root": {"path": container.rootfs, "readonly": true},
        "hostname": "k8orc-test",
        "mounts": mounts,
        "linux": linux,
    })
}
