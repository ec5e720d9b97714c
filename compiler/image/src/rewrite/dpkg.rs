//! dpkg's database with the packages and paths that stay.

use std::collections::BTreeSet;

use formats::dpkg;
use formats::line::filter_lines;
use plan::path::ImagePath;

use super::{New, Outcome};

/// New bytes of one file of the database.
pub(super) fn rewrite(
    result: &Outcome<'_>,
    database: &ImagePath,
    path: &ImagePath,
    base: &[u8],
) -> Result<New, String> {
    let inside = path.as_bytes().get(database.as_bytes().len() + 1..).unwrap_or_default();
    if let Some(package) = result.owner.get(path).copied() {
        return info(result, path, package, base);
    }
    match inside {
        b"status" => status(result, base, dpkg::status(base)),
        b"diversions" => diversions(result, base),
        b"statoverride" => stat_overrides(result, base),
        b"triggers/File" => Ok(New::Bytes(filter_lines(base, |line| {
            let package = line.iter().rposition(|b| *b == b' ').and_then(|at| line.get(at + 1..));
            package.is_none_or(|name| stays(result, name))
        }))),
        b"triggers/Unincorp" | b"triggers/Lock" => Ok(New::Bytes(base.to_vec())),
        _ if inside.starts_with(b"triggers/") => {
            let bytes = filter_lines(base, |line| stays(result, line));
            Ok(match bytes.is_empty() {
                true => New::Gone("no package that stays is interested in this trigger"),
                false => New::Bytes(bytes),
            })
        }
        _ if inside.starts_with(b"alternatives/") => alternative(result, base),
        _ => Ok(New::Bytes(base.to_vec())),
    }
}

/// Whether a package of this name, as triggers write it (`man-db`, `x:amd64/noawait`), stays.
fn stays(result: &Outcome<'_>, name: &[u8]) -> bool {
    let name = name.split(|b| matches!(b, b'/' | b':')).next().unwrap_or_default();
    std::str::from_utf8(name).is_ok_and(|name| result.packages.contains(name))
}

fn status(
    result: &Outcome<'_>,
    base: &[u8],
    read: Result<dpkg::StatusFile<'_>, dpkg::PackageError>,
) -> Result<New, String> {
    let read = read.map_err(|e| e.to_string())?;
    let kept: std::collections::BTreeMap<(&str, &str), usize> = result
        .kept
        .packages
        .iter()
        .enumerate()
        .filter(|(_, p)| p.kept)
        .map(|(at, p)| ((p.name.as_str(), p.arch.as_str()), at))
        .collect();
    let find = |p: &dpkg::Package| kept.get(&(p.name.as_str(), p.architecture.as_str())).copied();
    let remembered = |p: &dpkg::Package| matches!(p.status.state.as_str(), "not-installed" | "config-files");
    let bytes = dpkg::rewrite_status(
        base,
        &read,
        |p| !remembered(p) && find(p).is_some(),
        |p, path| {
            let Ok(path) = ImagePath::parse(path) else { return false };
            let missing = find(p).and_then(|at| result.missing.get(at));
            missing.is_none_or(|missing| !missing.contains(&path)) && result.is_there(&path)
        },
    );
    Ok(New::Bytes(bytes))
}

/// `info/PKG.list`, `.md5sums`, `.conffiles`, and the files of `status.d`.
fn info(result: &Outcome<'_>, path: &ImagePath, package: usize, base: &[u8]) -> Result<New, String> {
    let empty = BTreeSet::new();
    let missing = result.missing.get(package).unwrap_or(&empty);
    let there = |line: &[u8]| ImagePath::parse(line).is_ok_and(|path| !missing.contains(&path));
    let kind = path.name().rsplit(|b| *b == b'.').next().unwrap_or_default();
    Ok(New::Bytes(match kind {
        b"list" => dpkg::filter_list(base, there),
        b"conffiles" => dpkg::filter_list(base, |line| there(line.strip_prefix(b"remove-on-upgrade ").unwrap_or(line))),
        b"md5sums" => dpkg::filter_md5sums(base, there),
        _ => return status(result, base, dpkg::status_d(base)),
    }))
}

/// A diversion stays while one of its two files does.
fn diversions(result: &Outcome<'_>, base: &[u8]) -> Result<New, String> {
    let mut all = dpkg::diversions(base).map_err(|e| e.to_string())?;
    let there = |path: &[u8]| ImagePath::parse(path).is_ok_and(|path| result.is_there(&path));
    all.retain(|one| there(&one.from) || there(&one.to));
    Ok(New::Bytes(dpkg::write_diversions(&all)))
}

/// dpkg refuses to work when an override names an account that is not there.
fn stat_overrides(result: &Outcome<'_>, base: &[u8]) -> Result<New, String> {
    let all = dpkg::stat_overrides(base).map_err(|e| e.to_string())?;
    let known = |names: &BTreeSet<&str>, name: &str| name.starts_with('#') || names.contains(name);
    let keep: BTreeSet<usize> = all
        .iter()
        .filter(|one| known(&result.users, &one.user) && known(&result.groups, &one.group))
        .filter(|one| ImagePath::parse(&one.path).is_ok_and(|path| result.is_there(&path)))
        .map(|one| one.line)
        .collect();
    let mut line = 0;
    Ok(New::Bytes(filter_lines(base, |_| {
        line += 1;
        keep.contains(&line)
    })))
}

/// Choices that lead nowhere are no choices.
fn alternative(result: &Outcome<'_>, base: &[u8]) -> Result<New, String> {
    let mut all = dpkg::alternative(base).map_err(|e| e.to_string())?;
    let there = |path: &[u8]| ImagePath::parse(path).is_ok_and(|path| result.leads_somewhere(&path));
    if !ImagePath::parse(&all.link).is_ok_and(|path| result.is_there(&path)) {
        return Ok(New::Gone("the link that it describes is gone"));
    }
    all.choices.retain(|choice| there(&choice.path));
    Ok(match all.choices.is_empty() {
        true => New::Gone("none of its choices is there"),
        false => New::Bytes(dpkg::write_alternative(&all)),
    })
}
