//! `image`.

use diag::{FileId, Span, Spanned};

use super::Reader;
use crate::schema::types::{Base, base};
use crate::spec::*;
use crate::tree::Node;

/// The image; where it is not written, an empty one, which no caller sees (there is an error then).
pub(super) fn image(reader: &Reader<'_>, node: Option<&Node>) -> Image {
    let span = node.map_or(Span::new(FileId(0), 0, 0), |node| node.span);
    let mut image = Image {
        span,
        name: node.and_then(|node| node.text(0)).unwrap_or(Spanned::new(String::new(), span)),
        publish: None,
        base: Spanned::new(BaseRef::Scratch, span),
        platforms: Vec::new(),
        user: None,
        entrypoint: Vec::new(),
        command: None,
        runs: Vec::new(),
        env: Vec::new(),
        workdir: None,
        stop_signal: None,
        labels: Vec::new(),
        expose: Vec::new(),
    };
    if let Some(node) = node {
        let one = |name: &str| node.child(name).and_then(|child| child.text(0));
        image.publish = one("publish");
        if let Some(text) = one("base") {
            image.base = Spanned::new(reference(reader, &text).unwrap_or(BaseRef::Scratch), text.span);
        }
        image.platforms = node.each("platform");
        image.user = one("user");
        image.entrypoint = node.child("entrypoint").map(Node::texts).unwrap_or_default();
        image.command = node.child("cmd").map(Node::texts);
        image.runs = node.each("runs");
        image.env = node.entries("env");
        image.workdir = one("workdir");
        image.stop_signal = one("stop-signal");
        image.labels = node.entries("label");
        image.expose = node.each("expose");
    }
    if image.platforms.is_empty() {
        image.platforms.push(Spanned::new("linux/amd64".to_owned(), image.name.span));
    }
    image
}

fn reference(reader: &Reader<'_>, text: &Spanned<String>) -> Option<BaseRef> {
    let beside = |path: String| reader.beside(path, text.span.file);
    if let Some(name) = text.value.strip_prefix("spec:") {
        return Some(BaseRef::Spec(name.to_owned()));
    }
    Some(match base(&text.value).ok()? {
        Base::Registry(reference) => BaseRef::Registry(reference.to_owned()),
        Base::Oci(dir, tag) => BaseRef::Oci { dir: beside(dir)?, tag: tag.map(str::to_owned) },
        Base::DockerArchive(path) => BaseRef::DockerArchive(beside(path)?),
        Base::Tar(path) => BaseRef::Tar(beside(path)?),
        Base::Dir(path) => BaseRef::Dir(beside(path)?),
        Base::Apt(suite) => BaseRef::Apt(suite.to_owned()),
        Base::Scratch => BaseRef::Scratch,
    })
}
