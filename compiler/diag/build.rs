//! Makes one constant per page of `codes/`, so that a code without a page does not compile.
#![allow(clippy::expect_used)]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=codes");
    let dir = Path::new("codes");
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("the folder `codes` is part of the crate")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    names.sort();
    let root = env::current_dir().expect("cargo sets the directory");
    let mut out = String::new();
    let mut table = String::from("/// Every page, sorted by code.\npub static PAGES: &[Page] = &[\n");
    for name in &names {
        let path = root.join(dir).join(format!("{name}.md"));
        let text = fs::read_to_string(&path).expect("a page is UTF-8 text");
        println!("cargo:rerun-if-changed={}", path.display());
        let title = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix(&format!("# {name}: ")))
            .unwrap_or_else(|| panic!("{name}.md must begin with `# {name}: title`"));
        let severity = match header(&text, "Severity").unwrap_or("error") {
            "error" => "Error",
            "warning" => "Warning",
            "note" => "Note",
            other => panic!("{name}.md: no such severity {other}"),
        };
        let exit: u8 = header(&text, "Exit").unwrap_or("1").parse().expect("Exit: is a number");
        writeln!(out, "/// {title}.\npub const {name}: Code = Code::new({name:?}, Severity::{severity}, {exit});")
            .expect("a string");
        writeln!(table, "    Page {{ code: {name}, title: {title:?}, text: include_str!({path:?}) }},")
            .expect("a string");
    }
    table.push_str("];\n");
    out.push_str(&table);
    let target = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("codes.rs");
    fs::write(target, out).expect("the output folder is writable");
}

/// The value of a `Name: value` line of a page's head (the lines before the first blank-line-separated prose may hold several).
fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().take(8).find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
}
