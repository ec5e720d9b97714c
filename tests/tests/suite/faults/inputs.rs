//! Specs that are not there and bases that are broken: good code, place, and what to do.

use std::io::Write as _;

use k8orc_tests::fixture::{Arch, Desk, HELLO, base_tar};
use k8orc_tests::peers::{self, Need};

use super::{k8orc, leftovers, run};

#[test]
fn a_spec_that_is_not_there() {
    let desk = Desk::new(HELLO);
    std::fs::remove_file(desk.path("spec.kdl")).expect("ours");
    let Some(mut build) = k8orc(&desk, "build") else { return };
    let failed = run(&mut build).with_code(1);
    assert!(failed.err().contains("spec.kdl") && failed.err().contains("k8orc init"), "{failed}");
    std::fs::create_dir(desk.path("spec.kdl")).expect("ours");
    let failed = run(&mut k8orc(&desk, "build").expect("it was there")).with_code(1);
    assert!(failed.err().contains("spec.kdl") && failed.err().contains("directory"), "{failed}");
    let mut elsewhere = peers::k8orc(&desk.path("home")).expect("it was there");
    let failed = run(elsewhere.current_dir(desk.path("")).args(["build", "no/such/spec.kdl"])).with_code(1);
    assert!(failed.err().contains("no/such/spec.kdl"), "{failed}");
    assert!(!desk.path("out").exists() && leftovers(&desk).is_empty());
}

#[test]
fn a_base_that_is_broken() {
    let desk = Desk::new(HELLO);
    let Some(_) = k8orc(&desk, "build") else { return };
    let whole = base_tar(Arch::Amd64);
    let gzip = gzip(&whole);
    let mut wrong = whole.clone();
    // The checksum of the second header.
    wrong[512 + 148..512 + 154].copy_from_slice(b"000000");
    let cases: [(&str, Vec<u8>, &str, &[&str]); 8] = [
        ("nothing", Vec::new(), "E0413", &["base.tar", "empty"]),
        ("garbage", b"this is no archive\n".repeat(100), "E0413", &["base.tar"]),
        ("cut in a header", whole[..512 * 3 + 100].to_vec(), "E05", &["tar:base.tar"]),
        ("cut in a file", whole[..whole.len() / 2].to_vec(), "E05", &["tar:base.tar"]),
        ("a wrong checksum", wrong, "E05", &["tar:base.tar"]),
        ("a cut gzip", gzip[..gzip.len() / 2].to_vec(), "E0413", &["base.tar", "cut off"]),
        ("a gzip of garbage", self::gzip(b"no archive"), "E05", &["tar:base.tar"]),
        ("xz", b"\xfd7zXZ\0 and so on".to_vec(), "E0413", &["base.tar", "xz"]),
    ];
    for (what, bytes, code, words) in cases {
        desk.write("base.tar", &bytes);
        let failed = run(&mut k8orc(&desk, "build").expect("it was there")).with_code(1);
        let said = failed.err();
        assert!(said.contains(code), "{what}: {code} is wanted\n{failed}");
        assert!(words.iter().all(|word| said.contains(word)), "{what}: {words:?} are wanted\n{failed}");
        assert!(said.contains("spec.kdl:3"), "{what}: the line of the spec is shown\n{failed}");
        assert!(!desk.path("out/hello").exists() && leftovers(&desk).is_empty(), "{what}");
        assert!(!desk.path("k8orc.lock").exists(), "{what}: nothing was pinned");
    }
    std::fs::remove_file(desk.path("base.tar")).expect("ours");
    let failed = run(&mut k8orc(&desk, "build").expect("it was there")).with_code(1);
    assert!(failed.err().contains("there is no `base.tar`") && failed.err().contains("mmdebstrap"), "{failed}");
    // The same whole, compressed: nothing of the failures stays.
    desk.write("base.tar", &gzip);
    run(&mut k8orc(&desk, "build").expect("it was there")).ok();
}

/// By stored blocks (RFC 1951, 3.2.4): no encoder is needed.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let chunks: Vec<&[u8]> = bytes.chunks(0xffff).collect();
    for (n, chunk) in chunks.iter().enumerate() {
        let length = u16::try_from(chunk.len()).expect("a chunk");
        out.push(u8::from(n + 1 == chunks.len()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    out.write_all(&(!crc).to_le_bytes()).expect("a vector");
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

/// The base is changed after it was pinned.
#[test]
fn a_base_that_changed() {
    let desk = Desk::new(HELLO);
    let Some(mut build) = k8orc(&desk, "build") else { return };
    run(&mut build).ok();
    desk.write("base.tar", &base_tar(Arch::Arm64));
    let failed = run(&mut k8orc(&desk, "build").expect("it was there")).with_code(1);
    let said = failed.err();
    assert!(said.contains("E0409") && said.contains("pinned:") && said.contains("found:"), "{failed}");
    assert!(said.contains("k8orc lock"), "the verb that there is: {failed}");
}

#[test]
fn a_real_base_cut_off() {
    let Some(base) = Need::path("K8ORC_TEST_BOOKWORM") else { return };
    let desk = Desk::new(HELLO);
    let Some(mut build) = k8orc(&desk, "build") else { return };
    let mut head = Vec::new();
    let file = std::fs::File::open(base).expect("readable");
    std::io::Read::read_to_end(&mut std::io::Read::take(file, 20_000_000), &mut head).expect("readable");
    desk.write("base.tar", &head);
    let failed = run(&mut build).with_code(1);
    assert!(failed.err().contains("E05") && failed.err().contains("tar:base.tar"), "{failed}");
    assert!(leftovers(&desk).is_empty());
}
