//! Packages onto a base that is there: one layer of what is new and what changed.
//!
//! The base's index becomes the tree (`seed`), its database says whose each file is (`installed`), and the packages are
//! put in as into a new system. Besides that: the choices of the base's administrator hold (`choices`), and packages of
//! the base do what their triggers ask for. `changes` writes what is not as it was.

use std::collections::BTreeSet;
use std::io::Write;

use diag::{Diagnostic, Diagnostics, codes};
use formats::line::lines;
use plan::platform::Arch;

use super::apply::{Scene, Wanted};
use super::effects::{Effects, Work};
use super::failure::Failure;
use super::filter::Filter;
use super::installed::Installed;
use super::package::Package;
use super::script;
use super::seed::Base;
use super::{
    Build, DebInput, EffectsFile, Report, accounts, again, certificates, changes, choices, loader_cache, order,
};
use super::{database, pam, stanzas};

/// Adds `debs`, in the order of selection, to `base`, and writes the layer, an uncompressed tar, to `out`. `epoch`, in
/// seconds since 1970, is the time of everything that no package brings. No script is run, those of the base's packages
/// neither.
///
/// # Errors
/// As [`super::layer_with`]; E0566 also for a base whose dpkg database is damaged or unfinished, E0560 also for a package
/// of the base whose trigger is pulled and of which nothing is declared; what the base's contents say when they cannot
/// be read.
pub fn add(
    base: &Base<'_>,
    debs: &[DebInput],
    arch: Arch,
    epoch: i64,
    more: &[EffectsFile<'_>],
    out: &mut dyn Write,
) -> Result<Report, Diagnostics> {
    let more: Vec<(&str, &str)> = more.iter().map(|file| (file.name, file.text)).collect();
    let effects = Effects::read(&more).map_err(|e| e.of("effects"))?;
    let mut installed = Installed::read(base)?;
    let mut tree = base.seed(epoch);
    let admin = installed.admin(base, &tree)?;
    installed.own(&mut tree, &admin);
    let sources = effects.sources().map(|s| s.as_bytes().to_vec()).collect();
    let packages = std::mem::take(&mut installed.packages);
    let old = packages.len();
    let (declared, problems, named) = (Vec::new(), Diagnostics::new(), BTreeSet::new());
    let mut build = Build { arch, effects, tree, packages, admin, declared, problems, captured: 0, named };
    build.look(debs);
    let named = build.named.clone();
    let wanted = Wanted { arch, sources, named: &named };
    base.capture(&mut build.tree, &wanted, false)?;
    let filter = Filter::read(base)?;
    let mut overlay = Overlay { base, installed, build, old, filter, wanted, kept: Vec::new() };
    overlay.install(debs)?;
    overlay.finish()?;
    let Overlay { build, kept, .. } = overlay;
    let named = |at: Option<usize>| at.and_then(|at| build.packages.get(at)).map_or("the layer", |p| p.name.as_str());
    let written = changes::write(base, &build.tree, old, debs, out).map_err(|(at, e)| e.of(named(at)))?;
    let name = |p: &Package| (p.name.clone(), p.version.as_str().to_owned(), p.architecture.clone());
    Ok(Report {
        packages: build.packages.iter().skip(old).map(name).collect(),
        declared: build.declared,
        entries: written.entries,
        size: written.size,
        kept,
    })
}

struct Overlay<'a> {
    base: &'a Base<'a>,
    installed: Installed,
    build: Build,
    /// Number of the base's packages; the added ones follow them.
    old: usize,
    filter: Filter,
    wanted: Wanted<'a>,
    /// Configuration files of the base in the place of a package's.
    kept: Vec<String>,
}

impl Overlay<'_> {
    fn install(&mut self, debs: &[DebInput]) -> Result<(), Diagnostics> {
        for deb in debs {
            self.build.unpack(deb)?;
            let at = self.build.packages.len().saturating_sub(1);
            let name = self.build.packages.get(at).map(|p| p.name.clone()).unwrap_or_default();
            self.chosen(at).map_err(|e| e.of(&name))?;
            self.conffiles(at)?;
        }
        let (all, _) = order::order(&self.build.packages);
        self.build.adduser();
        all.into_iter().filter(|at| *at >= self.old).for_each(|at| self.build.configure(at));
        self.triggers();
        match self.build.problems.has_errors() {
            true => Err(std::mem::take(&mut self.build.problems)),
            false => Ok(()),
        }
    }

    /// What the administrator chose for paths of the package: some are left out, some have other owners.
    fn chosen(&mut self, at: usize) -> Result<(), Failure> {
        let Some(package) = self.build.packages.get(at) else { return Ok(()) };
        self.filter.apply(&mut self.build.tree, &package.list, at)?;
        choices::overrides(&mut self.build.tree, &self.installed.overrides, at)
    }

    /// A configuration file that is there already and is not the package's stays: dpkg asks, and
    /// `--force-confdef --force-confold` answers so. The package's own lies beside it, as `.dpkg-dist`.
    fn conffiles(&mut self, at: usize) -> Result<(), Diagnostic> {
        let Some(package) = self.build.packages.get(at) else { return Ok(()) };
        let left_behind = &self.installed.left_behind;
        let found = choices::conffiles(self.base, &mut self.build.tree, package, at, left_behind)?;
        self.kept.extend(found);
        Ok(())
    }

    /// Packages of the base whose triggers the added ones pull.
    fn triggers(&mut self) {
        let mut pulled = BTreeSet::new();
        for (trigger, who) in &self.installed.interests {
            let by = self.build.packages.iter().skip(self.old).find(|package| pulls(package, trigger));
            if let Some(by) = by {
                pulled.insert((who.clone(), trigger.clone(), by.name.clone()));
            }
        }
        let mut done = BTreeSet::new();
        for (who, trigger, by) in pulled {
            if !done.insert(who.clone()) {
                continue;
            }
            let Build { tree, admin, arch, effects, problems, .. } = &mut self.build;
            let Some(effects) = effects.triggered(&who) else {
                problems.push(unknown(&who, &trigger, &by));
                continue;
            };
            let mut scene = Scene { tree, admin, arch: *arch, package: &who };
            let nothing = script::read(b"");
            if let Err(e) = effects.iter().try_for_each(|effect| scene.effect(effect, &nothing)) {
                problems.push(e.note("when its trigger is pulled").of(&who));
            }
        }
    }

    /// Work that is done once, and the database.
    fn finish(&mut self) -> Result<(), Diagnostic> {
        let system = |e: Failure| e.of("the system");
        let Build { tree, admin, packages, arch, .. } = &mut self.build;
        admin.alternatives.finish(tree).map_err(system)?;
        let glibc = packages.iter().find(|p| p.name == "libc-bin").map(|p| p.version.as_str().to_owned());
        for work in &admin.work {
            match work {
                Work::Shells | Work::ShellsTwice => again::shells(tree).map_err(system)?,
                Work::Pam => {
                    again::pam_is_as_made(self.base, &self.wanted, tree.epoch)?;
                    pam::update(tree).map_err(system)?;
                }
                Work::Certificates => certificates::update(tree, &admin.certificates_head).map_err(system)?,
                Work::Ldconfig => {
                    self.base.capture(tree, &self.wanted, true)?;
                    let glibc = glibc.clone().unwrap_or_default();
                    loader_cache::write(tree, *arch, &glibc).map_err(system)?;
                }
                Work::Shadow => accounts::shadow(tree).map_err(system)?,
            }
        }
        stanzas::write(tree, packages, self.old, &self.installed).map_err(system)?;
        if admin.diversions.values().any(|(_, package)| packages.iter().skip(self.old).any(|p| p.name == *package)) {
            database::diversions(tree, admin).map_err(system)?;
        }
        changes::settle(self.base, tree, self.old);
        Ok(())
    }
}

/// Whether a package's files or its own words pull a trigger.
fn pulls(package: &Package, trigger: &[u8]) -> bool {
    if trigger.starts_with(b"/") {
        let below = [trigger, b"/"].concat();
        return package.list.iter().any(|path| path == trigger || path.starts_with(&below));
    }
    lines(package.control.get("triggers").unwrap_or_default()).any(|line| {
        let mut words = line.text.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty());
        words.next().is_some_and(|word| word.starts_with(b"activate")) && words.next() == Some(trigger)
    })
}

fn unknown(who: &str, trigger: &[u8], by: &str) -> Diagnostic {
    let trigger = diag::text::printable_bytes(trigger);
    let what = format!("{by} pulls its trigger {trigger}, and k8orc does not know what it does then");
    Failure::new(codes::E0560, what, "")
        .note(format!("{who} is in the base; its postinst would be run as `postinst triggered {trigger}`"))
        .of(who)
        .help(format!("read it; declare what it does in an effects file: `package {who}` and `triggered`, an indented line for each effect"))
        .help("nothing that matters in an image? then those two lines alone dismiss it")
}
