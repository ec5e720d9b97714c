//! A Debian tree from its packages, without running any of their scripts (design §6).
//!
//! 1. `reader`, `unpack`: each data archive into one index, by dpkg's rules; contents stay in the packages.
//! 2. `script`, `shell`, `effects`, `apply`: what maintainer scripts would do, followed or declared, done to the index.
//! 3. `database`: dpkg's own files.
//! 4. `write`: the layer, contents read from the packages once more.
//!
//! The oracle is `mmdebstrap --variant=essential`: `oracle.rs` compares, `deviations.txt` lists what differs and why.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use diag::{Diagnostic, Diagnostics, codes};
use plan::platform::Arch;

mod accounts;
mod alternatives;
mod apply;
mod certificates;
mod database;
mod effects;
mod failure;
mod loader_cache;
#[cfg(test)]
mod oracle;
mod order;
mod package;
mod pam;
mod reader;
mod script;
mod services;
mod shell;
mod sysusers;
#[cfg(test)]
mod tests;
mod tmpfiles;
mod tree;
mod unpack;
mod work;
mod write;

use apply::{Admin, Scene, Wanted};
use effects::Effects;
use failure::Failure;
use package::Package;
use script::Script;
use tree::Tree;

/// A package: where its bytes are, and what they must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebInput {
    /// The `.deb`.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// Further declarations of effects, in the form of `stdlib/modules/debian/effects`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectsFile<'a> {
    /// For messages.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// What went into a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Name, version and architecture of each package, in the order given.
    pub packages: Vec<(String, String, String)>,
    /// Scripts that a declaration stands for, as `PACKAGE.postinst`.
    pub declared: Vec<String>,
    /// Number of paths.
    pub entries: u64,
    /// Bytes of the uncompressed archive.
    pub size: u64,
}

/// Builds the tree of `debs` (in the order of selection) and writes it as one uncompressed tar to `out`. `epoch`, in
/// seconds since 1970, is the time of everything that no package brings.
///
/// # Errors
/// E0560 to E0568; every script that is not understood is named, not just the first.
pub fn layer(debs: &[DebInput], arch: Arch, epoch: i64, out: &mut dyn Write) -> Result<Report, Diagnostics> {
    layer_with(debs, arch, epoch, &[], out)
}

/// As [`layer`], with declarations beside our own.
///
/// # Errors
/// As [`layer`], and E0565 for a declaration that cannot be read.
pub fn layer_with(
    debs: &[DebInput],
    arch: Arch,
    epoch: i64,
    more: &[EffectsFile<'_>],
    out: &mut dyn Write,
) -> Result<Report, Diagnostics> {
    let more: Vec<(&str, &str)> = more.iter().map(|file| (file.name, file.text)).collect();
    let effects = Effects::read(&more).map_err(|e| e.of("effects"))?;
    let mut build = Build {
        arch,
        effects,
        tree: Tree::new(epoch, arch),
        packages: Vec::new(),
        admin: Admin::default(),
        declared: Vec::new(),
        problems: Diagnostics::new(),
        captured: 0,
        named: BTreeSet::new(),
    };
    build.look(debs);
    for deb in debs {
        build.unpack(deb)?;
    }
    let (order, early) = order::order(&build.packages);
    let adduser = build.packages.iter().find(|p| p.name == "adduser").map(|p| &p.version);
    let changed = formats::dpkg::Version::parse("3.135").ok();
    build.admin.old_adduser = adduser.is_some_and(|version| changed.is_some_and(|changed| *version < changed));
    order.into_iter().for_each(|at| build.configure(at));
    if build.problems.has_errors() {
        return Err(build.problems);
    }
    build.finish(&early).map_err(|e| e.of("the system"))?;
    let named = |at: usize| build.packages.get(at).map_or("the layer", |p| p.name.as_str());
    let size = write::write(&build.tree, debs, out).map_err(|(at, e)| e.of(at.map_or("the layer", named)))?;
    let name = |p: &Package| (p.name.clone(), p.version.as_str().to_owned(), p.architecture.clone());
    Ok(Report {
        packages: build.packages.iter().map(name).collect(),
        declared: build.declared,
        entries: build.tree.nodes.len() as u64,
        size,
    })
}

/// A tree in the making.
struct Build {
    arch: Arch,
    effects: Effects,
    tree: Tree,
    packages: Vec<Package>,
    admin: Admin,
    declared: Vec<String>,
    problems: Diagnostics,
    captured: usize,
    /// Names of files that any package's scripts mention.
    named: BTreeSet<Vec<u8>>,
}

impl Build {
    /// Names of all packages, and words of all scripts that can be names of files: their bytes are kept, as a script
    /// may copy them. What cannot be read here is told when the package is unpacked.
    fn look(&mut self, debs: &[DebInput]) {
        let inside = |b: &u8| b.is_ascii_alphanumeric() || b"._+@-".contains(b);
        for (control, ..) in debs.iter().filter_map(|deb| reader::open(deb).ok()) {
            for text in ["preinst", "postinst"].iter().filter_map(|kind| control.get(kind)) {
                self.named.extend(text.split(|b| !inside(b)).filter(|word| word.len() > 3).map(<[u8]>::to_vec));
            }
            let text = String::from_utf8_lossy(control.get("control").unwrap_or_default()).into_owned();
            let name = text.lines().find_map(|line| line.strip_prefix("Package:"));
            self.admin.selected.extend(name.map(|name| name.trim().to_owned()));
        }
    }

    fn unpack(&mut self, deb: &DebInput) -> Result<(), Diagnostic> {
        let file = deb.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (control, mut data, hashed) = reader::open(deb).map_err(|e| e.of(&file))?;
        let package = Package::read(control).map_err(|e| e.of(&file))?;
        let name = package.name.clone();
        if package.architecture != self.arch.oci() && package.architecture != "all" {
            let what = format!("it is for {}, not {}", package.architecture, self.arch.oci());
            return Err(Failure::new(codes::E0567, what, "select packages of the base's architecture").of(&name));
        }
        if self.packages.iter().any(|p| p.name == name) {
            return Err(Failure::new(codes::E0567, "it is there twice", "give each package once").of(&name));
        }
        let preinst = package.control.get("preinst").map(script::read);
        self.packages.push(package);
        if let Some(script) = preinst {
            self.script(&name, "preinst", &script);
        }
        let sources = self.effects.sources().map(|s| s.as_bytes().to_vec()).collect();
        let wanted = Wanted { arch: self.arch, sources, named: &self.named };
        let mut state = unpack::State {
            tree: &mut self.tree,
            packages: &mut self.packages,
            diversions: &self.admin.diversions,
            captured: &mut self.captured,
            stored: hashed.stored(),
        };
        let result = unpack::unpack(&mut state, &mut data, &wanted);
        drop(data);
        if let Err(e) = result {
            reader::whole(deb).map_err(|e| e.of(&name))?;
            return Err(e.of(&name));
        }
        hashed.finish(deb).map_err(|e| e.of(&name))
    }

    fn configure(&mut self, at: usize) {
        let Some(package) = self.packages.get(at) else { return };
        let name = package.name.clone();
        let control = |kind: &str| package.control.get(kind).map(script::read);
        let (config, postinst) = (control("config"), control("postinst"));
        self.admin.answers.templates(package.control.get("templates").unwrap_or_default());
        self.admin.answers.trust();
        if let Some(script) = config
            && !self.follow(&name, "config", &script).is_ok_and(|unknown| unknown.is_empty())
        {
            self.admin.answers.doubt();
        }
        if let Some(script) = postinst {
            self.script(&name, "postinst", &script);
        }
    }

    fn follow(&mut self, name: &str, kind: &str, script: &Script) -> Result<Vec<(usize, String)>, Failure> {
        let package = self.packages.iter().find(|p| p.name == name);
        let architecture = package.map(|p| p.architecture.clone()).unwrap_or_default();
        let mut scene = Scene { tree: &mut self.tree, admin: &mut self.admin, arch: self.arch, package: name };
        let input = shell::Input { text: &script.body, blocks: &script.blocks, kind, architecture: &architecture };
        shell::follow(&input, &mut scene)
    }

    /// What one script does on a first installation.
    fn script(&mut self, name: &str, kind: &str, script: &Script) {
        let result = match self.effects.of(name, kind, &script.digest).map(<[_]>::to_vec) {
            Some(effects) => {
                self.declared.push(format!("{name}.{kind}"));
                let mut scene = Scene { tree: &mut self.tree, admin: &mut self.admin, arch: self.arch, package: name };
                let done = effects.iter().try_for_each(|effect| scene.effect(effect, script));
                // A declaration says what the part outside the generated blocks does.
                done.and_then(|()| script.blocks.iter().flatten().try_for_each(|snippet| scene.snippet(snippet)))
            }
            None => match self.follow(name, kind, script) {
                Ok(lines) if lines.is_empty() => Ok(()),
                Ok(lines) => {
                    let known_before = self.effects.knows(name, kind);
                    self.problems.push(unknown(name, kind, &script.digest, &lines, known_before));
                    Ok(())
                }
                Err(e) => Err(e),
            },
        };
        if let Err(e) = result {
            self.problems.push(e.note(format!("in its {kind}")).of(name));
        }
    }

    /// Work that is done once, the database, and the times of directories.
    fn finish(&mut self, early: &[bool]) -> Result<(), Failure> {
        self.admin.alternatives.finish(&mut self.tree)?;
        let glibc = self.packages.iter().find(|p| p.name == "libc-bin").map(|p| p.version.as_str().to_owned());
        work::run(&mut self.tree, &self.admin, self.arch, &glibc.unwrap_or_default())?;
        database::write(&mut self.tree, &self.packages, &self.admin, self.arch.oci())?;
        self.tree.times(early);
        Ok(())
    }
}

/// Lines of a script that are quoted at most.
const MOST_QUOTED: usize = 12;

fn unknown(package: &str, kind: &str, digest: &str, rest: &[(usize, String)], known_before: bool) -> Diagnostic {
    let what = match known_before {
        true => format!("its {kind} is not the one whose effects are declared"),
        false => format!("its {kind} does more than k8orc recognises"),
    };
    let mut failure = Failure::new(codes::E0560, what, "");
    for (number, line) in rest.iter().take(MOST_QUOTED) {
        failure = failure.note(format!("line {number}: {}", diag::text::printable(line)));
    }
    if rest.len() > MOST_QUOTED {
        failure = failure.note(format!("and {} more lines", rest.len() - MOST_QUOTED));
    }
    let lines = format!("package {package}\\nscript {kind} {digest}").replace("\\n", "` and `");
    failure
        .of(package)
        .help(format!(
            "read the script; declare what it does in an effects file: `{lines}`, an indented line for each effect"
        ))
        .help("nothing that matters in an image? then those two lines alone dismiss it")
        .help(format!("or leave {package} out"))
}
