//! Large bases: time grows with the number of names, not with its square.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_hundred_thousand_names_are_decided_quickly() {
    let mut base = Base::debian();
    for package in 0..300 {
        let paths: Vec<String> = (0..300).map(|n| format!("/usr/share/p{package}/d{}/f{n}", n % 7)).collect();
        for file in &paths {
            base.file(file, 0o644);
        }
        let refs: Vec<&str> = paths.iter().map(String::as_str).collect();
        base.package(&format!("p{package}"), &["libc6"], &refs);
    }
    for n in 0..10_000 {
        base.link(&format!("/opt/links/l{n}"), &format!("/usr/share/p{}/d0/f0", n % 300));
    }
    let mut wanted = spec();
    wanted.packages.keep = (0..150).map(|n| word(&format!("p{n}"))).collect();
    wanted.files.remove = (0..20).map(|n| removes(&format!("/usr/share/p{n}/d3/**"), None)).collect();
    let start = Instant::now();
    let kept = base.kept(&wanted);
    let took = start.elapsed();
    println!("{} names in {took:?}", base.facts.tree.nodes.len());
    assert_eq!(kept.entries.keys().filter(|p| p.as_bytes().starts_with(b"/opt/links/")).count(), 5050);
    // Generous: this is a build without optimisation on a busy machine; a square would take minutes.
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn chains_of_links_are_not_quadratic() {
    let mut base = Base::debian();
    // Each directory holds only a link to the next one; the last leads to what goes.
    let count = 5_000;
    let mut paths = Vec::new();
    for n in 0..count {
        let target = if n + 1 == count { "/usr/share/perl".to_string() } else { format!("/opt/c{:05}", n + 1) };
        base.link(&format!("/opt/c{n:05}/l"), &target);
        paths.push(format!("/opt/c{n:05}"));
    }
    let refs: Vec<&str> = paths.iter().map(String::as_str).collect();
    base.package("chain", &[], &refs);
    let start = Instant::now();
    let kept = base.kept(&spec());
    assert!(!kept.entries.contains_key(&path("/opt/c00000")));
    assert!(start.elapsed() < Duration::from_secs(10));
}
