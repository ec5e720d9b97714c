//! Whole small functions, assembled by hand into a file of one segment.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use plan::platform::Arch;

use crate::derive::summarise::summarise;
use crate::derive::summary::{Edge, Summary, Why};

const BASE: u64 = 0x40_0000;

/// A static program whose code begins at [`BASE`] + 120, without sections.
fn program(arch: Arch, code: &[u8]) -> Summary {
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    file.extend(if arch == Arch::X86_64 { [62, 0] } else { [183, 0] });
    file.extend([1, 0, 0, 0]);
    for word in [BASE + 120, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    let size = 120 + code.len() as u64;
    for word in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    summarise(&file, arch).unwrap()
}

fn numbers(summary: &Summary) -> Vec<u32> {
    let sites = summary.units.iter().flat_map(|unit| &unit.sites);
    let mut all: Vec<u32> = sites.flat_map(|site| site.numbers.clone()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn open(summary: &Summary) -> Vec<Why> {
    summary.units.iter().flat_map(|unit| &unit.open).map(|open| open.why).collect()
}

#[test]
fn constants_through_registers_branches_and_the_stack() {
    let code = [
        &[0xb8, 39, 0, 0, 0][..],  // mov eax, 39
        &[0x85, 0xff, 0x74, 0x05], // test edi, edi; jz +5
        &[0xb8, 102, 0, 0, 0],     // mov eax, 102
        &[0x50, 0x31, 0xc0, 0x58], // push rax; xor eax, eax; pop rax
        &[0x0f, 0x05, 0xc3],       // syscall; ret
    ]
    .concat();
    let found = program(Arch::X86_64, &code);
    assert_eq!((numbers(&found), open(&found)), (vec![39, 102], vec![]));
}

#[test]
fn a_part_of_a_register_keeps_the_rest() {
    // xor eax, eax; mov al, 56; syscall; ret
    let found = program(Arch::X86_64, &[0x31, 0xc0, 0xb0, 56, 0x0f, 0x05, 0xc3]);
    assert_eq!((numbers(&found), open(&found)), (vec![56], vec![]));
}

#[test]
fn a_wrapper_gets_its_number_from_its_caller() {
    let code = [
        &[0xbf, 57, 0, 0, 0][..],        // mov edi, 57
        &[0xe8, 1, 0, 0, 0],             // call wrapper
        &[0xc3],                         // ret
        &[0x89, 0xf8, 0x0f, 0x05, 0xc3], // wrapper: mov eax, edi; syscall; ret
    ]
    .concat();
    let found = program(Arch::X86_64, &code);
    assert_eq!((numbers(&found), open(&found)), (vec![57], vec![]));
    // Without sections the headers count as code too: they are the first unit.
    assert_eq!(found.units.len(), 3);
    assert_eq!(found.units[1].edges, [Edge::Go(2)]);
    // Charged to who asks for it.
    assert!(found.units[1].sites.len() == 1 && found.units[2].sites.is_empty());
}

#[test]
fn what_is_computed_is_open() {
    // call next; next: syscall; ret (a return value as a number)
    let code = [0xe8, 3, 0, 0, 0, 0x0f, 0x05, 0xc3, 0xc3];
    let found = program(Arch::X86_64, &code);
    assert_eq!((numbers(&found), open(&found)), (vec![], vec![Why::Computed]));
    // int 0x80 is never resolved
    let found = program(Arch::X86_64, &[0xb8, 1, 0, 0, 0, 0xcd, 0x80, 0xc3]);
    assert_eq!(open(&found), [Why::Foreign]);
}

#[test]
fn aarch64_does_the_same() {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    // mov x8, #172; svc #0; ret
    let found = program(Arch::Aarch64, &words(&[0xd280_1588, 0xd400_0001, 0xd65f_03c0]));
    assert_eq!((numbers(&found), open(&found)), (vec![172], vec![]));
    // mov w0, #57; bl wrapper; ret; wrapper: mov w8, w0; svc #0; ret
    let code = words(&[0x5280_0720, 0x9400_0002, 0xd65f_03c0, 0x2a00_03e8, 0xd400_0001, 0xd65f_03c0]);
    let found = program(Arch::Aarch64, &code);
    assert_eq!((numbers(&found), open(&found)), (vec![57], vec![]));
    // str x0, [sp, #-16]!; mov x8, #1; ldr x8, [sp], #16; svc; ret: what came in is wanted of the caller
    let code = words(&[0xf81f_0fe0, 0xd280_0028, 0xf841_07e8, 0xd400_0001, 0xd65f_03c0]);
    let found = program(Arch::Aarch64, &code);
    assert_eq!((numbers(&found), found.units[1].wants.len()), (vec![], 1));
}

#[test]
fn a_summary_survives_being_kept() {
    let code = [0xbf, 57, 0, 0, 0, 0xe8, 1, 0, 0, 0, 0xc3, 0x89, 0xf8, 0x0f, 0x05, 0xc3];
    let found = program(Arch::X86_64, &code);
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), found);
    assert!(serde_json::from_str::<Summary>(&text.replace("\"g\":[16]", "\"g\":[23]")).is_err());
}
