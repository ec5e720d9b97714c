//! Maintainer scripts, read and never run: what debhelper generated is recognised, the rest is told apart.

use formats::line::lines;
use sha2::{Digest as _, Sha256};

use super::shell::BLOCK;

/// Tools whose generated blocks are known; what they do on a first installation is in [`Snippet`], or nothing.
const TOOLS: [&str; 26] = [
    "dh_apparmor",
    "dh_bash-completion",
    "dh_fonts",
    "dh_gconf",
    "dh_icons",
    "dh_installalternatives",
    "dh_installdeb",
    "dh_installdebconf",
    "dh_installdocs",
    "dh_installinfo",
    "dh_installinit",
    "dh_installinitramfs",
    "dh_installmenu",
    "dh_installmime",
    "dh_installsystemd",
    "dh_installsystemduser",
    "dh_installsysusers",
    "dh_installtmpfiles",
    "dh_installudev",
    "dh_makeshlibs",
    "dh_nginx",
    "dh_python3",
    "dh_runit",
    "dh_systemd_enable",
    "dh_systemd_start",
    "dh_ucf",
];

/// Those of them whose blocks hold nothing but commands that `shell` knows: they are followed like everything else, so
/// that nothing hides behind their name.
const FOLLOWED: [&str; 9] = [
    "dh_installalternatives",
    "dh_installdeb",
    "dh_installinit",
    "dh_installsystemd",
    "dh_installsystemduser",
    "dh_installsysusers",
    "dh_installtmpfiles",
    "dh_systemd_enable",
    "dh_systemd_start",
];

/// What a generated block, or a plain command, does on a first installation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Snippet {
    /// `deb-systemd-helper enable UNIT`; true for the units of users.
    Enable(String, bool),
    /// `deb-systemd-helper update-state UNIT` alone: only what could be enabled is noted.
    Note(String, bool),
    /// `update-rc.d NAME …`: words after the name.
    RcLinks(String, Vec<String>),
    /// `update-alternatives --install …`: its words from the link on.
    Alternative(Vec<String>),
    /// `systemd-tmpfiles --create NAME`
    Tmpfiles(String),
    /// `systemd-sysusers NAME`
    Sysusers(String),
    /// dh_nginx: a file of modules-available and the link in modules-enabled.
    NginxModule(String, String),
    /// dh_apparmor: the local part of a profile, made empty.
    AppArmor(String),
}

/// A script, taken apart.
#[derive(Debug)]
pub(super) struct Script {
    /// What each generated block does, in the order of the blocks.
    pub blocks: Vec<Vec<Snippet>>,
    /// The text with every generated block replaced by its number.
    pub body: String,
    /// SHA-256 of everything outside generated blocks, in hexadecimal; comments and empty lines do not count.
    pub digest: String,
    /// The whole text.
    pub text: Vec<u8>,
}

/// Takes a script apart.
pub(super) fn read(text: &[u8]) -> Script {
    let mut script = Script { blocks: Vec::new(), body: String::new(), digest: String::new(), text: text.to_vec() };
    // The lines of a here-document are no comments.
    let comments_count = text.windows(2).any(|w| w == b"<<");
    let mut sha = Sha256::new();
    let mut block: Option<Vec<&[u8]>> = None;
    let mut followed = false;
    for line in lines(text) {
        let trimmed = line.text.trim_ascii();
        if let Some(inside) = &mut block {
            if trimmed == b"# End automatically added section" {
                let mut found = Vec::new();
                generated(inside, &mut found);
                if followed {
                    script.body.push('\n');
                    inside.iter().for_each(|line| keep(&mut script.body, line));
                    script.body.push('\n');
                } else {
                    script.body.push_str(&format!("{BLOCK}{}", script.blocks.len()));
                    script.body.push_str(&"\n".repeat(inside.len() + 2));
                }
                script.blocks.push(found);
                block = None;
            } else {
                inside.push(line.text);
            }
            continue;
        }
        if let Some(tool) = trimmed.strip_prefix(b"# Automatically added by ") {
            let tool = tool.split(|b| matches!(b, b'/' | b' ')).next().unwrap_or_default();
            if TOOLS.iter().any(|t| t.as_bytes() == tool) {
                block = Some(Vec::new());
                followed = FOLLOWED.iter().any(|t| t.as_bytes() == tool);
                continue;
            }
        }
        keep(&mut script.body, line.text);
        if trimmed.is_empty() || (trimmed.starts_with(b"#") && !comments_count) {
            continue;
        }
        sha.update(line.text.trim_ascii_end());
        sha.update(b"\n");
    }
    // A block without its end is no block.
    for line in block.iter().flatten() {
        sha.update(line);
        keep(&mut script.body, line);
    }
    script.digest = sha.finalize().iter().map(|b| format!("{b:02x}")).collect();
    script
}

/// A line of the body, which cannot pass for a block.
fn keep(body: &mut String, line: &[u8]) {
    body.push_str(&String::from_utf8_lossy(line).replace(BLOCK, "\u{fffd}"));
    body.push('\n');
}

/// Lines with those that a backslash continues.
fn joined(all: &[(usize, &[u8])]) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in all {
        let (text, more) = match line.strip_suffix(b"\\") {
            Some(text) => (text, true),
            None => (*line, false),
        };
        let text = String::from_utf8_lossy(text);
        match out.last_mut() {
            Some((_, last)) if open => {
                last.push(' ');
                last.push_str(text.trim());
            }
            _ => out.push((*number, text.trim().to_owned())),
        }
        open = more;
    }
    out
}

/// What the commands of a generated block do.
fn generated(block: &[&[u8]], snippets: &mut Vec<Snippet>) {
    let numbered: Vec<(usize, &[u8])> = block.iter().map(|line| (0, line.trim_ascii())).collect();
    let all: Vec<Vec<String>> = joined(&numbered).iter().map(|(_, line)| words(line)).collect();
    let only_if_there = all.iter().flatten().any(|word| word == "debian-installed");
    for line in &all {
        let line: Vec<&str> = line.iter().map(String::as_str).filter(|w| !w.starts_with("${DPKG_ROOT:+")).collect();
        match line.as_slice() {
            ["deb-systemd-helper", rest @ ..] => {
                let user = rest.contains(&"--user");
                match rest.iter().filter(|w| !w.starts_with("--")).copied().collect::<Vec<_>>().as_slice() {
                    ["enable", unit, ..] if !only_if_there => snippets.push(Snippet::Enable((*unit).to_owned(), user)),
                    ["update-state", unit, ..] if only_if_there => {
                        snippets.push(Snippet::Note((*unit).to_owned(), user))
                    }
                    _ => {}
                }
            }
            ["update-rc.d", name, rest @ ..] => {
                let end = rest.iter().position(|w| w.starts_with('>') || *w == "||").unwrap_or(rest.len());
                let rest = rest.get(..end).unwrap_or_default().iter().map(|w| (*w).to_owned()).collect();
                snippets.push(Snippet::RcLinks((*name).to_owned(), rest));
            }
            ["update-alternatives", "--install", rest @ ..] => snippets.push(alternative(rest)),
            ["systemd-tmpfiles", rest @ ..] => snippets.extend(files(rest).map(Snippet::Tmpfiles)),
            ["systemd-sysusers", rest @ ..] => snippets.extend(files(rest).map(Snippet::Sysusers)),
            ["for", "confpair", "in", pairs @ ..] => {
                let pairs = pairs.iter().filter_map(|pair| pair.split_once(':'));
                snippets.extend(pairs.map(|(from, to)| Snippet::NginxModule(from.to_owned(), to.to_owned())));
            }
            [word] => {
                if let Some(path) = word.strip_prefix("LOCAL_APP_PROFILE=") {
                    snippets.push(Snippet::AppArmor(path.to_owned()));
                }
            }
            _ => {}
        }
    }
}

fn files<'a>(rest: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    rest.iter().take_while(|w| **w != "||").filter(|w| w.ends_with(".conf")).map(|w| (*w).to_owned())
}

fn alternative(rest: &[&str]) -> Snippet {
    let end = rest.iter().position(|w| matches!(*w, "||" | "&&" | ";") || w.starts_with('>')).unwrap_or(rest.len());
    Snippet::Alternative(rest.get(..end).unwrap_or_default().iter().map(|w| (*w).to_owned()).collect())
}

/// Every `update-alternatives --install` of a script, wherever it stands.
pub(super) fn alternatives(text: &[u8]) -> Vec<Snippet> {
    let numbered: Vec<(usize, &[u8])> = lines(text).map(|l| (l.number, l.text.trim_ascii())).collect();
    let mut out = Vec::new();
    for (_, line) in joined(&numbered) {
        let words = words(&line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let at = words.windows(2).position(|w| w.first() == Some(&"update-alternatives") && w.contains(&"--install"));
        out.extend(at.and_then(|at| words.get(at + 2..)).map(alternative));
    }
    out
}

/// The text of the here-document that a script writes to `path`.
pub(super) fn heredoc(text: &[u8], path: &str) -> Option<Vec<u8>> {
    let mut all = lines(text);
    let start = all.find(|l| {
        let line = String::from_utf8_lossy(l.text);
        line.contains("<<") && words(&line).iter().any(|w| w.trim_start_matches("$DPKG_ROOT") == path)
    })?;
    let line = String::from_utf8_lossy(start.text).into_owned();
    let mark = line.split("<<").nth(1)?;
    // `<<-` takes the tabs at the start of each line away.
    let (tabs, mark) = mark.strip_prefix('-').map_or((false, mark), |mark| (true, mark));
    let mark = mark.split_whitespace().next()?.trim_matches(['\'', '"']).to_owned();
    let mut out = Vec::new();
    for line in all {
        let start = line.text.iter().position(|b| !tabs || *b != b'\t').unwrap_or(line.text.len());
        let text = line.text.get(start..).unwrap_or_default();
        if text == mark.as_bytes() {
            return Some(out);
        }
        out.extend_from_slice(text);
        out.push(b'\n');
    }
    None
}

/// The words of a line as a shell splits them; nothing is expanded.
fn words(line: &str) -> Vec<String> {
    let (mut out, mut word, mut open, mut quote) = (Vec::new(), String::new(), false, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => word.push(c),
            (_, '\\') => word.extend(chars.next()),
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, open) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if open || !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
                open = false;
            }
            (None, c) => word.push(c),
        }
    }
    if open || !word.is_empty() {
        out.push(word);
    }
    out
}
