//! What a header says of its package: names, versions, dependencies, files.

use super::header::{Header, HeaderError, tag};

/// Flags of a dependency (rpm, `include/rpm/rpmds.h`).
pub mod sense {
    #![allow(missing_docs)]
    pub const LESS: u64 = 1 << 1;
    pub const GREATER: u64 = 1 << 2;
    pub const EQUAL: u64 = 1 << 3;
    /// What says which versions.
    pub const COMPARE: u64 = LESS | GREATER | EQUAL;
    /// Of rpm itself: `rpmlib(…)`.
    pub const RPMLIB: u64 = 1 << 24;
    /// Found in the package's files, not written by hand.
    pub const FOUND: u64 = 1 << 14;
    /// Needed by a script: its interpreter, and what %pre, %post, %preun, %postun, %verifyscript, %pretrans,
    /// %posttrans, %preuntrans, %postuntrans name.
    pub const SCRIPTS: u64 = 0x3f80 | 1 << 5 | 1 << 20 | 1 << 21;
}

/// Attributes of a file (rpm, `include/rpm/rpmfiles.h`).
pub mod flag {
    #![allow(missing_docs)]
    pub const CONFIG: u64 = 1;
    pub const DOC: u64 = 1 << 1;
    pub const MISSING_OK: u64 = 1 << 3;
    pub const GHOST: u64 = 1 << 6;
    pub const LICENSE: u64 = 1 << 7;
    pub const README: u64 = 1 << 8;
    pub const ARTIFACT: u64 = 1 << 12;
}

/// States of a file.
pub mod state {
    #![allow(missing_docs)]
    pub const NORMAL: u8 = 0;
    pub const REPLACED: u8 = 1;
    pub const NOT_INSTALLED: u8 = 2;
    pub const NET_SHARED: u8 = 3;
    pub const WRONG_COLOR: u8 = 4;
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Epoch, where there is one.
    pub epoch: Option<u64>,
    /// Version.
    pub version: String,
    /// Release.
    pub release: String,
    /// `x86_64`, `noarch`; keys of signers have none.
    pub arch: Option<String>,
    /// `bash-5.2-1.src.rpm`
    pub source_rpm: Option<String>,
    /// Bytes of all its files.
    pub size: Option<u64>,
    /// What it needs.
    pub requires: Vec<Relation>,
    /// What it provides, its own name among them.
    pub provides: Vec<Relation>,
    /// Its files, in the header's order, which is that of their states.
    pub files: Vec<File>,
    /// How files are hashed: 1 MD5, 2 SHA-1, 8 SHA-256, 9 SHA-384, 10 SHA-512 (RFC 4880, 9.4).
    pub digest_algorithm: u64,
}

/// One name with the versions that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Package, provided name, absolute path, `rpmlib(…)`, or a rich dependency in parentheses.
    pub name: String,
    /// See [`sense`].
    pub sense: u64,
    /// `[epoch:]version[-release]`, or empty.
    pub evr: String,
}

impl Relation {
    /// Whether only scripts of the package need it.
    pub fn scripts_only(&self) -> bool {
        self.sense & sense::SCRIPTS != 0 && self.sense & sense::FOUND == 0
    }

    /// `>=`, where it says which versions.
    pub fn op(&self) -> Option<&'static str> {
        const ALL: [&str; 8] = ["", "<", ">", "<>", "=", "<=", ">=", "<=>"];
        let op = ALL.get(usize::try_from((self.sense & sense::COMPARE) >> 1).unwrap_or(0))?;
        (!op.is_empty() && !self.evr.is_empty()).then_some(op)
    }
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Absolute path.
    pub path: Vec<u8>,
    /// Type and permission bits, as stat(2) has them.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Of the content, lower hex; empty for what is not a file.
    pub digest: String,
    /// Target of a link.
    pub link: Vec<u8>,
    /// Owner's name.
    pub user: String,
    /// Group's name.
    pub group: String,
    /// See [`flag`].
    pub flags: u64,
    /// What `rpm -V` looks at: bit 0 digest, 1 size, 2 link, 3 user, 4 group, 5 mtime, 6 mode, 7 device, 8 capabilities.
    pub verify: u64,
    /// See [`state`].
    pub state: u8,
    /// Device number of a device.
    pub device: u64,
    /// Capabilities as text, `cap_net_raw=ep`.
    pub capabilities: String,
}

impl Package {
    /// Reads a header.
    ///
    /// # Errors
    /// A header that cannot be read, one without name or version, tags that do not fit together.
    pub fn read(header: &Header<'_>) -> Result<Self, HeaderError> {
        let needed = |tag| header.text(tag)?.ok_or(HeaderError::Missing(tag));
        let size = match header.number(tag::LONGSIZE)? {
            Some(size) => Some(size),
            None => header.number(tag::SIZE)?,
        };
        Ok(Self {
            name: needed(tag::NAME)?,
            epoch: header.number(tag::EPOCH)?,
            version: needed(tag::VERSION)?,
            release: needed(tag::RELEASE)?,
            arch: header.text(tag::ARCH)?,
            source_rpm: header.text(tag::SOURCERPM)?,
            size,
            requires: relations(header, tag::REQUIRENAME, tag::REQUIREFLAGS, tag::REQUIREVERSION)?,
            provides: relations(header, tag::PROVIDENAME, tag::PROVIDEFLAGS, tag::PROVIDEVERSION)?,
            files: files(header)?,
            digest_algorithm: header.number(tag::FILEDIGESTALGO)?.unwrap_or(1),
        })
    }

    /// `[epoch:]version-release`.
    pub fn evr(&self) -> String {
        let epoch = self.epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
        format!("{epoch}{}-{}", self.version, self.release)
    }

    /// Name of the source package.
    pub fn source(&self) -> Option<&str> {
        let name = self.source_rpm.as_deref()?.strip_suffix(".rpm")?;
        let (name, _) = name.rsplit_once('.')?;
        let (name, _) = name.rsplit_once('-')?;
        name.rsplit_once('-').map(|(name, _)| name)
    }
}

fn relations(header: &Header<'_>, names: u32, flags: u32, versions: u32) -> Result<Vec<Relation>, HeaderError> {
    let all = header.texts(names)?;
    let (senses, evrs) = (header.numbers(flags)?, header.texts(versions)?);
    // Some packages of old have names alone.
    let fits = |length: usize| length == 0 || length == all.len();
    if !fits(senses.len()) {
        return Err(HeaderError::Counts(names, flags));
    }
    if !fits(evrs.len()) {
        return Err(HeaderError::Counts(names, versions));
    }
    let mut evrs = evrs.into_iter();
    let mut senses = senses.into_iter();
    let relation = |name| {
        let (sense, evr) = (senses.next().unwrap_or_default(), evrs.next().unwrap_or_default());
        Relation { name, sense, evr }
    };
    Ok(all.into_iter().map(relation).collect())
}

/// Most bytes of all paths of a package together (64 MiB): short headers can spell long lists of paths.
const LONGEST_PATHS: usize = 64 << 20;

fn paths(header: &Header<'_>) -> Result<Vec<Vec<u8>>, HeaderError> {
    let names = header.strings(tag::BASENAMES)?;
    if names.is_empty() {
        return Ok(header.strings(tag::OLDFILENAMES)?.into_iter().map(<[u8]>::to_vec).collect());
    }
    let (directories, indexes) = (header.strings(tag::DIRNAMES)?, header.numbers(tag::DIRINDEXES)?);
    if indexes.len() != names.len() {
        return Err(HeaderError::Counts(tag::BASENAMES, tag::DIRINDEXES));
    }
    let mut left = LONGEST_PATHS;
    let path = |(name, index): (&[u8], u64)| {
        let directory = usize::try_from(index).ok().and_then(|at| directories.get(at));
        let directory = directory.ok_or(HeaderError::Counts(tag::DIRINDEXES, tag::DIRNAMES))?;
        left = left.checked_sub(directory.len() + name.len()).ok_or(HeaderError::Range(tag::DIRNAMES))?;
        Ok([*directory, name].concat())
    };
    names.into_iter().zip(indexes).map(path).collect()
}

fn files(header: &Header<'_>) -> Result<Vec<File>, HeaderError> {
    let paths = paths(header)?;
    let sizes = match header.has(tag::LONGFILESIZES) {
        true => header.numbers(tag::LONGFILESIZES)?,
        false => header.numbers(tag::FILESIZES)?,
    };
    let fits = |tag, length: usize| match length == 0 || length == paths.len() {
        true => Ok(()),
        false => Err(HeaderError::Counts(tag::BASENAMES, tag)),
    };
    fits(tag::FILESIZES, sizes.len())?;
    let numbers = |tag| {
        let all = header.numbers(tag)?;
        fits(tag, all.len())?;
        Ok::<_, HeaderError>(all)
    };
    let (modes, mtimes) = (numbers(tag::FILEMODES)?, numbers(tag::FILEMTIMES)?);
    let (flags, verify) = (numbers(tag::FILEFLAGS)?, numbers(tag::FILEVERIFYFLAGS)?);
    let (states, devices) = (numbers(tag::FILESTATES)?, numbers(tag::FILERDEVS)?);
    let texts = |tag| {
        let all = header.texts(tag)?;
        fits(tag, all.len())?;
        Ok::<_, HeaderError>(all)
    };
    let (digests, users) = (texts(tag::FILEDIGESTS)?, texts(tag::FILEUSERNAME)?);
    let (groups, capabilities) = (texts(tag::FILEGROUPNAME)?, texts(tag::FILECAPS)?);
    let links = header.strings(tag::FILELINKTOS)?;
    fits(tag::FILELINKTOS, links.len())?;
    let number = |all: &[u64], at: usize| all.get(at).copied().unwrap_or_default();
    let text = |all: &[String], at: usize| all.get(at).cloned().unwrap_or_default();
    let file = |(at, path)| File {
        path,
        mode: u32::try_from(number(&modes, at)).unwrap_or_default(),
        size: number(&sizes, at),
        mtime: number(&mtimes, at),
        digest: text(&digests, at).to_ascii_lowercase(),
        link: links.get(at).map(|link| link.to_vec()).unwrap_or_default(),
        user: text(&users, at),
        group: text(&groups, at),
        flags: number(&flags, at),
        verify: verify.get(at).copied().unwrap_or(u64::MAX),
        state: u8::try_from(number(&states, at)).unwrap_or_default(),
        device: number(&devices, at),
        capabilities: text(&capabilities, at),
    };
    Ok(paths.into_iter().enumerate().map(file).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::header::tests::build;
    use super::*;

    fn package(more: &[(u32, u32, u32, &[u8])]) -> Result<Package, HeaderError> {
        let mut all: Vec<(u32, u32, u32, &[u8])> =
            vec![(tag::NAME, 6, 1, b"bash\0"), (tag::VERSION, 6, 1, b"5.2\0"), (tag::RELEASE, 6, 1, b"1\0")];
        all.extend(more);
        Package::read(&Header::parse(&build(&all)).unwrap())
    }

    #[test]
    fn files_and_relations_are_put_together() {
        let one = package(&[
            (tag::BASENAMES, 8, 2, b"bash\0x\0"),
            (tag::DIRNAMES, 8, 2, b"/etc/\0/usr/bin/\0"),
            (tag::DIRINDEXES, 4, 2, &[0, 0, 0, 1, 0, 0, 0, 0]),
            (tag::FILEMODES, 3, 2, &[0x81, 0xed, 0x41, 0xed]),
            (tag::REQUIRENAME, 8, 2, b"libc.so.6\0rpmlib(X)\0"),
            (tag::REQUIREFLAGS, 4, 2, &[0, 0, 0, 12, 1, 0, 0, 10]),
            (tag::REQUIREVERSION, 8, 2, b"2.1\x004\0"),
            (tag::SOURCERPM, 6, 1, b"bash-x-5.2-1.src.rpm\0"),
            (tag::EPOCH, 4, 1, &[0, 0, 0, 2]),
        ])
        .unwrap();
        assert_eq!(one.files.iter().map(|f| f.path.as_slice()).collect::<Vec<_>>(), [&b"/usr/bin/bash"[..], b"/etc/x"]);
        assert_eq!((one.files[0].mode, one.files[0].state), (0o100755, state::NORMAL));
        assert_eq!((one.requires[0].op(), one.requires[1].op()), (Some(">="), Some("<=")));
        assert!(one.requires[1].sense & sense::RPMLIB != 0);
        assert_eq!((one.evr().as_str(), one.source()), ("2:5.2-1", Some("bash-x")));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let names = (tag::BASENAMES, 8, 1, &b"a\0"[..]);
        assert_eq!(package(&[names]).unwrap_err(), HeaderError::Counts(tag::BASENAMES, tag::DIRINDEXES));
        let far = [names, (tag::DIRINDEXES, 4, 1, &[0, 0, 0, 1])];
        assert_eq!(package(&far).unwrap_err(), HeaderError::Counts(tag::DIRINDEXES, tag::DIRNAMES));
        let flags = [(tag::REQUIRENAME, 8, 1, &b"a\0"[..]), (tag::REQUIREFLAGS, 4, 2, &[0; 8])];
        assert_eq!(package(&flags).unwrap_err(), HeaderError::Counts(tag::REQUIRENAME, tag::REQUIREFLAGS));
        let nameless = build(&[(tag::VERSION, 6, 1, b"1\0")]);
        let nameless = Package::read(&Header::parse(&nameless).unwrap());
        assert_eq!(nameless.unwrap_err(), HeaderError::Missing(tag::NAME));
    }
}
