//! How files of the result differ from what apk's and rpm's databases say of them: what the verify commands will print.
//!
//! Everything else that is in a package is as the package brought it, so only this is looked at: what we changed, and
//! what can be told from the index without reading the file. Contents are read where configuration files are, as for
//! dpkg: other files of packages are not changed by hand in a base that is in order.

use std::collections::BTreeMap;

use diag::{Diagnostic, Diagnostics};
use md5::{Digest as _, Md5};
use plan::facts::{Contents, Facts, Family};
use plan::kept::{AccountFate, Content, Deviation, Entry, Kept};
use plan::path::ImagePath;
use plan::tree::{Node, NodeKind};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::{differences_apk, differences_rpm};

/// Largest file whose content is compared, bytes (16 MiB).
const LONGEST: u64 = 16 << 20;

/// The deviations of a finished result.
pub(super) fn differences(
    kept: &Kept,
    facts: &Facts,
    contents: &dyn Contents,
    out: &mut Diagnostics,
) -> Vec<Deviation> {
    let view = View { kept, facts, contents };
    let found = match facts.packages.family {
        Family::Apk => differences_apk::differences(&view),
        Family::Rpm => differences_rpm::differences(&view),
        Family::Dpkg | Family::None => return Vec::new(),
    };
    match found {
        Ok(found) => found,
        Err(error) => {
            out.push(error);
            Vec::new()
        }
    }
}

/// How files are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// By OpenPGP's number (RFC 4880, 9.4), as rpm has it.
    pub fn of_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Md5,
            2 => Self::Sha1,
            8 => Self::Sha256,
            9 => Self::Sha384,
            10 => Self::Sha512,
            11 => Self::Sha224,
            _ => return None,
        })
    }

    /// The hash of bytes.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => Md5::digest(bytes).to_vec(),
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha224 => Sha224::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// The result, looked at by the paths of packages.
pub(super) struct View<'a> {
    pub kept: &'a Kept,
    pub facts: &'a Facts,
    contents: &'a dyn Contents,
}

impl<'a> View<'a> {
    /// The entry of a listed path; directories on the way may be links.
    pub fn entry(&self, path: &ImagePath) -> Option<(ImagePath, &'a Entry)> {
        let parent = path.parent()?;
        // What the spec adds may lie where the base has nothing.
        let real = self.facts.tree.resolve(&parent).map_or(parent, |(real, _)| real).join(path.name()).ok()?;
        let entry = self.kept.entries.get(&real)?;
        Some((real, entry))
    }

    /// Where a link of the result ends, if that is there.
    pub fn target(&self, path: &ImagePath) -> Option<&'a Node> {
        let (end, _) = self.facts.tree.resolve(path).ok()?;
        self.kept.entries.get(&end).map(|entry| &entry.node)
    }

    /// Whether a file's content is another than `recorded`, a hash or the beginning of one; `look`: read it even where
    /// nothing of ours changed it.
    pub fn differs(
        &self,
        path: &ImagePath,
        entry: &Entry,
        algorithm: Algorithm,
        recorded: &[u8],
        look: bool,
    ) -> Result<bool, Diagnostic> {
        let NodeKind::File(file) = &entry.node.kind else { return Ok(true) };
        if algorithm == Algorithm::Sha256 {
            return Ok(!file.sha256.starts_with(recorded));
        }
        let base = self.facts.tree.get(path).map(|node| &node.kind);
        let same = matches!(base, Some(NodeKind::File(old)) if old.sha256 == file.sha256);
        match &entry.content {
            Content::Bytes(bytes) => Ok(algorithm.digest(bytes) != recorded),
            Content::Base | Content::Source { .. } if same && look && file.size <= LONGEST => {
                let Some(NodeKind::File(file)) = base else { return Ok(false) };
                let bytes =
                    self.contents.read(file, LONGEST).map_err(|error| error.note(format!("the file is {path}")))?;
                Ok(algorithm.digest(&bytes) != recorded)
            }
            _ => Ok(!same),
        }
    }

    /// Why something is not as the package brought it.
    pub fn why(&self, path: &ImagePath, entry: &Entry) -> String {
        let Some(base) = self.facts.tree.get(path) else { return entry.reason.in_words() };
        let ours = entry.content != Content::Base;
        if ours {
            return entry.reason.in_words();
        }
        if self.kept.setuid.iter().any(|(at, _, stripped)| *stripped && at == path) {
            return "files setuid \"strip\"".into();
        }
        match base == &entry.node {
            true => "the base has changed it already".into(),
            false => entry.reason.in_words(),
        }
    }

    /// Ids by name: users, then groups.
    pub fn ids(&self) -> (BTreeMap<&'a str, u32>, BTreeMap<&'a str, u32>) {
        let users = self.kept.users.iter().filter(|user| user.fate != AccountFate::Removed);
        let groups = self.kept.groups.iter().filter(|group| group.fate != AccountFate::Removed);
        (
            users.map(|user| (user.account.name.as_str(), user.account.uid)).collect(),
            groups.map(|group| (group.account.name.as_str(), group.account.gid)).collect(),
        )
    }
}
