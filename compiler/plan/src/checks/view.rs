//! What a program finds when it runs: the image, and over it what a pod mounts, sets and patches.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use diag::Span;

use super::patched::Patched;
use crate::kept::Entry;
use crate::path::ImagePath;
use crate::plan::{
    Identity, ImagePlan, ImageSaid, MountPlan, MountSource, Plan, ProbeActionPlan, VolumeKind, VolumePlan,
    WorkloadPlan, WorkloadSaid,
};
use crate::tree::{self, NodeKind};

/// The image as a workload runs it, or by itself where the spec has no workload.
pub(super) struct View<'a> {
    pub plan: &'a Plan,
    pub image: &'a ImagePlan,
    pub workload: Option<&'a WorkloadPlan>,
    pub patched: Patched,
    /// What is mounted, by where it really lies.
    covers: BTreeMap<ImagePath, Cover<'a>>,
}

/// What lies over a path of the image.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cover<'a> {
    /// A volume.
    Volume(&'a MountPlan),
    /// A configuration or secret file.
    File,
    /// A mount that only a patch knows.
    Patch {
        /// Whether nobody can write there.
        read_only: bool,
    },
}

/// Who sets a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The base's config.
    Base,
    /// A line of the spec.
    Spec,
}

/// A variable that a program finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub value: String,
    pub whose: Whose,
    /// The value in the spec, else the image's node.
    pub span: Option<Span>,
}

impl<'a> View<'a> {
    /// The pods, or the bare image when there are none.
    fn make(plan: &'a Plan, image: &'a ImagePlan) -> Vec<View<'a>> {
        let one = |workload: Option<&'a WorkloadPlan>| {
            let patched = workload.map(|w| Patched::read(w, plan.said.workloads.get(&w.name))).unwrap_or_default();
            let mut view = View { plan, image, workload, patched, covers: BTreeMap::new() };
            view.covers = view.all_covers();
            view
        };
        match plan.workloads.as_slice() {
            [] => vec![one(None)],
            all => all.iter().map(|workload| one(Some(workload))).collect(),
        }
    }

    /// All pods (or the bare image) on every platform.
    pub fn all(plan: &'a Plan) -> Vec<View<'a>> {
        plan.images.iter().flat_map(|image| View::make(plan, image)).collect()
    }

    /// The pods alone, on the first platform: for what no platform changes.
    pub fn pods(plan: &'a Plan) -> Vec<(View<'a>, &'a WorkloadPlan)> {
        let all = plan.images.first().map(|image| View::make(plan, image)).unwrap_or_default();
        all.into_iter().filter_map(|view| view.workload.map(|workload| (view, workload))).collect()
    }

    /// Places of the workload.
    pub fn said(&self) -> Option<&'a WorkloadSaid> {
        self.plan.said.workloads.get(&self.workload?.name)
    }

    /// The program and its arguments.
    pub fn command(&self) -> &'a [String] {
        self.workload.map_or(&self.image.command, |workload| &workload.command)
    }

    /// Where the command is said; the workload or the image where the base says it.
    pub fn command_span(&self) -> Option<Span> {
        let own = self.said().and_then(|said| said.program);
        own.or(self.plan.said.image.program).or(self.plan.said.image.span)
    }

    /// A word to end a message with: ` in workload `web``; nothing for the bare image.
    pub fn place(&self) -> String {
        self.workload.map(|workload| format!(" in workload `{}`", workload.name)).unwrap_or_default()
    }

    /// All variables: the base's, the spec's, the workload's.
    pub fn environment(&self) -> BTreeMap<String, Setting> {
        let mut all = environment(self.image, &self.plan.said.image);
        if let Some(workload) = self.workload {
            for (name, value) in &workload.env {
                let span = self.said().and_then(|said| said.env.get(name)).copied().or(Some(workload.span));
                all.insert(name.clone(), Setting { value: value.clone(), whose: Whose::Spec, span });
            }
            for name in workload.secret_env.keys().chain(&self.patched.env) {
                all.remove(name);
            }
        }
        all
    }

    fn all_covers(&self) -> BTreeMap<ImagePath, Cover<'a>> {
        let Some(workload) = self.workload else { return BTreeMap::new() };
        let patches = self.patched.mounts.iter().map(|(path, ro)| (path.as_str(), Cover::Patch { read_only: *ro }));
        let configs = workload.configs.iter().map(|config| (config.path.as_str(), Cover::File));
        let secrets = workload.secret_files.iter().map(|file| (file.path.as_str(), Cover::File));
        let volumes = self.mounts().map(|(_, mount)| (mount.path.as_str(), Cover::Volume(mount)));
        let all = patches.chain(configs).chain(secrets).chain(volumes);
        all.filter_map(|(path, cover)| Some((self.at(path)?, cover))).collect()
    }

    /// What lies over `path`, links of the image followed.
    pub fn cover(&self, path: &ImagePath) -> Option<Cover<'a>> {
        let mut at = Some(real(self.image, path)).filter(|_| !self.covers.is_empty());
        while let Some(directory) = at {
            if let Some(cover) = self.covers.get(&directory) {
                return Some(*cover);
            }
            at = directory.parent();
        }
        None
    }

    /// Whether something is mounted strictly below `directory`.
    pub fn mounts_below(&self, directory: &ImagePath) -> bool {
        let directory = real(self.image, directory);
        let from = (Bound::Excluded(&directory), Bound::Unbounded);
        let mut near = self.covers.range::<ImagePath, _>(from).map(|(path, _)| path);
        near.by_ref()
            .take_while(|path| path.as_bytes().starts_with(directory.as_bytes()))
            .any(|path| path.is_within(&directory))
    }

    /// The volumes of the workload with their mounts.
    pub fn mounts(&self) -> impl Iterator<Item = (&'a VolumePlan, &'a MountPlan)> {
        let names = self.workload.map(|workload| workload.volumes.as_slice()).unwrap_or_default();
        let volumes = self.plan.volumes.iter().filter(move |volume| names.contains(&volume.name));
        volumes.flat_map(|volume| volume.mounts.iter().map(move |mount| (volume, mount)))
    }

    /// Where a mount really lies.
    pub fn at(&self, path: &str) -> Option<ImagePath> {
        ImagePath::parse(path.as_bytes()).ok().map(|path| real(self.image, &path))
    }

    /// Whether the program can make files in the directory `path`: in a pod the root is read-only.
    pub fn writable(&self, path: &ImagePath) -> bool {
        match (self.workload, self.cover(path)) {
            (None, _) => entry(self.image, path).is_some_and(|(_, e)| can_write(e, &self.image.user)),
            (Some(_), Some(Cover::Volume(mount))) => {
                !mount.read_only && !matches!(mount.source, MountSource::Generation { .. })
            }
            (Some(_), Some(Cover::Patch { read_only })) => !read_only,
            (Some(_), Some(Cover::File) | None) => false,
        }
    }

    /// Where the program `word` of a command line really is, as `execvp` looks for it.
    pub fn program(&self, word: &str) -> Option<ImagePath> {
        let executable = |path: &ImagePath| {
            let (real, entry) = entry(self.image, path)?;
            (matches!(entry.node.kind, NodeKind::File(_)) && entry.node.mode & 0o111 != 0).then_some(real)
        };
        if word.contains('/') {
            let absolute =
                if word.starts_with('/') { word.to_owned() } else { format!("{}/{word}", workdir(self.image)) };
            return executable(&ImagePath::parse(absolute.as_bytes()).ok()?);
        }
        let path = self.environment().remove("PATH").map(|setting| setting.value).unwrap_or_default();
        path.split(':')
            .filter(|directory| directory.starts_with('/'))
            .find_map(|directory| executable(&ImagePath::parse(directory.as_bytes()).ok()?.join(word.as_bytes()).ok()?))
    }

    /// Numbers, in the image's programs, of those that the workload starts; all of them for the bare image.
    pub fn programs(&self) -> BTreeSet<usize> {
        let programs = &self.image.kept.programs;
        let Some(workload) = self.workload else { return (0..programs.len()).collect() };
        let probes = workload.probes.values().filter_map(|probe| match &probe.action {
            ProbeActionPlan::Exec { argv } => argv.first(),
            _ => None,
        });
        let started: Vec<ImagePath> =
            workload.command.first().into_iter().chain(probes).filter_map(|word| self.program(word)).collect();
        let numbers = programs.iter().enumerate().filter(|(_, (path, _))| started.contains(path));
        numbers.map(|(number, _)| number).collect()
    }

    /// Where a mount is said.
    pub fn mount_span(&self, volume: &VolumePlan, mount: &MountPlan) -> Span {
        let said = self.plan.said.mounts.get(&(volume.name.clone(), mount.path.clone()));
        said.and_then(|said| said.span).unwrap_or(volume.span)
    }
}

/// Variables of the image.
fn environment(image: &ImagePlan, said: &ImageSaid) -> BTreeMap<String, Setting> {
    let list = image.config.get("config").and_then(|config| config.get("Env")).and_then(serde_json::Value::as_array);
    let words = list.into_iter().flatten().filter_map(serde_json::Value::as_str);
    let pairs = words.filter_map(|line| line.split_once('='));
    let setting = |name: &str, value: &str| {
        let own = said.env.get(name).copied();
        let whose = if own.is_some() { Whose::Spec } else { Whose::Base };
        Setting { value: value.to_owned(), whose, span: own.or(said.span) }
    };
    pairs.map(|(name, value)| (name.to_owned(), setting(name, value))).collect()
}

/// The directory that programs start in.
pub(super) fn workdir(image: &ImagePlan) -> &str {
    let said = image.config.get("config").and_then(|config| config.get("WorkingDir"));
    said.and_then(serde_json::Value::as_str).filter(|dir| !dir.is_empty()).unwrap_or("/")
}

/// Keys of an object of the image's config: `Volumes`, `ExposedPorts`.
pub(super) fn keys<'a>(image: &'a ImagePlan, name: &str) -> Vec<&'a str> {
    let object = image.config.get("config").and_then(|config| config.get(name)).and_then(serde_json::Value::as_object);
    object.map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn resolve(image: &ImagePlan, path: &ImagePath) -> Option<ImagePath> {
    let kind = |name: &ImagePath| image.kept.entries.get(name).map(|entry| &entry.node.kind);
    tree::resolve(path, kind).map(|(real, _)| real).ok()
}

/// The path with the links of the image followed as far as its names are there.
pub(super) fn real(image: &ImagePlan, path: &ImagePath) -> ImagePath {
    let mut at = path.clone();
    let mut tail: Vec<Vec<u8>> = Vec::new();
    loop {
        if let Some(mut real) = resolve(image, &at) {
            for part in tail.iter().rev() {
                match real.join(part) {
                    Ok(longer) => real = longer,
                    Err(_) => return path.clone(),
                }
            }
            return real;
        }
        let Some(parent) = at.parent() else { return path.clone() };
        tail.push(at.name().to_vec());
        at = parent;
    }
}

/// What is at `path`, links followed.
pub(super) fn entry<'a>(image: &'a ImagePlan, path: &ImagePath) -> Option<(ImagePath, &'a Entry)> {
    let real = resolve(image, path)?;
    let entry = image.kept.entries.get(&real)?;
    Some((real, entry))
}

/// POSIX write and search permission of a directory.
pub(super) fn can_write(entry: &Entry, user: &Identity) -> bool {
    permits(entry, user, 0o3)
}

/// POSIX permission bits by owner, group, others.
pub(super) fn permits(entry: &Entry, user: &Identity, need: u32) -> bool {
    let shift = if entry.node.uid == user.uid {
        6
    } else if entry.node.gid == user.gid || user.groups.contains(&entry.node.gid) {
        3
    } else {
        0
    };
    user.uid == 0 || (entry.node.mode >> shift) & need == need
}

/// Whether a volume goes with its pod.
pub(super) fn ephemeral(volume: &VolumePlan) -> bool {
    matches!(volume.kind, VolumeKind::EmptyDir { .. })
}
