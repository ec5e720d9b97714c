//! apk's database with the packages and paths that stay.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Cursor, Read, Write};

use formats::apk::{self, Atom};
use formats::codec;
use formats::line::lines;
use plan::path::ImagePath;

use super::{New, Outcome};
use crate::survey::apk::Providers;

/// Most bytes of scripts, unpacked (64 MiB).
const LONGEST: u64 = 64 << 20;

/// New bytes of one file of the database, or of `world`.
pub(super) fn rewrite(result: &Outcome<'_>, path: &ImagePath, base: &[u8]) -> Result<New, String> {
    if path.name() == b"world" {
        return world(result, base).map(New::Bytes);
    }
    let Some(all) = installed(result)? else { return Ok(New::Bytes(base.to_vec())) };
    let kept: BTreeMap<&str, usize> = result
        .kept
        .packages
        .iter()
        .enumerate()
        .filter(|(_, package)| package.kept)
        .map(|(at, package)| (package.name.as_str(), at))
        .collect();
    let decision = |at: usize| all.packages.get(at).and_then(|one| kept.get(one.name.as_str())).copied();
    let stays: BTreeSet<&str> = all
        .packages
        .iter()
        .filter(|one| kept.contains_key(one.name.as_str()))
        .map(|one| one.checksum.as_str())
        .collect();
    let of_stays = |name: &[u8]| apk::script_of(name).is_some_and(|(checksum, _)| stays.contains(checksum));
    Ok(New::Bytes(match path.name() {
        b"installed" => {
            let there = |at: usize, listed: &apk::Listed| {
                let missing = decision(at).and_then(|at| result.missing.get(at));
                let path = ImagePath::parse(&listed.path);
                path.is_ok_and(|path| missing.is_none_or(|missing| !missing.contains(&path)))
            };
            apk::rewrite_installed(base, &all, |at| decision(at).is_some(), there)
        }
        b"triggers" => apk::filter_triggers(base, |checksum| stays.contains(checksum)),
        b"scripts.tar" => apk::filter_scripts(base, of_stays).map_err(|error| error.to_string())?,
        b"scripts.tar.gz" => zipped(base, of_stays)?,
        _ => base.to_vec(),
    }))
}

/// The database as the base has it.
fn installed(result: &Outcome<'_>) -> Result<Option<apk::Installed>, String> {
    let path = plan::decide::keep::apk_directory(&result.facts.tree).and_then(|dir| dir.join(b"installed").ok());
    let bytes = path.and_then(|path| result.facts.files.get(&path));
    bytes.map(|bytes| apk::installed(bytes).map_err(|error| error.to_string())).transpose()
}

fn zipped(base: &[u8], keep: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, String> {
    let wrong = |error: std::io::Error| error.to_string();
    let source = BufReader::new(Cursor::new(base.to_vec()));
    let mut plain = Vec::new();
    let decoder = codec::decoder(codec::Codec::Gzip, source).map_err(wrong)?;
    decoder.take(LONGEST + 1).read_to_end(&mut plain).map_err(wrong)?;
    if plain.len() as u64 > LONGEST {
        return Err("the scripts have more than 64 MiB".into());
    }
    let less = apk::filter_scripts(&plain, keep).map_err(|error| error.to_string())?;
    if less == plain {
        return Ok(base.to_vec());
    }
    let mut out = codec::BlockGzip::new(Vec::new(), 1).map_err(wrong)?;
    out.write_all(&less).map_err(wrong)?;
    Ok(out.finish().map_err(wrong)?.0)
}

/// `world` without what is gone. Packages that stay and that nothing in it leads to are added: apk would take them for
/// left over and remove them with the next `apk add`.
fn world(result: &Outcome<'_>, base: &[u8]) -> Result<Vec<u8>, String> {
    let Some(mut all) = installed(result)? else { return Ok(base.to_vec()) };
    apk::world(base).map_err(|error| error.to_string())?;
    all.packages.sort_by(|a, b| a.name.cmp(&b.name));
    let decided = &result.kept.packages;
    // The same order as the decisions: by name, each once.
    let kept = |at: usize| decided.get(at).is_some_and(|package| package.kept);
    let providers = Providers::new(&all.packages);
    let stays = |atom: &Atom| atom.conflict || providers.all(atom).any(kept);
    let word_stays = |word: &&[u8]| apk::atom(word).is_ok_and(|atom| stays(&atom));
    let mut out = Vec::new();
    for line in lines(base) {
        let words: Vec<&[u8]> = line.text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        let left: Vec<&[u8]> = words.iter().copied().filter(word_stays).collect();
        if left.len() == words.len() {
            out.extend_from_slice(base.get(line.start..line.end).unwrap_or_default());
        } else if !left.is_empty() {
            out.extend(left.join(&b' '));
            out.push(b'\n');
        }
    }
    if out.last().is_some_and(|last| *last != b'\n') {
        out.push(b'\n');
    }
    let mut reach = Reach { result, reached: vec![false; decided.len()] };
    for atom in apk::world(&out).unwrap_or_default().iter().filter(|atom| !atom.conflict) {
        providers.all(atom).filter(|at| kept(*at)).for_each(|at| reach.from(at));
    }
    for name in reach.roots() {
        out.extend(name.as_bytes());
        out.push(b'\n');
    }
    Ok(out)
}

/// Which kept packages dependencies lead to.
struct Reach<'a> {
    result: &'a Outcome<'a>,
    reached: Vec<bool>,
}

impl<'a> Reach<'a> {
    fn depends(&self, at: usize) -> impl Iterator<Item = usize> + use<'a> {
        let package = self.result.facts.packages.packages.get(at);
        package.into_iter().flat_map(|package| &package.depends).filter_map(|requirement| requirement.met_by)
    }

    fn from(&mut self, at: usize) {
        let mut todo = vec![at];
        while let Some(at) = todo.pop() {
            let kept = self.result.kept.packages.get(at).is_some_and(|package| package.kept);
            if let Some(seen) = self.reached.get_mut(at).filter(|seen| kept && !**seen) {
                *seen = true;
                todo.extend(self.depends(at));
            }
        }
    }

    fn left(&self) -> Vec<usize> {
        let kept = self.result.kept.packages.iter().enumerate().filter(|(_, package)| package.kept);
        kept.map(|(at, _)| at).filter(|at| self.reached.get(*at) == Some(&false)).collect()
    }

    /// The packages that have to be asked for: those on which no other depends, then one of each circle.
    fn roots(mut self) -> Vec<&'a str> {
        let mut names = Vec::new();
        loop {
            let left = self.left();
            let needed: BTreeSet<usize> =
                left.iter().flat_map(|at| self.depends(*at).filter(|on| on != at).collect::<Vec<_>>()).collect();
            let Some(root) = left.iter().find(|at| !needed.contains(at)).or(left.first()).copied() else { break };
            names.extend(self.result.kept.packages.get(root).map(|package| package.name.as_str()));
            self.from(root);
        }
        names
    }
}
