//! Round trips through our own writer, and random damage.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::tests::{read_all, reseal};
use super::*;

fn names() -> impl Strategy<Value = Vec<u8>> {
    let part = proptest::collection::vec(1u8..=255, 1..120);
    proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join(&b'/'))
}

fn entries() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let kind = prop_oneof![
        Just(Kind::File),
        Just(Kind::Directory),
        Just(Kind::Symlink),
        Just(Kind::Hardlink),
        Just(Kind::CharDevice),
        Just(Kind::Fifo),
    ];
    let key = proptest::collection::vec(prop_oneof![1u8..b'=', b'>'..=255], 1..20);
    let value = proptest::collection::vec(any::<u8>(), 1..40);
    let xattrs = proptest::collection::btree_map(key, value, 0..3);
    let ids = (0..u32::MAX, 0..u32::MAX, 0u32..0o10000, any::<i64>());
    let content = proptest::collection::vec(any::<u8>(), 0..1500);
    (kind, names(), names(), xattrs, ids, content, (0u32..2_000_000, 0u32..2_000_000)).prop_map(
        |(kind, path, link, xattrs, (uid, gid, mode, mtime), content, device)| {
            let mut entry = Entry { xattrs, uid, gid, mode, mtime, ..Entry::new(path, kind) };
            while kind == Kind::File && entry.path.ends_with(b"/") {
                entry.path.push(b'f');
            }
            if kind == Kind::Directory && !entry.path.ends_with(b"/") {
                entry.path.push(b'/');
            }
            if matches!(kind, Kind::Symlink | Kind::Hardlink) {
                entry.link = link;
            }
            if kind == Kind::CharDevice {
                entry.device = device;
            }
            let content = if kind == Kind::File { content } else { Vec::new() };
            entry.size = content.len() as u64;
            (entry, content)
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(list in proptest::collection::vec(entries(), 0..6)) {
        let mut writer = Writer::new(Vec::new());
        for (entry, content) in &list {
            writer.append(entry, &mut &content[..]).unwrap();
        }
        let archive = writer.finish().unwrap();
        prop_assert_eq!(archive.len() % BLOCK, 0);
        prop_assert_eq!(read_all(&archive).unwrap(), list);
    }

    #[test]
    fn bytes_at_random_never_panic(
        (entry, content) in entries(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        fix in any::<bool>(),
    ) {
        let mut writer = Writer::new(Vec::new());
        writer.append(&entry, &mut &content[..]).unwrap();
        let mut archive = writer.finish().unwrap();
        let at = at.index(archive.len());
        archive[at] = byte;
        if fix {
            let start = at / BLOCK * BLOCK;
            reseal(&mut archive[start..start + BLOCK]);
        }
        let _ = read_all(&archive);
    }
}
