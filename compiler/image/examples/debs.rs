//! Builds the layer of some packages, for looking at it: `debs ARCH EPOCH OUT.tar [-e EFFECTS …] A.deb B.deb …`.
//! What is not recognised is printed with the digests that a declaration needs.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

use std::error::Error;
use std::io::BufWriter;

use image::debs::{DebInput, EffectsFile, layer_with};
use plan::platform::Arch;
use sha2::{Digest as _, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut need = |what: &str| args.next().ok_or_else(|| format!("no {what}"));
    let arch = Arch::parse(&need("architecture")?).ok_or("unknown architecture")?;
    let epoch = need("epoch")?.parse()?;
    let out = need("output")?;
    let (mut debs, mut effects) = (Vec::new(), Vec::new());
    while let Some(arg) = args.next() {
        if arg == "-e" {
            let path = args.next().ok_or("no effects file")?;
            effects.push((path.clone(), std::fs::read_to_string(path)?));
            continue;
        }
        let sha256 = Sha256::digest(std::fs::read(&arg)?).into();
        debs.push(DebInput { path: arg.into(), sha256 });
    }
    let more: Vec<EffectsFile<'_>> = effects.iter().map(|(name, text)| EffectsFile { name, text }).collect();
    let mut file = BufWriter::new(std::fs::File::create(out)?);
    match layer_with(&debs, arch, epoch, &more, &mut file) {
        Ok(report) => println!("{} packages, {} paths, {} bytes", report.packages.len(), report.entries, report.size),
        Err(all) => {
            for one in all.iter() {
                println!("{} {}", one.code.id(), one.message);
                for line in one.notes.iter().chain(&one.help) {
                    println!("    {line}");
                }
            }
            std::process::exit(1);
        }
    }
    Ok(())
}
