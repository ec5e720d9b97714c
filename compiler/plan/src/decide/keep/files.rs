//! Each name of the base: keep > needed > remove > the rest goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, Span, codes};
use lang::spec::{Remove, Spanned, Unowned};

use super::globs::{Globs, complain_unmatched};
use super::known::{Known, known};
use super::needs::Needed;
use super::overlay::Overlay;
use super::packages::Verdict;
use super::unowned::unowned;
use super::{Index, Input};
use crate::path::ImagePath;
use crate::reason::Reason;

/// What becomes of one name.
#[derive(Clone)]
pub(super) struct Fate {
    /// Whether it stays.
    pub stays: bool,
    /// Why.
    pub reason: Arc<Reason>,
    /// Its bytes are made anew.
    pub rewrite: bool,
    /// A link that stays even when it leads nowhere: somebody asked for it.
    pub firm: bool,
}

impl Fate {
    fn stay(reason: &Arc<Reason>) -> Self {
        Self { stays: true, reason: Arc::clone(reason), rewrite: false, firm: false }
    }

    fn firm(reason: &Arc<Reason>) -> Self {
        Self { firm: true, ..Self::stay(reason) }
    }

    fn go(reason: &Arc<Reason>) -> Self {
        Self { stays: false, ..Self::stay(reason) }
    }
}

/// Decides every name of the base, at the same index. A directory's fate is that of its own: whether something
/// in it stays comes after (`leftovers`).
pub(super) fn files(
    input: &Input<'_>,
    index: &Index<'_>,
    overlay: &Overlay<'_>,
    needed: &Needed,
    packages: &[Verdict],
    out: &mut Diagnostics,
) -> Vec<Fate> {
    let spec = input.spec;
    let keeps = Globs::new(spec.files.keep.iter(), out).over(index);
    complain_unmatched(spec, index, spec.files.keep.iter(), &keeps, out);
    let removes = Globs::new(spec.files.remove.iter().map(|r| &r.what), out).over(index);
    complain_unmatched(spec, index, spec.files.remove.iter().map(|r| &r.what), &removes, out);
    let known = known(input.facts, index, packages);
    let is_unowned: Vec<bool> = index
        .names
        .iter()
        .zip(&index.owners)
        .map(|(name, owners)| owners.is_empty() && !known.contains_key(*name) && !overlay.added.contains_key(*name))
        .collect();
    let unowned = unowned(input, index, &is_unowned, out);
    let mut judge = Judge {
        input,
        packages,
        needed,
        known: &known,
        unowned,
        unowned_go: spec.files.unowned.as_ref().is_some_and(|said| said.value == Unowned::Closure),
        reasons: Reasons::new(input, packages),
        clashes: BTreeMap::new(),
        orphans: BTreeMap::new(),
        taken: Vec::new(),
    };
    let mut all = Vec::with_capacity(index.names.len());
    for (at, name) in index.names.iter().enumerate() {
        let empty = Vec::new();
        let keeps = keeps.get(at).unwrap_or(&empty);
        let removes = removes.get(at).unwrap_or(&empty);
        let directory = index.nodes.get(at).is_some_and(|node| node.is_directory());
        let owners = index.owners.get(at).unwrap_or(&empty);
        all.push(judge.one(name, directory, keeps, removes, owners));
    }
    judge.complain(out);
    all
}

/// Reasons that many names share.
struct Reasons {
    keep: Vec<Arc<Reason>>,
    remove: Vec<Arc<Reason>>,
    of_package: Vec<Arc<Reason>>,
    licence: Arc<Reason>,
    state: Arc<Reason>,
    unreached: Arc<Reason>,
}

impl Reasons {
    fn new(input: &Input<'_>, packages: &[Verdict]) -> Self {
        let files = &input.spec.files;
        let keep = |g: &Spanned<String>| Reason::spec(format!("files keep \"{}\"", printable(&g.value)), g.span);
        let remove = |r: &Remove| {
            let because = r.because.as_ref().map(|b| format!(", because {}", printable(&b.value))).unwrap_or_default();
            Reason::spec(format!("files remove \"{}\"{because}", printable(&r.what.value)), r.what.span)
        };
        let package = |(package, verdict): (&crate::facts::Package, &Verdict)| {
            Reason::link(format!("it is a file of {}", printable(&package.name)), &verdict.reason)
        };
        Self {
            keep: files.keep.iter().map(keep).collect(),
            remove: files.remove.iter().map(remove).collect(),
            of_package: input.facts.packages.packages.iter().zip(packages).map(package).collect(),
            licence: Reason::fact("it is a licence text, which a remove line touches only with because="),
            state: Reason::fact("its package, of which something stays, keeps state there"),
            unreached: Reason::fact("no program and no line reaches it"),
        }
    }
}

/// The first paths that a remove line hits although it may not, and how many there are.
type Clash = (Vec<(ImagePath, Arc<Reason>)>, u64);

/// Looks at one name after the other and gathers what to complain of.
struct Judge<'a> {
    input: &'a Input<'a>,
    packages: &'a [Verdict],
    needed: &'a Needed,
    known: &'a BTreeMap<ImagePath, Known>,
    unowned: Arc<Reason>,
    unowned_go: bool,
    reasons: Reasons,
    /// By number of the remove line and whether the path is kept: the first paths, and how many.
    clashes: BTreeMap<(usize, bool), Clash>,
    /// By package: kept files of a package that goes.
    orphans: BTreeMap<usize, (ImagePath, usize, u64)>,
    /// Needed paths that go with a package that is removed with a reason.
    taken: Vec<(ImagePath, Arc<Reason>)>,
}

impl Judge<'_> {
    fn one(&mut self, name: &ImagePath, directory: bool, keeps: &[usize], removes: &[usize], owners: &[usize]) -> Fate {
        let lines = &self.input.spec.files.remove;
        let (keeps, removes) = self.overruled(keeps, removes);
        // A line with a reason counts before one without.
        let remove = removes.iter().copied().min_by_key(|n| lines.get(*n).is_none_or(|r| r.because.is_none()));
        let because = remove.and_then(|n| lines.get(n)).is_some_and(|r| r.because.is_some());
        if let Some(line) = keeps.first()
            && let Some(reason) = self.reasons.keep.get(*line).cloned()
        {
            if let Some(remove) = remove.filter(|_| !directory) {
                self.clash(remove, true, name, &reason);
            }
            if !directory && !owners.is_empty() && owners.iter().all(|o| !self.kept(*o)) {
                for owner in owners {
                    let entry = self.orphans.entry(*owner).or_insert_with(|| (name.clone(), *line, 0));
                    entry.2 += 1;
                }
            }
            return Fate { rewrite: matches!(self.known.get(name), Some(Known::Rewrite(_))), ..Fate::firm(&reason) };
        }
        let known = self.known.get(name);
        let need = match (self.needed.get(name), known) {
            (Some(reason), _) => Some((reason, false)),
            (None, Some(Known::Rewrite(reason))) => Some((reason, true)),
            _ => None,
        };
        if let Some((reason, rewrite)) = need {
            // `packages remove` with a reason took all its owners away: then it goes, but not silently.
            let forced = |o: &usize| self.packages.get(*o).is_some_and(|v| v.forced);
            let taken = owners.iter().any(forced) && !owners.iter().any(|o| self.kept(*o));
            match remove.filter(|_| !directory) {
                Some(line) if because => return self.removed(line),
                Some(line) => self.clash(line, false, name, &Arc::clone(reason)),
                None => {}
            }
            if !taken {
                return Fate { rewrite, ..Fate::firm(reason) };
            }
            self.taken.push((name.clone(), Arc::clone(reason)));
        }
        if let Some(Known::Go(reason)) = known {
            return Fate::go(reason);
        }
        if let Some(line) = remove {
            return match is_licence(name) && !because && owners.iter().any(|o| self.kept(*o)) {
                true => Fate::stay(&self.reasons.licence),
                false => self.removed(line),
            };
        }
        if let Some(Known::Stay(reason)) = known {
            return Fate::stay(reason);
        }
        let of = |owner: &usize| self.reasons.of_package.get(*owner);
        let whole = |o: &&usize| self.packages.get(**o).is_some_and(|verdict| verdict.kept && verdict.whole);
        if let Some(reason) = owners.iter().find(whole).and_then(of) {
            return Fate::stay(reason);
        }
        if owners.iter().any(|o| self.kept(*o)) {
            return match (is_licence(name), directory && is_state(name)) {
                (true, _) => Fate::stay(&self.reasons.licence),
                (_, true) => Fate::stay(&self.reasons.state),
                _ => Fate::go(&self.reasons.unreached),
            };
        }
        match owners.first().and_then(of) {
            Some(reason) => Fate::go(reason),
            None if self.unowned_go => Fate::go(&self.unowned),
            None => Fate::stay(&self.unowned),
        }
    }

    /// Where both kinds of line speak of a path, those that another one overrules (`override=#true`) do not count.
    fn overruled(&self, keeps: &[usize], removes: &[usize]) -> (Vec<usize>, Vec<usize>) {
        if keeps.is_empty() || removes.is_empty() {
            return (keeps.to_vec(), removes.to_vec());
        }
        let spec = self.input.spec;
        let keep = |n: &usize| spec.files.keep.get(*n).map(|k| k.span);
        let remove = |n: &usize| spec.files.remove.get(*n).map(|r| r.what.span);
        let wins = |winner: Option<Span>, loser: Option<Span>| {
            winner.zip(loser).is_some_and(|(winner, loser)| spec.overrules(winner, loser))
        };
        let left = |k: &&usize| !removes.iter().any(|r| wins(remove(r), keep(k)));
        let other = |r: &&usize| !keeps.iter().any(|k| wins(keep(k), remove(r)));
        (keeps.iter().filter(left).copied().collect(), removes.iter().filter(other).copied().collect())
    }

    fn kept(&self, package: usize) -> bool {
        self.packages.get(package).is_some_and(|verdict| verdict.kept)
    }

    fn removed(&self, line: usize) -> Fate {
        match self.reasons.remove.get(line) {
            Some(reason) => Fate::go(reason),
            None => Fate::stay(&self.unowned),
        }
    }

    fn clash(&mut self, line: usize, kept: bool, name: &ImagePath, reason: &Arc<Reason>) {
        let entry = self.clashes.entry((line, kept)).or_default();
        entry.1 += 1;
        if entry.0.len() < 3 {
            entry.0.push((name.clone(), Arc::clone(reason)));
        }
    }

    fn complain(self, out: &mut Diagnostics) {
        if let Some((path, reason)) = self.taken.first() {
            let more =
                if self.taken.len() > 1 { format!(" (and {} more)", self.taken.len() - 1) } else { String::new() };
            let message = format!("{path}, which a program needs, goes with a removed package{more}");
            out.push(
                Diagnostic::new(codes::E0615, message)
                    .at_opt(reason.span(), "needed from here")
                    .note(reason.in_words())
                    .help(format!("keep the file alone: files {{ keep \"{path}\" }}")),
            );
        }
        for ((line, kept), (paths, count)) in self.clashes {
            let Some(remove) = self.input.spec.files.remove.get(line) else { continue };
            let Some((path, reason)) = paths.first() else { continue };
            let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
            let (code, word) = if kept { (codes::E0612, "kept") } else { (codes::E0611, "needed") };
            let message = format!("\"{}\" removes {path}, which is {word}{more}", printable(&remove.what.value));
            let mut one = Diagnostic::new(code, message).at(remove.what.span, "removed here");
            if let Some(span) = reason.span() {
                one = one.label(span, format!("{word} from here"));
            }
            for (path, reason) in &paths {
                one = one.note(format!("{path} stays: {}", reason.in_words()));
            }
            out.push(match kept {
                true => one.help("make one of the two globs narrower"),
                false => one.help("make the glob narrower, or say why it may go: because=\"…\""),
            });
        }
        for (package, (path, line, count)) in self.orphans {
            let Some(package) = self.input.facts.packages.packages.get(package) else { continue };
            let Some(keep) = self.input.spec.files.keep.get(line) else { continue };
            let name = printable(&package.name);
            let message = format!("\"{}\" keeps files of the package {name}, which goes", printable(&keep.value));
            out.push(
                Diagnostic::new(codes::E0614, message)
                    .at(keep.span, "scanners will not know whose files these are")
                    .note(format!("{count} files, {path} the first"))
                    .help(format!("keep the package as well: packages {{ keep \"{name}\" }}")),
            );
        }
    }
}

/// `**/copyright` and `/usr/share/licenses`: their terms mostly ask for them to go where the files go.
fn is_licence(name: &ImagePath) -> bool {
    name.name() == b"copyright" || name.as_bytes().starts_with(b"/usr/share/licenses/")
}

/// Directories for what programs write: empty in an image, and expected.
fn is_state(name: &ImagePath) -> bool {
    [b"/var/".as_slice(), b"/run/", b"/srv/", b"/tmp/", b"/home/"].iter().any(|top| name.as_bytes().starts_with(top))
}
