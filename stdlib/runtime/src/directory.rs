//! `k8or directory PATH MODE`: makes a directory of a claim that the serving container mounts
//! by subPath. The kubelet would make a missing one for root; made here it is the pod user's.

use crate::failure::{Failure, status};
use crate::migrate::trouble;
use crate::say;
use crate::sys::fs::{self, Fd, Kind};
use crate::sys::{Errno, process};
use crate::text::shown;
use alloc::format;

/// Makes `path`, whose parent must be there, and gives it the mode (three or four octal digits).
pub fn make(path: &[u8], mode: &[u8]) -> Result<u8, Failure> {
    let mode = octal(mode).ok_or_else(|| {
        Failure::new(status::USAGE, format!("directory: \"{}\" is no mode such as 0750", shown(mode)))
    })?;
    one(mode, path).map(|()| 0)
}

fn octal(text: &[u8]) -> Option<u32> {
    if !matches!(text.len(), 3 | 4) {
        return None;
    }
    let value = text.iter().try_fold(0u32, |value, digit| match digit {
        b'0'..=b'7' => Some(value * 8 + u32::from(digit - b'0')),
        _ => None,
    })?;
    (value <= 0o1777).then_some(value)
}

fn one(mode: u32, path: &[u8]) -> Result<(), Failure> {
    match fs::make_directory_at(&Fd::CWD, path) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(trouble(path, "cannot be made", error)),
    }
    let stat = fs::stat_at(&Fd::CWD, path).map_err(|error| trouble(path, "cannot be read", error))?;
    if stat.kind != Kind::Directory {
        return Err(Failure::new(
            status::REFUSED,
            format!("{}: is there, but is no directory: something else lives on this claim", shown(path)),
        ));
    }
    // The claim's fsGroup puts setgid on what is made in it: that bit is left to the cluster.
    if stat.mode & 0o1777 == mode {
        return Ok(());
    }
    let (uid, _) = process::effective_ids();
    if stat.uid != uid {
        return Err(Failure::new(
            status::REFUSED,
            format!(
                "{}: belongs to user {} and has mode {:04o}; user {uid} cannot give it mode {mode:04o}\n\
                 it was made by another user: change its owner once, or use a new claim",
                shown(path),
                stat.uid,
                stat.mode
            ),
        ));
    }
    fs::open_directory_at(&Fd::CWD, path)
        .and_then(|dir| {
            fs::set_mode(&dir, mode | stat.mode & 0o2000)?;
            fs::sync(&dir)
        })
        .map_err(|error| trouble(path, "its mode cannot be set", error))?;
    say(&format!("{}: mode {mode:04o}, user {uid}", shown(path)));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::test_directory::TestDirectory;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_directory_is_made_once_and_its_mode_set_right() {
        let claim = TestDirectory::new("directory");
        let path = [claim.bytes(), b"/data".to_vec()].concat();
        let at = claim.path().join("data");
        let mode = || std::fs::metadata(&at).unwrap().mode() & 0o7777;
        assert_eq!(make(&path, b"0700"), Ok(0));
        assert_eq!(mode(), 0o700);
        std::fs::write(at.join("kept"), "x").unwrap();
        std::fs::set_permissions(&at, PermissionsExt::from_mode(0o2770)).unwrap();
        assert_eq!(make(&path, b"750"), Ok(0));
        assert_eq!(mode(), 0o2750);
        assert!(at.join("kept").exists());
    }

    #[test]
    fn what_is_no_directory_or_no_mode_is_refused() {
        let claim = TestDirectory::new("directory");
        let path = [claim.bytes(), b"/data".to_vec()].concat();
        std::os::unix::fs::symlink("/", claim.path().join("data")).unwrap();
        assert_eq!(make(&path, b"0700").unwrap_err().status, status::REFUSED);
        for mode in ["", "7", "0800", "4755", "77777", "-700"] {
            assert_eq!(make(&path, mode.as_bytes()).unwrap_err().status, status::USAGE, "{mode}");
        }
    }
}
