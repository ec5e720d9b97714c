//! What deb-systemd-helper(1p) and update-rc.d(8) leave: links, and notes of them.

use super::failure::{Failure, fail};
use super::tree::Tree;

/// Most units that `Also=` may bring in.
const MOST_UNITS: usize = 64;

/// A unit of the system or of users.
fn unit_file(tree: &Tree, unit: &str, user: bool) -> Option<(String, String)> {
    let kind = if user { "user" } else { "system" };
    ["/etc", "/lib", "/usr/lib"].iter().find_map(|top| {
        let path = format!("{top}/systemd/{kind}/{unit}");
        let text = String::from_utf8_lossy(tree.read(path.as_bytes())?).into_owned();
        Some((path, text))
    })
}

/// The links that enabling a unit makes: path and target.
fn closure(tree: &Tree, unit: &str, user: bool) -> Vec<(String, String)> {
    let kind = if user { "user" } else { "system" };
    let (mut todo, mut seen, mut links) = (vec![unit.to_owned()], Vec::<String>::new(), Vec::new());
    let mut aliases = Vec::new();
    while let Some(unit) = todo.pop() {
        if seen.contains(&unit) || seen.len() >= MOST_UNITS || unit.contains('/') {
            continue;
        }
        // An instance has the file of its template.
        let template =
            unit.split_once('@').and_then(|(name, rest)| Some(format!("{name}@.{}", rest.rsplit_once('.')?.1)));
        let found = unit_file(tree, &unit, user).or_else(|| unit_file(tree, &template?, user));
        let Some((path, text)) = found else { continue };
        let mut install = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                install = line == "[Install]";
            }
            let Some((key, value)) = line.split_once('=').filter(|_| install) else { continue };
            for word in value.split_whitespace().filter(|w| !w.contains('/')) {
                let place = match key.trim() {
                    "WantedBy" => format!("{word}.wants/{unit}"),
                    "RequiredBy" => format!("{word}.requires/{unit}"),
                    "Alias" => word.to_owned(),
                    "Also" => {
                        todo.push(word.to_owned());
                        continue;
                    }
                    _ => continue,
                };
                let link = (format!("/etc/systemd/{kind}/{place}"), path.clone());
                if key.trim() == "Alias" { aliases.push(link) } else { links.push(link) }
            }
        }
        seen.push(unit);
    }
    // deb-systemd-helper notes aliases first.
    aliases.append(&mut links);
    aliases
}

/// `systemctl enable`: the links alone.
pub(super) fn plainly(tree: &mut Tree, unit: &str) -> Result<(), Failure> {
    for (path, target) in closure(tree, unit, false) {
        tree.link(
            path.as_bytes(),
            target.replacen("/lib/", "/usr/lib/", usize::from(target.starts_with("/lib/"))).as_bytes(),
        )?;
    }
    Ok(())
}

/// `update-rc.d NAME disable`: it is stopped where it was started.
pub(super) fn rc_disable(tree: &mut Tree, name: &str) -> Result<(), Failure> {
    for level in ['2', '3', '4', '5'] {
        let start = format!("/etc/rc{level}.d/S01{name}");
        if tree.get(start.as_bytes()).is_some() {
            tree.remove(start.as_bytes())?;
            tree.link(format!("/etc/rc{level}.d/K01{name}").as_bytes(), format!("../init.d/{name}").as_bytes())?;
        }
    }
    Ok(())
}

/// Where deb-systemd-helper keeps its notes.
fn state(user: bool) -> &'static str {
    match user {
        true => "/var/lib/systemd/deb-systemd-user-helper-enabled",
        false => "/var/lib/systemd/deb-systemd-helper-enabled",
    }
}

/// Whether a unit was enabled or noted before.
pub(super) fn noted(tree: &Tree, unit: &str, user: bool) -> bool {
    tree.exists(format!("{}/{unit}.dsh-also", state(user)).as_bytes())
}

/// `deb-systemd-helper disable`: links and their notes go, the list of them stays.
pub(super) fn disable(tree: &mut Tree, unit: &str, user: bool) -> Result<(), Failure> {
    for (path, _) in closure(tree, unit, user) {
        let below = path.splitn(5, '/').nth(4).unwrap_or_default().to_owned();
        tree.remove_all(path.as_bytes())?;
        tree.remove_all(format!("{}/{below}", state(user)).as_bytes())?;
    }
    Ok(())
}

/// Enables a unit, or only notes what could be enabled.
pub(super) fn enable(tree: &mut Tree, unit: &str, user: bool, links_too: bool) -> Result<(), Failure> {
    let state = state(user);
    let links = closure(tree, unit, user);
    if links.is_empty() || unit.contains('/') {
        return Ok(());
    }
    let mut also = String::new();
    for (path, target) in &links {
        also.push_str(path);
        also.push('\n');
        if links_too {
            tree.link(path.as_bytes(), target.as_bytes())?;
            let below = path.splitn(5, '/').nth(4).unwrap_or_default();
            tree.write(format!("{state}/{below}").as_bytes(), Vec::new())?;
        }
    }
    tree.write(format!("{state}/{unit}.dsh-also").as_bytes(), also.into_bytes())?;
    Ok(())
}

/// `update-rc.d NAME defaults`: a link in each runlevel that the script's LSB header names.
pub(super) fn rc_links(tree: &mut Tree, name: &str, words: &[String]) -> Result<(), Failure> {
    let script = format!("/etc/init.d/{name}");
    let Some(text) = tree.read(script.as_bytes()).map(|t| String::from_utf8_lossy(t).into_owned()) else {
        return Ok(());
    };
    let levels = |key: &str| -> Vec<char> {
        let line = text.lines().find_map(|l| l.strip_prefix("# ")?.trim().strip_prefix(key));
        let line = line.unwrap_or_default().split_whitespace().filter(|w| w.len() == 1);
        line.filter_map(|w| w.chars().next()).filter(|c| "S0123456".contains(*c)).collect()
    };
    let (mut start, mut stop) = (levels("Default-Start:"), levels("Default-Stop:"));
    match words.first().map(String::as_str) {
        Some("defaults") => {}
        Some("defaults-disabled") => stop.append(&mut start),
        _ => return fail("an update-rc.d command that cannot be read", words.join(" ").as_bytes()),
    }
    for (letter, levels) in [('S', start), ('K', stop)] {
        for level in levels {
            let link = format!("/etc/rc{level}.d/{letter}01{name}");
            tree.link(link.as_bytes(), format!("../init.d/{name}").as_bytes())?;
        }
    }
    Ok(())
}
