//! The floor of a build, for tests/bench/run: a bare loop that decompresses a layer once while hashing both sides,
//! then hashes and compresses as many bytes as the result keeps. No index, no decisions, no cache.
//!
//!     floor LAYER.tar.gz KEPT-BYTES THREADS

use std::fs::File;
use std::io::{self, BufReader, Read as _, Write as _};

use formats::codec::{BlockGzip, Codec, decoder};
use sha2::{Digest as _, Sha256};

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = || io::Error::other("usage: floor LAYER.tar.gz KEPT-BYTES THREADS");
    let path = args.next().ok_or_else(usage)?;
    let kept: u64 = args.next().and_then(|n| n.parse().ok()).ok_or_else(usage)?;
    let threads: usize = args.next().and_then(|n| n.parse().ok()).ok_or_else(usage)?;
    let stored = std::fs::read(&path)?;
    let mut hasher = Sha256::new();
    hasher.update(&stored);
    let mut stream = decoder(Codec::Gzip, BufReader::with_capacity(1 << 18, File::open(&path)?))?;
    let mut whole = Sha256::new();
    let mut out = BlockGzip::new(io::sink(), threads)?;
    let (mut buffer, mut left) = (vec![0; 1 << 18], kept);
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        whole.update(&buffer[..n]);
        let part = n.min(usize::try_from(left).unwrap_or(usize::MAX));
        out.write_all(&buffer[..part])?;
        left -= part as u64;
    }
    let (_, summary) = out.finish()?;
    println!("{:x?} {:x?} {}", hasher.finalize()[0], whole.finalize()[0], summary.digest);
    Ok(())
}
