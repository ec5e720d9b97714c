//! Where the static binary begins: the kernel's stack becomes slices, and a panic a message.

use super::fs::write_stderr;
use super::process::exit;
use super::sha;
use alloc::format;
use alloc::vec::Vec;

/// Called by `_start` with the stack as the kernel laid it out: argc, argv…, 0, envp…, 0, auxv.
///
/// # Safety
/// Only for `_start`.
#[unsafe(no_mangle)]
unsafe extern "C" fn k8or_start(stack: *const usize) -> ! {
    const AT_HWCAP: usize = 16;
    // SAFETY: the layout is the kernel's ABI; argc says how long argv is, the others end with 0.
    let (arguments, environment) = unsafe {
        let argc = *stack;
        let argv = stack.add(1);
        let envp = argv.add(argc + 1);
        let arguments = (0..argc).map(|i| string(*argv.add(i))).collect::<Vec<_>>();
        let mut environment = Vec::new();
        let mut at = envp;
        while *at != 0 {
            environment.push(string(*at));
            at = at.add(1);
        }
        at = at.add(1);
        while *at != 0 {
            if *at == AT_HWCAP {
                sha::set_hardware_capabilities(*at.add(1));
            }
            at = at.add(2);
        }
        (arguments, environment)
    };
    exit(crate::main(&arguments, &environment))
}

/// A copy of the NUL-terminated string at an address.
///
/// # Safety
/// The address must be that of such a string.
unsafe fn string(at: usize) -> Vec<u8> {
    // SAFETY: vouched for by the caller.
    unsafe { core::ffi::CStr::from_ptr(at as *const core::ffi::c_char) }.to_bytes().to_vec()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    write_stderr(format!("k8or: internal error, please report it: {info}\n").as_bytes());
    exit(101)
}
