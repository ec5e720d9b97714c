//! SHA-256 by the processor's own instructions, where it has them.

use core::sync::atomic::{AtomicUsize, Ordering};

/// AT_HWCAP as the kernel gave it at the start; 0 when nobody told us.
static HARDWARE_CAPABILITIES: AtomicUsize = AtomicUsize::new(0);

/// Remembers what the kernel says about the processor (used on aarch64).
pub fn set_hardware_capabilities(bits: usize) {
    HARDWARE_CAPABILITIES.store(bits, Ordering::Relaxed);
}

/// A function that folds whole blocks of 64 bytes into the state.
pub type Compress = fn(&mut [u32; 8], &[u8]);

/// The processor's way, if it has one.
#[cfg(target_arch = "x86_64")]
pub fn hardware_compress() -> Option<Compress> {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    const SSSE3: u32 = 1 << 9;
    const SSE4_1: u32 = 1 << 19;
    const SHA: u32 = 1 << 29;
    // SAFETY: every x86_64 processor has cpuid; leaf 7 is read only where it exists.
    #[allow(unused_unsafe)]
    let (features, extended) = unsafe {
        if __cpuid(0).eax < 7 {
            return None;
        }
        (__cpuid(1).ecx, __cpuid_count(7, 0).ebx)
    };
    let usable = features & (SSSE3 | SSE4_1) == SSSE3 | SSE4_1 && extended & SHA != 0;
    // SAFETY: the features that the function is compiled for were just seen.
    usable.then_some(|state, blocks| unsafe { compress_sha_ni(state, blocks) })
}

/// The processor's way, if it has one.
#[cfg(target_arch = "aarch64")]
pub fn hardware_compress() -> Option<Compress> {
    const HWCAP_SHA2: usize = 1 << 6;
    let usable = HARDWARE_CAPABILITIES.load(Ordering::Relaxed) & HWCAP_SHA2 != 0;
    // SAFETY: the feature that the function is compiled for was just seen.
    usable.then_some(|state, blocks| unsafe { compress_armv8(state, blocks) })
}

/// Four rounds an instruction pair; the state is kept as ABEF and CDGH (Intel SDM, SHA256RNDS2).
///
/// # Safety
/// The processor must have SHA-NI, SSSE3 and SSE4.1.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[allow(unused_unsafe)]
unsafe fn compress_sha_ni(state: &mut [u32; 8], blocks: &[u8]) {
    use crate::sha256::ROUND_CONSTANTS;
    use core::arch::x86_64::*;
    // SAFETY: loads and stores are unaligned ones inside `state`, `block` (64 bytes) and the 64
    // constants.
    unsafe {
        let swap = _mm_set_epi64x(0x0c0d0e0f_08090a0b, 0x04050607_00010203);
        let low = _mm_shuffle_epi32(_mm_loadu_si128(state.as_ptr().cast()), 0xb1);
        let high = _mm_shuffle_epi32(_mm_loadu_si128(state.as_ptr().add(4).cast()), 0x1b);
        let mut abef = _mm_alignr_epi8(low, high, 8);
        let mut cdgh = _mm_blend_epi16(high, low, 0xf0);
        for block in blocks.chunks_exact(64) {
            let (abef_before, cdgh_before) = (abef, cdgh);
            let mut words = [_mm_setzero_si128(); 4];
            for step in 0..16 {
                let word = if step < 4 {
                    _mm_shuffle_epi8(_mm_loadu_si128(block.as_ptr().add(16 * step).cast()), swap)
                } else {
                    let (oldest, older) = (words[step % 4], words[(step + 1) % 4]);
                    let (old, newest) = (words[(step + 2) % 4], words[(step + 3) % 4]);
                    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(oldest, older), _mm_alignr_epi8(newest, old, 4));
                    _mm_sha256msg2_epu32(sum, newest)
                };
                words[step % 4] = word;
                let constants = _mm_loadu_si128(ROUND_CONSTANTS.as_ptr().add(4 * step).cast());
                let input = _mm_add_epi32(word, constants);
                cdgh = _mm_sha256rnds2_epu32(cdgh, abef, input);
                abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(input, 0x0e));
            }
            abef = _mm_add_epi32(abef, abef_before);
            cdgh = _mm_add_epi32(cdgh, cdgh_before);
        }
        let feba = _mm_shuffle_epi32(abef, 0x1b);
        let dchg = _mm_shuffle_epi32(cdgh, 0xb1);
        _mm_storeu_si128(state.as_mut_ptr().cast(), _mm_blend_epi16(feba, dchg, 0xf0));
        _mm_storeu_si128(state.as_mut_ptr().add(4).cast(), _mm_alignr_epi8(dchg, feba, 8));
    }
}

/// Four rounds an instruction pair (Arm ARM, SHA256H and SHA256H2).
///
/// # Safety
/// The processor must have the SHA2 extension.
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon,sha2")]
#[allow(unused_unsafe)]
unsafe fn compress_armv8(state: &mut [u32; 8], blocks: &[u8]) {
    use crate::sha256::ROUND_CONSTANTS;
    use core::arch::aarch64::*;
    // SAFETY: loads and stores lie inside `state`, `block` (64 bytes) and the 64 constants.
    unsafe {
        let mut abcd = vld1q_u32(state.as_ptr());
        let mut efgh = vld1q_u32(state.as_ptr().add(4));
        for block in blocks.chunks_exact(64) {
            let (abcd_before, efgh_before) = (abcd, efgh);
            let mut words = [vdupq_n_u32(0); 4];
            for step in 0..16 {
                let word = if step < 4 {
                    let bytes = vld1q_u8(block.as_ptr().add(16 * step));
                    vreinterpretq_u32_u8(vrev32q_u8(bytes))
                } else {
                    let (oldest, older) = (words[step % 4], words[(step + 1) % 4]);
                    let (old, newest) = (words[(step + 2) % 4], words[(step + 3) % 4]);
                    vsha256su1q_u32(vsha256su0q_u32(oldest, older), old, newest)
                };
                words[step % 4] = word;
                let input = vaddq_u32(word, vld1q_u32(ROUND_CONSTANTS.as_ptr().add(4 * step)));
                let abcd_old = abcd;
                abcd = vsha256hq_u32(abcd, efgh, input);
                efgh = vsha256h2q_u32(efgh, abcd_old, input);
            }
            abcd = vaddq_u32(abcd, abcd_before);
            efgh = vaddq_u32(efgh, efgh_before);
        }
        vst1q_u32(state.as_mut_ptr(), abcd);
        vst1q_u32(state.as_mut_ptr().add(4), efgh);
    }
}
