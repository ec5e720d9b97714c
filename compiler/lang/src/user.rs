//! The user file: mirrors, keys, proxies and registries of a person or a machine. What it says changes where things
//! are fetched, never what is built.

use std::collections::BTreeMap;

use diag::{Diagnostic, Diagnostics, FileId, Span, codes};

use crate::load::version;
use crate::schema::check::Checker;
use crate::schema::{Merge, user_schema};
use crate::tree::Node;

/// A mirror of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Base URL.
    pub url: String,
    /// Whether it serves a moment of the past, whose signature may be past its date.
    pub snapshot: bool,
}

/// What a user file says. Paths are as written: relative ones start at the file's directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserFile {
    /// By name of the archive.
    pub mirrors: BTreeMap<String, Mirror>,
    /// Files of keys, by name of the archive.
    pub keyrings: BTreeMap<String, String>,
    /// Proxy for http:// URLs.
    pub http_proxy: Option<String>,
    /// Proxy for https:// URLs.
    pub https_proxy: Option<String>,
    /// Hosts that are asked directly, with commas between.
    pub no_proxy: Option<String>,
    /// PEM file of certificate authorities.
    pub trust: Option<String>,
    /// The only registries that are used, as host or host/path; `None`: all.
    pub registries: Option<Vec<String>>,
}

/// Reads a user file.
///
/// # Errors
/// What the reader of KDL says, E0100 to E0117 of the schema, E0109 for what is said twice.
pub fn read(text: &str, file: FileId) -> Result<UserFile, Diagnostics> {
    let (document, mut found) = crate::text::parse(text, file);
    let Some(document) = document else { return Err(found) };
    if let Some(wrong) = version::check(&document, file) {
        return Err(wrong.into());
    }
    let mut checker = Checker::new(file, text, true, None);
    checker.schema = user_schema();
    let tree = checker.document(&document, |_| true);
    found.extend(checker.diagnostics);
    found.extend(twice(&tree));
    if found.has_errors() { Err(found.sorted()) } else { Ok(convert(&tree)) }
}

/// E0128: the same archive again with something else.
fn twice(tree: &[Node]) -> Vec<Diagnostic> {
    let mut first: BTreeMap<(&str, String), Span> = BTreeMap::new();
    let mut found = Vec::new();
    for node in tree.iter().filter(|node| node.def.merge == Merge::KeyArg) {
        let Some(archive) = node.text(0) else { continue };
        let name = node.def.name.as_str();
        if let Some(before) = first.insert((name, archive.value.clone()), node.span) {
            let message = format!("the {name} of `{}` is said twice", archive.value);
            found.push(
                Diagnostic::new(codes::E0128, message)
                    .at(node.span, "said again")
                    .label(before, "said here first")
                    .help("take one of the two out"),
            );
        }
    }
    found
}

fn convert(tree: &[Node]) -> UserFile {
    let mut out = UserFile::default();
    for node in tree {
        let (first, second) = (node.text(0).map(|text| text.value), node.text(1).map(|text| text.value));
        let prop = |name| node.text_prop(name).map(|text| text.value);
        match (node.def.name.as_str(), first, second) {
            ("mirror", Some(archive), Some(url)) => {
                let snapshot = node.flag_prop("snapshot").is_some_and(|flag| flag.value);
                out.mirrors.insert(archive, Mirror { url, snapshot });
            }
            ("keyring", Some(archive), Some(file)) => {
                out.keyrings.insert(archive, file);
            }
            ("proxy", ..) => {
                (out.http_proxy, out.https_proxy, out.no_proxy) = (prop("http"), prop("https"), prop("direct"))
            }
            ("trust", file, _) => out.trust = file,
            ("registries", ..) => out.registries = Some(node.texts().into_iter().map(|text| text.value).collect()),
            _ => {}
        }
    }
    out
}
