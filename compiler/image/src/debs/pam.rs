//! pam-auth-update(8) when nobody chose: every profile whose `Default` is yes, by priority.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::tree::Tree;

/// The common files, and the fields of a profile that feed each.
const TYPES: [(&str, &str); 5] = [
    ("auth", "Auth"),
    ("account", "Account"),
    ("session", "Session"),
    ("session-noninteractive", "Session"),
    ("password", "Password"),
];

struct Profile {
    id: String,
    fields: BTreeMap<String, Vec<String>>,
}

impl Profile {
    fn first(&self, field: &str) -> &str {
        self.fields.get(field).and_then(|lines| lines.first()).map_or("", String::as_str)
    }

    fn read(id: &str, text: &str) -> Profile {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut open = String::new();
        for line in text.lines() {
            if line.starts_with([' ', '\t']) {
                fields.entry(open.clone()).or_default().push(line.trim_start().to_owned());
            } else if let Some((name, value)) = line.split_once(':') {
                name.clone_into(&mut open);
                let lines = fields.entry(open.clone()).or_default();
                if !value.trim().is_empty() {
                    lines.push(value.trim().to_owned());
                }
            }
        }
        Profile { id: id.to_owned(), fields }
    }

    /// The module lines for a type; the first profile of a block has lines of its own.
    fn lines(&self, field: &str, first: bool) -> &[String] {
        let initial = self.fields.get(&format!("{field}-Initial")).filter(|_| first);
        initial.or_else(|| self.fields.get(field)).map_or(&[], Vec::as_slice)
    }
}

/// Writes `/etc/pam.d/common-*` and what pam-auth-update remembers of them.
pub(super) fn update(tree: &mut Tree) -> Result<(), Failure> {
    let mut profiles = Vec::new();
    for name in tree.names(b"/usr/share/pam-configs") {
        let path = [b"/usr/share/pam-configs/".as_slice(), &name].concat();
        if let Some(text) = tree.read(&path) {
            profiles.push(Profile::read(&String::from_utf8_lossy(&name), &String::from_utf8_lossy(text)));
        }
    }
    // Highest priority first; equals by name.
    profiles.sort_by_key(|p| (-p.first("Priority").parse::<i64>().unwrap_or(0), p.id.clone()));
    for (kind, field) in TYPES {
        let template = format!("/usr/share/pam/common-{kind}");
        let Some(template) = tree.read(template.as_bytes()).map(|t| String::from_utf8_lossy(t).into_owned()) else {
            continue;
        };
        let chosen = |block: &str| -> Vec<&Profile> {
            let interactive_only = |p: &Profile| p.first("Session-Interactive-Only") == "yes";
            let fits = |p: &&Profile| {
                p.first("Default") == "yes"
                    && p.first(&format!("{field}-Type")) == block
                    && !(kind == "session-noninteractive" && interactive_only(p))
            };
            profiles.iter().filter(fits).collect()
        };
        let word = kind.split('-').next().unwrap_or(kind);
        let mut state = String::new();
        let primary = block_lines(&chosen("Primary"), field, word, true, &mut state);
        let additional = block_lines(&chosen("Additional"), field, word, false, &mut state);
        let text = fill(&template, &primary, &additional);
        tree.write(format!("/etc/pam.d/common-{kind}").as_bytes(), text.into_bytes())?;
        tree.write(format!("/var/lib/pam/{kind}").as_bytes(), state.into_bytes())?;
    }
    let seen: String = profiles.iter().map(|p| format!("{}\n", p.id)).collect();
    tree.write(b"/var/lib/pam/seen", seen.into_bytes())?;
    Ok(())
}

/// The template with both blocks; what stands between the comments that mark a block goes.
fn fill(template: &str, primary: &str, additional: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in template.lines() {
        if line.starts_with("# here's the fallback if no module succeeds")
            || line.starts_with("# end of pam-auth-update config")
        {
            inside = false;
        }
        if inside {
            continue;
        }
        out.push_str(line);
        out.push('\n');
        if line.starts_with("# here are the per-package modules (the \"Primary\" block)") {
            out.push_str(primary);
            inside = true;
        } else if line.starts_with("# and here are more per-package modules (the \"Additional\" block)") {
            out.push_str(additional);
            inside = true;
        }
    }
    out
}

/// One block of a common file; `end` in a control becomes the number of lines to jump over.
fn block_lines(chosen: &[&Profile], field: &str, word: &str, primary: bool, state: &mut String) -> String {
    let mut all: Vec<&str> = Vec::new();
    for (at, profile) in chosen.iter().enumerate() {
        state.push_str(&format!("Module: {}\n", profile.id));
        for line in profile.lines(field, at == 0) {
            state.push_str(&format!("{line}\n"));
            all.push(line);
        }
    }
    if all.is_empty() && primary {
        let line = "[default=1]\t\t\tpam_permit.so";
        state.push_str(&format!("Module: null\n{line}\n"));
        return format!("{word}\t{line}\n");
    }
    // In the additional block nothing may jump off the stack.
    let count = if primary { all.len() } else { all.len().saturating_sub(1) };
    let mut out = String::new();
    for (at, line) in all.iter().enumerate() {
        out.push_str(&format!("{word}\t{}\n", module_line(line, count.saturating_sub(at))));
    }
    out
}

/// Control, module, and after one space its options, even when there are none.
fn module_line(line: &str, jump: usize) -> String {
    let end = line.find(']').filter(|_| line.starts_with('[')).unwrap_or(0);
    let (bracket, rest) = line.split_at_checked(end).unwrap_or(("", line));
    let control = rest.len() - rest.trim_start_matches(|c: char| !c.is_whitespace()).len();
    let space = rest.get(control..).unwrap_or_default();
    let space = space.len() - space.trim_start().len();
    let (head, rest) = rest.split_at_checked(control + space).unwrap_or((rest, ""));
    let mut words = rest.split_whitespace();
    let module = words.next().unwrap_or_default();
    let head = format!("{bracket}{head}{module}").replace("end", &jump.to_string());
    format!("{head} {}", words.collect::<Vec<_>>().join(" "))
}
