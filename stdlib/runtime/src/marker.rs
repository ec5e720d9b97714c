//! The completion marker: the one file that says "this tree is whole, and this is its digest".
//!
//! The kubelet makes a missing `subPath` as an empty directory. Without the marker an empty or
//! half-filled claim would be served as if it were the tree.

use crate::failure::{Failure, status};
use crate::sealed::Generation;
use crate::sha256::Digest;
use crate::sys::fs::{self, Fd};
use crate::sys::{Errno, Result as SysResult};
use crate::text::shown;
use alloc::format;
use alloc::string::String;

/// Its name, in the root of the tree.
pub const MARKER: &str = ".k8or-generation";

/// Its whole content for a digest.
pub fn content(digest: &Digest) -> String {
    format!("k8or-generation 1 sha256:{}\n", digest.hex())
}

/// The digest that the marker in `root` names; `None` when there is no marker or it is not whole.
pub fn read(root: &Fd) -> SysResult<Option<Digest>> {
    let bytes = match fs::open_at(root, MARKER.as_bytes()).and_then(|file| fs::read_all(&file, 512)) {
        Err(Errno::ENOENT | Errno::E2BIG | Errno::ELOOP | Errno::EISDIR) => return Ok(None),
        other => other?,
    };
    let hex = bytes.strip_prefix(b"k8or-generation 1 sha256:").and_then(|rest| rest.strip_suffix(b"\n"));
    Ok(hex.and_then(Digest::from_hex))
}

/// Refuses to go on when the tree at a sealed mount is not the one that the image was sealed with.
pub fn check(generation: &Generation) -> Result<(), Failure> {
    let mount = shown(&generation.mount);
    let wanted = format!("sha256-{}", generation.digest.hex());
    let found = fs::open_directory_path(&generation.mount).and_then(|root| read(&root)).map_err(|error| {
        Failure::new(
            status::REFUSED,
            format!(
                "{mount}: the completion marker {MARKER} cannot be read: {error}\n\
                     the pod's user must be able to read the tree: check the claim's owner and mode"
            ),
        )
    })?;
    match found {
        Some(digest) if digest == generation.digest => Ok(()),
        None => Err(Failure::new(
            status::REFUSED,
            format!(
                "{mount}: this tree is not complete: it has no completion marker ({MARKER})\n\
                 most likely the claim holds no directory {wanted}: Kubernetes makes a missing subPath as an empty directory\n\
                 fill it first: the init container (or job) runs `k8or migrate {mount} CLAIM` on the same claim with this same image; read its log"
            ),
        )),
        Some(other) => Err(Failure::new(
            status::REFUSED,
            format!(
                "{mount}: this tree is another generation: it is sha256-{}, this image was sealed with {wanted}\n\
                 the manifests and the image are not of one build: apply the manifests that were built with this image",
                other.hex()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::sha256::sha256;
    use crate::test_directory::TestDirectory;

    #[test]
    fn only_the_exact_marker_of_the_sealed_digest_is_accepted() {
        let root = TestDirectory::new("marker");
        let digest = sha256(b"tree");
        let generation = Generation { mount: root.bytes(), digest };
        let put = |text: &str| std::fs::write(root.path().join(MARKER), text).unwrap();
        let missing = check(&generation).unwrap_err();
        assert_eq!(missing.status, status::REFUSED);
        assert!(missing.message.contains("missing subPath"), "{}", missing.message);
        put(&content(&digest));
        assert_eq!(check(&generation), Ok(()));
        put(&content(&digest)[..60]);
        assert!(check(&generation).unwrap_err().message.contains("not complete"));
        put(&content(&sha256(b"other")));
        assert!(check(&generation).unwrap_err().message.contains("another generation"));
    }
}
