//! Paths inside an image: absolute, normalised bytes.

use std::fmt;

use diag::text::printable_bytes;

/// An absolute path in an image: `/`, `/usr/bin/perl`. Bytes, not necessarily UTF-8; no `.`, `..`, empty
/// component, NUL or trailing slash. Ordered by bytes, so a directory comes before what it holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImagePath(Box<[u8]>);

/// Why bytes are not such a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// A NUL byte.
    Nul,
    /// A `..` component.
    DotDot,
    /// More than 4,096 bytes (PATH_MAX) or a component of more than 255 (NAME_MAX).
    TooLong,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathError::Nul => "the path holds a NUL byte",
            PathError::DotDot => "the path holds `..`",
            PathError::TooLong => "the path is longer than Linux allows (4096 bytes, 255 a component)",
        })
    }
}

impl ImagePath {
    /// `/`.
    pub fn root() -> Self {
        Self(Box::from(&b"/"[..]))
    }

    /// Normalises: leading `/` added, `.` and empty components dropped; `..` is refused, never resolved.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        let mut out = Vec::with_capacity(bytes.len() + 1);
        for part in bytes.split(|b| *b == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err(PathError::DotDot),
                _ if part.contains(&0) => return Err(PathError::Nul),
                _ if part.len() > 255 => return Err(PathError::TooLong),
                _ => {
                    out.push(b'/');
                    out.extend_from_slice(part);
                }
            }
        }
        if out.len() > 4096 {
            return Err(PathError::TooLong);
        }
        if out.is_empty() {
            out.push(b'/');
        }
        Ok(Self(out.into()))
    }

    /// The bytes, with the leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes without the leading slash; empty for the root.
    pub fn relative(&self) -> &[u8] {
        self.0.get(1..).unwrap_or(&[])
    }

    /// As text, where it is UTF-8.
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether it is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The directory that holds it; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let cut = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(if cut == 0 { Self::root() } else { Self(self.0[..cut].into()) })
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        let cut = self.0.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
        &self.0[cut..]
    }

    /// This path with one more component (or several, normalised).
    pub fn join(&self, more: &[u8]) -> Result<Self, PathError> {
        let mut bytes = self.0.to_vec();
        bytes.push(b'/');
        bytes.extend_from_slice(more);
        Self::parse(&bytes)
    }

    /// Whether it is `dir` or lies below it.
    pub fn is_within(&self, dir: &ImagePath) -> bool {
        dir.is_root() || self == dir || (self.0.starts_with(&dir.0) && self.0.get(dir.0.len()) == Some(&b'/'))
    }

    /// Components from the root: `usr`, `bin`, `perl`.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.relative().split(|b| *b == b'/').filter(|part| !part.is_empty())
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable_bytes(&self.0))
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn normalises_and_refuses() {
        let path = |s: &str| ImagePath::parse(s.as_bytes());
        assert_eq!(path("./usr//bin/").unwrap().as_bytes(), b"/usr/bin");
        assert_eq!(path("").unwrap(), ImagePath::root());
        assert_eq!(path("usr/../etc"), Err(PathError::DotDot));
        assert_eq!(path("/a\0b"), Err(PathError::Nul));
        assert_eq!(path("/usr/bin/perl").unwrap().parent(), Some(path("/usr/bin").unwrap()));
        assert_eq!(path("/usr").unwrap().parent(), Some(ImagePath::root()));
        assert!(path("/usr/bin").unwrap().is_within(&path("/usr").unwrap()));
        assert!(!path("/usrx").unwrap().is_within(&path("/usr").unwrap()));
    }
}
