//! x86-64, decoded by iced-x86.

use formats::elf::image::Image;
use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};

use super::{Flow, Insn, Setting, Touch};

pub(super) fn sweep(setting: &Setting, bytes: &[u8], start: u64, visit: &mut dyn FnMut(&Insn) -> bool) {
    let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
    let mut raw = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut raw);
        if !visit(&plain(setting, &raw)) {
            return;
        }
    }
}

pub(crate) fn plain(setting: &Setting, raw: &Instruction) -> Insn {
    let mut insn = Insn {
        at: raw.ip(),
        size: (raw.len() as u64).max(1),
        flow: flow(raw),
        touches: [Touch::Nothing; 3],
        padding: false,
        absurd: false,
    };
    match raw.mnemonic() {
        Mnemonic::Nop | Mnemonic::Int3 | Mnemonic::Fnop => insn.padding = true,
        Mnemonic::Xchg | Mnemonic::Lea | Mnemonic::Mov if nothing(raw) => insn.padding = true,
        // Zeroes decode to this.
        Mnemonic::Add if matches!(raw.code(), Code::Add_rm8_r8) && raw.op0_kind() == OpKind::Memory => {
            insn.absurd = raw.memory_base() == Register::RAX && raw.op1_register() == Register::AL && raw.len() == 2;
        }
        Mnemonic::In
        | Mnemonic::Out
        | Mnemonic::Insb
        | Mnemonic::Insd
        | Mnemonic::Outsb
        | Mnemonic::Outsd
        | Mnemonic::Hlt
        | Mnemonic::Cli
        | Mnemonic::Sti
        | Mnemonic::Iretd
        | Mnemonic::Iretq
        | Mnemonic::Iret
        | Mnemonic::Enter
        | Mnemonic::Retf => insn.absurd = true,
        _ => {}
    }
    if raw.is_invalid() {
        insn.absurd = true;
        return insn;
    }
    if !insn.padding {
        touches(setting, raw, &mut insn.touches);
    }
    insn
}

/// `xchg ax, ax`, `lea rsi, [rsi]`, `mov edi, edi`: filling.
fn nothing(raw: &Instruction) -> bool {
    match raw.mnemonic() {
        Mnemonic::Lea => {
            raw.memory_index() == Register::None
                && raw.memory_displacement64() == 0
                && raw.memory_base() == raw.op0_register()
        }
        Mnemonic::Xchg => {
            raw.op0_kind() == OpKind::Register
                && raw.op0_register() == Register::AX
                && raw.op1_kind() == OpKind::Register
                && raw.op1_register() == Register::AX
        }
        _ => false,
    }
}

fn flow(raw: &Instruction) -> Flow {
    match raw.flow_control() {
        FlowControl::Next => Flow::Next,
        FlowControl::UnconditionalBranch => Flow::Jump(raw.near_branch_target()),
        FlowControl::ConditionalBranch | FlowControl::XbeginXabortXend => match raw.op0_kind() {
            OpKind::NearBranch64 | OpKind::NearBranch32 | OpKind::NearBranch16 => {
                Flow::Branch(raw.near_branch_target())
            }
            _ => Flow::Next,
        },
        FlowControl::Call => match raw.mnemonic() {
            Mnemonic::Syscall => Flow::Syscall,
            Mnemonic::Sysenter => Flow::Foreign,
            _ => Flow::Call(raw.near_branch_target()),
        },
        FlowControl::IndirectBranch => word(raw).map_or(Flow::JumpAnywhere, Flow::JumpThrough),
        FlowControl::IndirectCall => word(raw).map_or(Flow::CallAnywhere, Flow::CallThrough),
        FlowControl::Return => Flow::Return,
        FlowControl::Interrupt => match raw.mnemonic() {
            Mnemonic::Int if raw.immediate8() == 0x80 => Flow::Foreign,
            Mnemonic::Int3 | Mnemonic::Int1 | Mnemonic::Int => Flow::Stop,
            _ => Flow::Next,
        },
        FlowControl::Exception => {
            if raw.is_invalid() {
                Flow::Broken
            } else {
                Flow::Stop
            }
        }
    }
}

fn thread_local(raw: &Instruction) -> bool {
    matches!(raw.memory_segment(), Register::FS | Register::GS)
}

/// The fixed address of a memory operand, where it has one.
pub(crate) fn fixed_place(raw: &Instruction) -> Option<u64> {
    if thread_local(raw) {
        return None;
    }
    if raw.is_ip_rel_memory_operand() {
        return Some(raw.ip_rel_memory_address());
    }
    let alone = raw.memory_base() == Register::None && raw.memory_index() == Register::None;
    alone.then(|| raw.memory_displacement64())
}

fn word(raw: &Instruction) -> Option<u64> {
    if raw.op0_kind() == OpKind::Memory { fixed_place(raw) } else { None }
}

/// Only reads its first operand.
fn only_reads(mnemonic: Mnemonic) -> bool {
    matches!(
        mnemonic,
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push | Mnemonic::Call | Mnemonic::Jmp | Mnemonic::Bt | Mnemonic::Nop
    )
}

/// Only writes its first operand.
fn only_stores(raw: &Instruction) -> bool {
    raw.op0_kind() == OpKind::Memory
        && matches!(
            raw.mnemonic(),
            Mnemonic::Mov
                | Mnemonic::Movaps
                | Mnemonic::Movups
                | Mnemonic::Movdqa
                | Mnemonic::Movdqu
                | Mnemonic::Movq
                | Mnemonic::Movd
                | Mnemonic::Movss
                | Mnemonic::Movsd
                | Mnemonic::Movapd
                | Mnemonic::Movupd
                | Mnemonic::Movhps
                | Mnemonic::Movlps
                | Mnemonic::Vmovaps
                | Mnemonic::Vmovups
                | Mnemonic::Vmovdqa
                | Mnemonic::Vmovdqu
                | Mnemonic::Vmovq
                | Mnemonic::Vmovd
        )
}

fn touches(setting: &Setting, raw: &Instruction, touches: &mut [Touch; 3]) {
    let mut place = 0;
    let mut add = |touch| {
        if let Some(slot) = touches.get_mut(place) {
            *slot = touch;
            place += 1;
        }
    };
    let mut memory = false;
    for operand in 0..raw.op_count() {
        match raw.op_kind(operand) {
            OpKind::Memory if !memory && !thread_local(raw) => {
                memory = true;
                match fixed_place(raw) {
                    Some(address) if raw.mnemonic() == Mnemonic::Lea => add(Touch::Address(address)),
                    Some(address) if only_stores(raw) => add(Touch::Store(address)),
                    Some(address) => {
                        add(Touch::Load(address, raw.memory_size().size().max(1) as u64));
                        if operand == 0 && !only_reads(raw.mnemonic()) {
                            add(Touch::Store(address));
                        }
                    }
                    None if setting.may_be_address(raw.memory_displacement64()) => {
                        add(Touch::Address(raw.memory_displacement64()));
                    }
                    None => {}
                }
            }
            OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64
                if raw.mnemonic() != Mnemonic::Cmp && setting.may_be_address(raw.immediate(operand)) =>
            {
                add(Touch::Address(raw.immediate(operand)));
            }
            _ => {}
        }
    }
}

/// The word that a linkage stub jumps through (`jmp *[rip + n]`, perhaps behind `endbr64`).
pub(crate) fn stub(image: &Image, at: u64) -> Option<u64> {
    let bytes = image.from(at)?;
    let mut decoder = Decoder::with_ip(64, bytes.get(..bytes.len().min(32))?, at, DecoderOptions::NONE);
    let mut raw = decoder.decode();
    if raw.mnemonic() == Mnemonic::Endbr64 {
        raw = decoder.decode();
    }
    if raw.mnemonic() != Mnemonic::Jmp {
        return None;
    }
    word(&raw)
}

/// Most instructions that are looked at to see what becomes of an address.
const FAR: usize = 48;

/// Whether the address that the instruction at `at` puts into a register is only ever compared there, on every
/// way on: the C library asks so whether a signal came while it was at its cancellable call.
pub(crate) fn only_compared(image: &Image, at: u64, end: u64) -> bool {
    let Some(bytes) = end.checked_sub(at).and_then(|size| image.at(at, usize::try_from(size).ok()?)) else {
        return false;
    };
    let mut decoder = Decoder::with_ip(64, bytes, at, DecoderOptions::NONE);
    let first = decoder.decode();
    if first.mnemonic() != Mnemonic::Lea {
        return false;
    }
    let register = first.op0_register().full_register();
    let mut info = InstructionInfoFactory::new();
    let (mut todo, mut seen, mut compared) = (vec![first.next_ip()], Vec::new(), false);
    while let Some(ip) = todo.pop() {
        if seen.contains(&ip) {
            continue;
        }
        seen.push(ip);
        let skip = ip.checked_sub(at).and_then(|skip| usize::try_from(skip).ok());
        let Some(rest) = skip.and_then(|skip| bytes.get(skip..)) else { return false };
        if seen.len() > FAR || rest.is_empty() {
            return false;
        }
        let raw = Decoder::with_ip(64, rest, ip, DecoderOptions::NONE).decode();
        let (mut read, mut written) = (false, false);
        for used in info.info(&raw).used_registers() {
            if used.register().full_register() == register {
                read |= !matches!(used.access(), OpAccess::Write);
                written |= matches!(used.access(), OpAccess::Write);
            }
        }
        if read {
            let aside = matches!(raw.mnemonic(), Mnemonic::Cmp)
                || raw.mnemonic() == Mnemonic::Sub && raw.op0_register().full_register() != register;
            if !aside {
                return false;
            }
            compared = true;
        }
        if written {
            continue;
        }
        match flow(&raw) {
            Flow::Next | Flow::Syscall => todo.push(raw.next_ip()),
            Flow::Branch(to) => todo.extend([to, raw.next_ip()]),
            Flow::Jump(to) => todo.push(to),
            Flow::Return | Flow::Stop if register != Register::RAX => {}
            // Not kept over a call in a register that calls destroy; given to it in one that carries arguments.
            _ => return false,
        }
    }
    compared
}
