//! A root file system under runc: the configuration is written here, apart from what `k8orc test` writes,
//! so that a mistake there is not repeated here.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::run::{kill_group, wait};
use super::{Need, Run, run};

/// How the process is to run. The default is an unprivileged one in a pod: no capability, no new
/// privileges, a read-only root, the host's network (there is no bridge here), `/tmp` a tmpfs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// User and group ids of the process.
    pub user: (u32, u32),
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Whether the root is mounted read-only.
    pub readonly: bool,
    /// runtime-spec `LinuxSeccomp`, as in `seccomp/WORKLOAD.json`.
    pub seccomp: Option<Value>,
    /// Directories of the host.
    pub mounts: Vec<Mount>,
    /// Capabilities, as `CAP_NET_BIND_SERVICE`.
    pub capabilities: Vec<String>,
}

/// A directory or file of the host in the container.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Path on the host.
    pub source: PathBuf,
    /// Path in the container.
    pub target: String,
    /// Whether it is mounted read-only.
    pub readonly: bool,
}

impl Config {
    /// The default, with these arguments and ids.
    #[must_use]
    pub fn new<S: AsRef<str>>(args: &[S], user: (u32, u32)) -> Config {
        Config {
            args: args.iter().map(|a| a.as_ref().to_string()).collect(),
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()],
            cwd: "/".into(),
            user,
            groups: Vec::new(),
            readonly: true,
            seccomp: None,
            mounts: Vec::new(),
            capabilities: Vec::new(),
        }
    }

    fn to_json(&self, rootfs: &Path, id: &str) -> Value {
        let mut mounts = vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc"}),
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                   "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
            json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                   "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}),
            json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                   "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]}),
            json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}),
        ];
        for mount in &self.mounts {
            let mode = if mount.readonly { "ro" } else { "rw" };
            mounts.push(json!({"destination": mount.target, "type": "bind", "source": mount.source,
                               "options": ["rbind", "nosuid", "nodev", mode]}));
        }
        let capabilities = json!({"bounding": self.capabilities, "effective": self.capabilities,
            "permitted": self.capabilities, "inheritable": self.capabilities, "ambient": self.capabilities});
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": {"uid": self.user.0, "gid": self.user.1, "additionalGids": self.groups},
                "args": self.args, "env": self.env, "cwd": self.cwd,
                "capabilities": capabilities, "noNewPrivileges": true,
            },
            "root": {"path": rootfs, "readonly": self.readonly},
            "hostname": "k8orc-test",
            "mounts": mounts,
            "linux": {
                "cgroupsPath": format!("/{id}"),
                "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            },
        });
        if let Some(seccomp) = &self.seccomp {
            config["linux"]["seccomp"] = seccomp.clone();
        }
        config
    }
}

/// A bundle: the tree of an image, and runc with a state directory of its own.
pub struct Bundle {
    runc: PathBuf,
    rootfs: PathBuf,
    dir: tempfile::TempDir,
}

/// A container that runs; it is killed and deleted with this value.
pub struct Container {
    runc: PathBuf,
    state: PathBuf,
    id: String,
    child: Child,
    output: PathBuf,
}

impl Bundle {
    /// runc for the unpacked tree `rootfs`, if runc is here and we are root.
    ///
    /// # Panics
    /// When the temporary directory cannot be made.
    #[must_use]
    pub fn new(rootfs: &Path) -> Option<Bundle> {
        let runc = Need::tool("runc")?;
        Need::root()?;
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory for runc: {error}"));
        let rootfs = rootfs.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", rootfs.display()));
        Some(Bundle { runc, rootfs, dir })
    }

    /// Runs the process to its end, at most for `limit`.
    ///
    /// # Panics
    /// When runc cannot be started.
    #[must_use]
    pub fn run(&self, config: &Config, limit: Duration) -> Run {
        let (id, mut command) = self.prepare(config);
        let run = run(&mut command, limit);
        delete(&self.runc, &self.dir.path().join("state"), &id);
        run
    }

    /// Starts the process and leaves it running.
    ///
    /// # Panics
    /// When runc cannot be started.
    #[must_use]
    pub fn start(&self, config: &Config) -> Container {
        let (id, mut command) = self.prepare(config);
        let output = self.dir.path().join(format!("{id}.log"));
        let log = std::fs::File::create(&output).and_then(|log| Ok((log.try_clone()?, log)));
        let (out, err) = log.unwrap_or_else(|error| panic!("cannot write {}: {error}", output.display()));
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start runc: {error}"));
        Container { runc: self.runc.clone(), state: self.dir.path().join("state"), id, child, output }
    }

    fn prepare(&self, config: &Config) -> (String, Command) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("k8orc-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let bundle = self.dir.path().join(&id);
        let written = std::fs::create_dir(&bundle)
            .and_then(|()| std::fs::write(bundle.join("config.json"), config.to_json(&self.rootfs, &id).to_string()));
        written.unwrap_or_else(|error| panic!("cannot write {}: {error}", bundle.display()));
        let mut command = Command::new(&self.runc);
        command.arg("--root").arg(self.dir.path().join("state")).args(["run", "--bundle"]).arg(&bundle).arg(&id);
        (id, command)
    }
}

impl Container {
    /// Another process in the container, as `kubectl exec` makes one: not under a filter that PID 1
    /// gave itself.
    #[must_use]
    pub fn exec(&self, user: (u32, u32), args: &[&str], limit: Duration) -> Run {
        let user = format!("{}:{}", user.0, user.1);
        let mut command = Command::new(&self.runc);
        command.arg("--root").arg(&self.state).args(["exec", "--user", &user, &self.id]).args(args);
        run(&mut command, limit)
    }

    /// Sends a signal, by name, to the first process.
    pub fn signal(&self, signal: &str) {
        let mut command = Command::new(&self.runc);
        command.arg("--root").arg(&self.state).args(["kill", &self.id, signal]);
        run(&mut command, Duration::from_secs(20)).ok();
    }

    /// Waits for its end, at most for `limit`: the exit status as a shell tells it, `None` while it runs.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        let status = wait(&mut self.child, limit)?;
        Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
    }

    /// What it has written so far, both streams.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read(&self.output).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        delete(&self.runc, &self.state, &self.id);
        if wait(&mut self.child, Duration::from_secs(10)).is_none() {
            kill_group(&mut self.child);
        }
    }
}

fn delete(runc: &Path, state: &Path, id: &str) {
    let _ = run(Command::new(runc).arg("--root").arg(state).args(["delete", "--force", id]), Duration::from_secs(20));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::peers::umoci_unpack;

    const LIMIT: Duration = Duration::from_secs(60);

    fn bookworm() -> Option<(tempfile::TempDir, Bundle)> {
        let images = Need::path("K8ORC_TEST_IMAGES")?;
        let dir = umoci_unpack(&images.join("layout"), "bookworm")?;
        let bundle = Bundle::new(&dir.path().join("bundle/rootfs"))?;
        Some((dir, bundle))
    }

    #[test]
    fn the_process_is_unprivileged_and_a_forbidden_call_kills_it() {
        let Some((_dir, bundle)) = bookworm() else {
            return;
        };
        let run = bundle.run(
            &Config::new(&["sh", "-c", "id -u; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status; touch /x"], (33, 33)),
            LIMIT,
        );
        assert_eq!(run.out(), "33\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n");
        assert!(run.err().contains("Read-only file system"), "{run}");

        let mut config = Config::new(&["uname", "-r"], (33, 33));
        bundle.run(&config, LIMIT).ok();
        config.seccomp = Some(json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_KILL_PROCESS"}],
        }));
        bundle.run(&config, LIMIT).with_code(159);
    }

    #[test]
    fn a_server_can_be_watched_entered_and_stopped() {
        let Some((_dir, bundle)) = bookworm() else {
            return;
        };
        let volume = tempfile::tempdir().unwrap();
        let mut config = Config::new(
            &["sh", "-c", "trap 'echo stopping; exit 7' TERM; echo up >/data/up; while :; do sleep 0.1; done"],
            (0, 0),
        );
        config.mounts = vec![Mount { source: volume.path().into(), target: "/data".into(), readonly: false }];
        // A read-only root has no /data for the mount; runc makes it before it closes the root.
        let mut container = bundle.start(&config);
        for _ in 0..200 {
            if volume.path().join("up").exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(container.exec((33, 33), &["cat", "/data/up"], LIMIT).ok().out(), "up\n");
        assert_eq!(container.wait(Duration::from_millis(1)), None);
        container.signal("TERM");
        assert_eq!(container.wait(LIMIT), Some(7));
        assert_eq!(container.output(), "stopping\n");
    }
}
