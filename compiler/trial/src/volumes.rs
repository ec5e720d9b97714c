//! Volumes as a cluster would have them: a directory for each, prepared by the image's own `k8or` as the
//! pod's user, and the files that the kubelet and the ConfigMaps and Secrets bring.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use diag::{Diagnostic, Diagnostics, codes};
use plan::plan::{MountSource, VolumeKind, VolumePlan};

use crate::bundle::Mount;
use crate::container::{self, Container};
use crate::interruption;
use crate::session::Place;
use crate::workdir::disk;

/// Where init containers see a volume, as in the manifests.
const STAGING: &str = "/mnt";
/// The longest that filling a volume may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// The value of a secret that nobody gave.
const PLACEHOLDER: &[u8] = b"k8orc-test";

/// Makes every volume of the subject and prepares it.
pub fn prepare(place: &Place<'_>, interrupted: &dyn Fn() -> bool) -> Result<Vec<Mount>, Diagnostic> {
    let subject = place.subject;
    let wanted = |volume: &&VolumePlan| subject.workload.is_none_or(|workload| workload.volumes.contains(&volume.name));
    let mut mounts = Vec::new();
    for volume in subject.plan.volumes.iter().filter(wanted) {
        let directory = place.work.directory(&format!("volume-{}", volume.name))?;
        let mode = match volume.kind {
            // What fsGroup makes of a claim's root, and of an emptyDir.
            VolumeKind::Claim(_) | VolumeKind::PerPod(_) => 0o2775,
            VolumeKind::EmptyDir { .. } => 0o2777,
        };
        own(&directory, place.user().1, mode)?;
        for mount in &volume.mounts {
            let source = match &mount.source {
                MountSource::Whole => directory.clone(),
                MountSource::Directory { sub_path, mode, .. } => {
                    let words = ["directory".to_owned(), format!("{STAGING}/{sub_path}"), format!("{mode:04o}")];
                    init(place, volume, &directory, &words, interrupted)?;
                    directory.join(sub_path)
                }
                MountSource::Generation { digest, .. } => {
                    let words = ["migrate".to_owned(), mount.path.clone(), STAGING.to_owned()];
                    init(place, volume, &directory, &words, interrupted)?;
                    directory.join(format!("sha256-{digest}"))
                }
            };
            let source = container::text(source)?;
            mounts.push(Mount { source, path: mount.path.clone(), read_only: mount.read_only });
        }
    }
    Ok(mounts)
}

/// Empties what the programs wrote to, for another start from the same point.
pub fn empty(mounts: &[Mount]) -> Result<(), Diagnostic> {
    for directory in mounts.iter().filter(|mount| !mount.read_only).map(|mount| Path::new(&mount.source)) {
        let failed = |error: std::io::Error| disk(directory, &error);
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_directory = entry.file_type().map_err(failed)?.is_dir();
            let path = entry.path();
            if is_directory { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.map_err(failed)?;
        }
    }
    Ok(())
}

fn own(path: &Path, gid: u32, mode: u32) -> Result<(), Diagnostic> {
    let failed = |error: std::io::Error| disk(path, &error);
    chown(path, Some(0), Some(gid)).map_err(failed)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(failed)
}

/// An init container of the manifests: `k8or VERB …` with the whole volume at /mnt.
fn init(
    place: &Place<'_>,
    volume: &VolumePlan,
    directory: &Path,
    words: &[String],
    interrupted: &dyn Fn() -> bool,
) -> Result<(), Diagnostic> {
    let mount = Mount { source: container::text(directory.to_owned())?, path: STAGING.to_owned(), read_only: false };
    let args = [&["/k8or/k8or".to_owned()], words].concat();
    let config = place.config(&args, &[], &[mount], None)?;
    let mut container = Container::start(place.runc, place.work, &place.next_name("init"), &config)?;
    let status = container.wait(PATIENCE, interrupted);
    if interrupted() {
        return Err(interruption());
    }
    let status = status.map(container::code);
    if status == Some(0) {
        return Ok(());
    }
    std::thread::sleep(container::TICK);
    let end = status.map_or("it did not end in time".to_owned(), |status| format!("it ended with status {status}"));
    Err(Diagnostic::new(codes::E1107, format!("volume \"{}\" cannot be prepared: {end}", volume.name))
        .at(volume.span, "this volume")
        .note(format!("run: k8or {}", words.join(" ")))
        .note(container.stderr.text()))
}

/// Everything else that is mounted into a pod.
pub struct Files {
    /// Single files.
    pub mounts: Vec<Mount>,
    /// `KEY=VALUE` from secrets.
    pub env: Vec<String>,
}

/// Writes the kubelet's three files, the ConfigMap's and the secrets; placeholders are said.
pub fn files(
    place: &Place<'_>,
    secrets: &BTreeMap<(String, String), Vec<u8>>,
    said: &mut Diagnostics,
) -> Result<Files, Diagnostic> {
    place.work.directory("files")?;
    let mut files = Files { mounts: Vec::new(), env: Vec::new() };
    let mut add = |path: &str, bytes: &[u8], mode: u32| -> Result<(), Diagnostic> {
        let file = place.work.file(&format!("files/{}", files.mounts.len()), bytes)?;
        own(&file, place.user().1, mode)?;
        files.mounts.push(Mount { source: container::text(file)?, path: path.to_owned(), read_only: true });
        Ok(())
    };
    add("/etc/hosts", b"127.0.0.1 localhost k8orc-test\n::1 localhost\n", 0o644)?;
    add("/etc/hostname", b"k8orc-test\n", 0o644)?;
    add("/etc/resolv.conf", b"# no name server: the test has no network\n", 0o644)?;
    let Some(workload) = place.subject.workload else { return Ok(files) };
    files.env.extend(workload.env.iter().map(|(name, value)| format!("{name}={value}")));
    for config in &workload.configs {
        add(&config.path, config.text.as_bytes(), 0o644)?;
    }
    let mut missing = Vec::new();
    let mut value = |object: &String, key: &String| {
        secrets.get(&(object.clone(), key.clone())).cloned().unwrap_or_else(|| {
            missing.push(format!("{object}/{key}"));
            PLACEHOLDER.to_vec()
        })
    };
    for secret in &workload.secret_files {
        // As the kubelet does for fsGroup: the group may read.
        add(&secret.path, &value(&secret.object, &secret.key), secret.mode | 0o440)?;
    }
    for (name, (object, key)) in &workload.secret_env {
        let text = String::from_utf8_lossy(&value(object, key)).into_owned();
        files.env.push(format!("{name}={text}"));
    }
    if !missing.is_empty() {
        said.push(
            Diagnostic::new(codes::E1116, format!("placeholders stand for secrets: {}", missing.join(", ")))
                .at(workload.span, "this workload")
                .help("give the test a value: k8orc test --secret OBJECT/KEY=FILE"),
        );
    }
    Ok(files)
}
