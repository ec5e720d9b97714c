//! The reader: strict, because nobody but k8orc writes locks.

use diag::{Diagnostic, Diagnostics, FileId, Span, codes};
use kdl::{KdlDocument, KdlNode, KdlValue};

use super::{IDS, IdKind, Lock, LockedBase, LockedId, VERSION};

/// Nodes of a lock of version 1.
const NODES: &str = "compiler, stdlib, runtime, epoch, base, apt, user, group, retired-user, retired-group";

impl Lock {
    /// Reads a lock. Another version and the marks of a merge are one error each, before everything else.
    ///
    /// # Errors
    /// E0430, E0431, E0432, and what the reader of KDL says.
    pub fn parse(text: &str, file: FileId) -> Result<Lock, Diagnostics> {
        if let Some(span) = conflict(text, file) {
            return Err(Diagnostics::from(
                Diagnostic::new(codes::E0432, "k8orc.lock holds the marks of a merge that is not finished")
                    .at(span, "here the two sides begin to differ")
                    .help("take one side whole, `git checkout --theirs k8orc.lock`, then run `k8orc lock`"),
            ));
        }
        let (document, mut complaints) = crate::text::parse(text, file);
        let Some(document) = document else {
            for complaint in &mut complaints.0 {
                complaint
                    .help
                    .push("take k8orc.lock from version control again, or remove it and run `k8orc lock`".into());
            }
            return Err(complaints);
        };
        let mut reader = Reader { file, out: Diagnostics::new() };
        if !reader.version(&document) {
            return Err(reader.out);
        }
        let lock = reader.lock(&document);
        if reader.out.has_errors() { Err(reader.out) } else { Ok(lock) }
    }
}

/// The first line that git or another tool left where two sides differ.
fn conflict(text: &str, file: FileId) -> Option<Span> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        let marks = ["<<<<<<<", "=======", ">>>>>>>", "|||||||"];
        if marks.iter().any(|mark| bare.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
        {
            return Some(Span::new(file, at, at + bare.len()));
        }
        at += line.len();
    }
    None
}

pub(super) struct Reader {
    file: FileId,
    out: Diagnostics,
}

impl Reader {
    fn span(&self, node: &KdlNode) -> Span {
        let name = node.name().span();
        Span::new(self.file, name.offset(), name.offset() + name.len())
    }

    pub(super) fn wrong(&mut self, node: &KdlNode, message: impl Into<String>) {
        let span = self.span(node);
        self.out.push(
            Diagnostic::new(codes::E0430, message)
                .at(span, "")
                .help("take k8orc.lock from version control again, or remove it and run `k8orc lock`"),
        );
    }

    /// Whether the head is there and of the version that is known.
    fn version(&mut self, document: &KdlDocument) -> bool {
        let Some(head) = document.nodes().first() else {
            self.out.push(
                Diagnostic::new(codes::E0430, "k8orc.lock is empty")
                    .at(Span::new(self.file, 0, 0), "")
                    .help("remove it and run `k8orc lock`"),
            );
            return false;
        };
        if head.name().value() != "k8orc-lock" {
            self.wrong(head, "k8orc.lock does not begin with `k8orc-lock version=…`");
            return false;
        }
        match head.get("version").and_then(KdlValue::as_integer) {
            Some(version) if version == i128::from(VERSION) => {
                if head.entries().len() != 1 || head.children().is_some() {
                    self.wrong(head, "`k8orc-lock` has a version and nothing else");
                    return false;
                }
                true
            }
            Some(version) => {
                let span = self.span(head);
                self.out.push(
                    Diagnostic::new(
                        codes::E0431,
                        format!("k8orc.lock is of version {version}, this k8orc reads version {VERSION}"),
                    )
                    .at(span, "")
                    .help("use the k8orc that wrote it, or remove it and run `k8orc lock`"),
                );
                false
            }
            None => {
                self.wrong(head, "`k8orc-lock` says no version");
                false
            }
        }
    }

    fn lock(&mut self, document: &KdlDocument) -> Lock {
        let mut lock = Lock::default();
        let (mut compiler, mut stdlib, mut epoch) = (None, None, None);
        for node in document.nodes().iter().skip(1) {
            match node.name().value() {
                "compiler" => {
                    let value = self.one_text(node);
                    self.once(node, &mut compiler, value);
                }
                "stdlib" => {
                    let value = self.one_digest(node);
                    self.once(node, &mut stdlib, value);
                }
                "epoch" => {
                    let value = self.one_number(node);
                    self.once(node, &mut epoch, value);
                }
                "runtime" => {
                    if let Some((architecture, digest)) = self.runtime(node)
                        && lock.runtime.insert(architecture, digest).is_some()
                    {
                        self.wrong(node, "the runtime of this architecture is there twice");
                    }
                }
                "base" => {
                    if let Some(base) = self.base(node) {
                        let key = |b: &LockedBase| (b.spec.clone(), b.reference.clone(), b.platform.clone());
                        if lock.bases.iter().any(|other| key(other) == key(&base)) {
                            self.wrong(node, "this base is there twice for the platform");
                        }
                        lock.bases.push(base);
                    }
                }
                "apt" => self.selection(node, &mut lock),
                "user" | "group" | "retired-user" | "retired-group" => self.id(node, &mut lock),
                other => {
                    let other = diag::text::printable(other);
                    self.wrong(node, format!("a lock has no node `{other}`: it has {NODES}"));
                }
            }
        }
        let head = document.nodes().first();
        for (name, there) in
            [("compiler", compiler.is_some()), ("stdlib", stdlib.is_some()), ("epoch", epoch.is_some())]
        {
            if let Some(head) = head.filter(|_| !there && !self.out.has_errors()) {
                self.wrong(head, format!("the lock lacks `{name}`"));
            }
        }
        lock.compiler = compiler.unwrap_or_default();
        lock.stdlib = stdlib.unwrap_or_default();
        lock.epoch = epoch.unwrap_or_default();
        lock
    }

    fn once<T>(&mut self, node: &KdlNode, place: &mut Option<T>, value: Option<T>) {
        if place.is_some() {
            self.wrong(node, format!("`{}` is there twice", node.name().value()));
        }
        *place = value.or(place.take());
    }

    /// The arguments, when there are `count` of them and no properties but `properties`.
    pub(super) fn arguments<'n>(
        &mut self,
        node: &'n KdlNode,
        count: usize,
        properties: &[&str],
    ) -> Option<Vec<&'n KdlValue>> {
        let arguments: Vec<&KdlValue> =
            node.entries().iter().filter(|e| e.name().is_none()).map(|e| e.value()).collect();
        let mut names: Vec<&str> = node.entries().iter().filter_map(|e| e.name()).map(|n| n.value()).collect();
        names.sort_unstable();
        let mut wanted = properties.to_vec();
        wanted.sort_unstable();
        let typed = node.ty().is_some() || node.entries().iter().any(|e| e.ty().is_some());
        if arguments.len() != count || names != wanted || typed {
            let with = if wanted.is_empty() { String::new() } else { format!(" and {}", wanted.join(", ")) };
            self.wrong(node, format!("`{}` takes {count} value(s){with}", node.name().value()));
            return None;
        }
        Some(arguments)
    }

    pub(super) fn leaf(&mut self, node: &KdlNode) -> Option<()> {
        if node.children().is_some() {
            self.wrong(node, format!("`{}` has no children", node.name().value()));
            return None;
        }
        Some(())
    }

    fn one<'n>(&mut self, node: &'n KdlNode) -> Option<&'n KdlValue> {
        self.leaf(node)?;
        self.arguments(node, 1, &[])?.first().copied()
    }

    pub(super) fn one_text(&mut self, node: &KdlNode) -> Option<String> {
        let value = self.one(node)?;
        self.text(node, Some(value))
    }

    pub(super) fn text(&mut self, node: &KdlNode, value: Option<&KdlValue>) -> Option<String> {
        let text = value.and_then(KdlValue::as_string).filter(|text| !text.is_empty());
        if text.is_none() {
            self.wrong(node, format!("`{}` holds something else than text", node.name().value()));
        }
        text.map(str::to_owned)
    }

    fn one_digest(&mut self, node: &KdlNode) -> Option<String> {
        let value = self.one(node)?;
        self.digest(node, value)
    }

    pub(super) fn digest(&mut self, node: &KdlNode, value: &KdlValue) -> Option<String> {
        let text = self.text(node, Some(value))?;
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            self.wrong(
                node,
                format!("`{}` holds no digest: sha256: and 64 lower-case hexadecimal digits", node.name().value()),
            );
            return None;
        }
        Some(text)
    }

    fn one_number(&mut self, node: &KdlNode) -> Option<i64> {
        let value = self.one(node)?;
        let number = value.as_integer().and_then(|n| i64::try_from(n).ok()).filter(|n| *n >= 0);
        if number.is_none() {
            self.wrong(node, format!("`{}` holds no number of seconds since 1970", node.name().value()));
        }
        number
    }

    fn runtime(&mut self, node: &KdlNode) -> Option<(String, String)> {
        self.leaf(node)?;
        let arguments = self.arguments(node, 2, &[])?;
        let architecture = self.text(node, arguments.first().copied())?;
        Some((architecture, self.digest(node, arguments.get(1)?)?))
    }

    fn base(&mut self, node: &KdlNode) -> Option<LockedBase> {
        let arguments = self.arguments(node, 1, &["platform", "for"])?;
        let reference = self.text(node, arguments.first().copied())?;
        let platform = self.text(node, node.get("platform"))?;
        let spec = self.text(node, node.get("for"))?;
        let (mut digest, mut index, mut diff_id, mut created) = (None, None, None, None);
        for child in node.children().map(KdlDocument::nodes).unwrap_or_default() {
            match child.name().value() {
                "created" => {
                    let value = self.one_number(child);
                    self.once(child, &mut created, value);
                }
                name @ ("digest" | "index" | "diff-id") => {
                    let value = self.one_digest(child);
                    let place = match name {
                        "digest" => &mut digest,
                        "index" => &mut index,
                        _ => &mut diff_id,
                    };
                    self.once(child, place, value);
                }
                _ => self.wrong(child, "a base has digest, index, diff-id and created"),
            }
        }
        if digest.is_none() && !self.out.has_errors() {
            self.wrong(node, "the base has no digest");
        }
        Some(LockedBase { spec, reference, platform, digest: digest?, index, diff_id, created })
    }

    fn id(&mut self, node: &KdlNode, lock: &mut Lock) {
        if let Some(id) = self.read_id(node) {
            let all = lock.ids.iter().chain(&lock.retired);
            if all.filter(|other| other.kind == id.kind).any(|other| other.id == id.id) {
                self.wrong(node, format!("the id {} is there twice", id.id));
            }
            let list = if node.name().value().starts_with("retired-") { &mut lock.retired } else { &mut lock.ids };
            list.push(id);
        }
    }

    fn read_id(&mut self, node: &KdlNode) -> Option<LockedId> {
        self.leaf(node)?;
        let kind = if node.name().value().ends_with("user") { IdKind::User } else { IdKind::Group };
        let arguments = self.arguments(node, 1, &["id", "site"])?;
        let name = self.text(node, arguments.first().copied())?;
        let site = self.text(node, node.get("site"))?;
        let id = node.get("id").and_then(KdlValue::as_integer).and_then(|n| u32::try_from(n).ok());
        match id.filter(|id| IDS.contains(id)) {
            Some(id) => Some(LockedId { kind, name, site, id }),
            None => {
                self.wrong(node, format!("the id is not between {} and {}", IDS.start(), IDS.end()));
                None
            }
        }
    }
}
