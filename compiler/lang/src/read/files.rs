//! `packages`, `files`, `syscalls`.

use diag::Spanned;

use super::{Reader, because, mode};
use crate::spec::*;
use crate::tree::Node;

pub(super) fn packages(reader: &Reader<'_>, node: Option<&Node>) -> Packages {
    let Some(node) = node else { return Packages::default() };
    Packages {
        span: Some(node.span),
        closure: node.text_prop("closure").map(|text| {
            text.map(|word| match word.as_str() {
                "runtime" => Closure::Runtime,
                "files" => Closure::Files,
                _ => Closure::Depends,
            })
        }),
        add: node.each("add"),
        effects: node.each("effects").iter().filter_map(|file| reader.source(file)).collect(),
        keep: node.each("keep"),
        remove: removes(node),
    }
}

fn removes(node: &Node) -> Vec<Remove> {
    let one = |node: &Node| Some(Remove { what: node.text(0)?, because: because(node) });
    node.all("remove").filter_map(one).collect()
}

pub(super) fn files(reader: &Reader<'_>, node: Option<&Node>) -> Files {
    let Some(node) = node else { return Files::default() };
    let mut add: Vec<AddFile> = node.children.iter().filter_map(|child| added(reader, child)).collect();
    add.sort_by(|a, b| a.to.value.cmp(&b.to.value).then(a.span.cmp(&b.span)));
    Files {
        span: Some(node.span),
        keep: node.each("keep"),
        remove: removes(node),
        unowned: node
            .child("unowned")
            .and_then(|child| child.text(0))
            .map(|text| text.map(|word| if word == "closure" { Unowned::Closure } else { Unowned::Keep })),
        add,
        setuid_keep: node.child("setuid").map(|setuid| setuid.each("keep")).unwrap_or_default(),
    }
}

fn added(reader: &Reader<'_>, node: &Node) -> Option<AddFile> {
    let (to, what) = match node.def.name.as_str() {
        "copy" => (node.text_prop("to")?, AddWhat::Copy(reader.source(&node.text(0)?)?)),
        "template" => {
            let params = reader.loaded.params.clone();
            (node.text_prop("to")?, AddWhat::Template(reader.source(&node.text(0)?)?, params))
        }
        "directory" => (node.text(0)?, AddWhat::Directory),
        "symlink" => (node.text(0)?, AddWhat::Symlink(node.text_prop("target")?)),
        _ => return None,
    };
    Some(AddFile { to, span: node.span, owner: node.text_prop("owner"), mode: mode(node), what })
}

pub(super) fn syscalls(node: Option<&Node>) -> Syscalls {
    let Some(node) = node else { return Syscalls::default() };
    let rules = |name: &'static str| {
        let one = |node: &Node| {
            Some(CallRule { name: node.text(0)?, errno: node.text_prop("errno"), because: because(node) })
        };
        node.all(name).filter_map(one).collect()
    };
    Syscalls {
        span: Some(node.span),
        allow: rules("allow"),
        deny: rules("deny"),
        refuse: rules("refuse"),
        otherwise: node.child("otherwise").and_then(|child| child.text(0)),
        deliver: node.child("deliver").and_then(|child| child.text(0)).map(deliver),
    }
}

fn deliver(text: Spanned<String>) -> Spanned<Deliver> {
    text.map(|word| match word.as_str() {
        "node" => Deliver::Node,
        "operator" => Deliver::Operator,
        _ => Deliver::InImage,
    })
}
