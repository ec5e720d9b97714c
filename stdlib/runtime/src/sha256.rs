//! SHA-256 (FIPS 180-4), ours: the runtime has no dependencies.

use crate::sys::sha::{Compress, hardware_compress};
use alloc::string::String;

/// The 64 round constants (FIPS 180-4, 4.2.2).
#[rustfmt::skip]
pub const ROUND_CONSTANTS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

const INITIAL: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// A SHA-256 value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Reads 64 lower-case hexadecimal digits; anything else is `None`.
    pub fn from_hex(text: &[u8]) -> Option<Digest> {
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let mut value = 0;
            for digit in pair {
                value = value << 4
                    | match digit {
                        b'0'..=b'9' => digit - b'0',
                        b'a'..=b'f' => digit - b'a' + 10,
                        _ => return None,
                    };
            }
            *byte = value;
        }
        Some(Digest(bytes))
    }

    /// The 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 15)]);
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
    }
}

/// A digest in the making.
#[derive(Clone)]
pub struct Sha256 {
    state: [u32; 8],
    pending: [u8; 64],
    pending_length: usize,
    total: u64,
    compress: Compress,
}

impl Default for Sha256 {
    fn default() -> Self {
        Sha256::new()
    }
}

impl Sha256 {
    /// Nothing hashed yet.
    pub fn new() -> Sha256 {
        Sha256::with(hardware_compress().unwrap_or(compress_plain))
    }

    fn with(compress: Compress) -> Sha256 {
        Sha256 { state: INITIAL, pending: [0; 64], pending_length: 0, total: 0, compress }
    }

    /// Adds bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.total = self.total.wrapping_add(bytes.len() as u64);
        if self.pending_length > 0 {
            let taken = bytes.len().min(64 - self.pending_length);
            let (head, tail) = bytes.split_at(taken);
            self.pending[self.pending_length..self.pending_length + taken].copy_from_slice(head);
            self.pending_length += taken;
            bytes = tail;
            if self.pending_length < 64 {
                return;
            }
            (self.compress)(&mut self.state, &self.pending);
            self.pending_length = 0;
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % 64);
        if !whole.is_empty() {
            (self.compress)(&mut self.state, whole);
        }
        self.pending[..rest.len()].copy_from_slice(rest);
        self.pending_length = rest.len();
    }

    /// The digest of all that was added.
    pub fn finish(mut self) -> Digest {
        let bits = self.total.wrapping_mul(8);
        self.update(&[0x80]);
        while self.pending_length != 56 {
            self.update(&[0]);
        }
        self.update(&bits.to_be_bytes());
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        Digest(digest)
    }
}

/// The digest of one slice.
pub fn sha256(bytes: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(bytes);
    hasher.finish()
}

/// FIPS 180-4, 6.2.2, for processors without instructions of their own.
fn compress_plain(state: &mut [u32; 8], blocks: &[u8]) {
    for block in blocks.chunks_exact(64) {
        let mut words = [0u32; 64];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for i in 16..64 {
            let (early, late) = (words[i - 15], words[i - 2]);
            let sigma0 = early.rotate_right(7) ^ early.rotate_right(18) ^ early >> 3;
            let sigma1 = late.rotate_right(17) ^ late.rotate_right(19) ^ late >> 10;
            words[i] = words[i - 16].wrapping_add(sigma0).wrapping_add(words[i - 7]).wrapping_add(sigma1);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
        for (constant, word) in ROUND_CONSTANTS.iter().zip(words) {
            let sum1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = e & f ^ !e & g;
            let first = h.wrapping_add(sum1).wrapping_add(choice).wrapping_add(*constant).wrapping_add(word);
            let sum0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let majority = a & b ^ a & c ^ b & c;
            (h, g, f, e) = (g, f, e, d.wrapping_add(first));
            (d, c, b, a) = (c, b, a, first.wrapping_add(sum0.wrapping_add(majority)));
        }
        for (kept, added) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *kept = kept.wrapping_add(added);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use alloc::vec::Vec;

    /// FIPS 180-2, appendix B.
    #[test]
    fn known_answers() {
        for (message, answer) in [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ] {
            assert_eq!(sha256(message.as_bytes()).hex(), answer);
        }
        let million = core::iter::repeat_n(b'a', 1_000_000).collect::<Vec<_>>();
        let answer = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(sha256(&million).hex(), answer);
    }

    #[test]
    fn the_plain_code_and_the_processor_agree_on_every_length_and_split() {
        let bytes = (0..1000u32).map(|i| (i * 7 + i / 3) as u8).collect::<Vec<_>>();
        for length in 0..bytes.len() {
            let message = &bytes[..length];
            let mut plain = Sha256::with(compress_plain);
            let (head, tail) = message.split_at(length / 3);
            plain.update(head);
            plain.update(tail);
            assert_eq!(plain.finish(), sha256(message), "length {length}");
        }
    }

    #[test]
    fn hex_is_read_back_and_nothing_else_is() {
        let digest = sha256(b"x");
        assert_eq!(Digest::from_hex(digest.hex().as_bytes()), Some(digest));
        assert_eq!(Digest::from_hex(digest.hex().to_uppercase().as_bytes()), None);
        assert_eq!(Digest::from_hex(b"00"), None);
    }
}
