//! The one layout, by example.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use lang::text::format;

fn same(before: &str, after: &str) {
    let once = format(before).unwrap();
    assert_eq!(once, after, "of {before:?}");
    assert_eq!(format(&once).unwrap(), once, "twice {before:?}");
}

#[test]
fn lines_and_spaces() {
    same("a   1\tb = 2  ;\r\n\r\n\r\n\r\nc", "a 1 b=2\n\nc\n");
    same("\n\n\na{b;c}", "a { b; c }\n");
    same("a {\nb {\n\nc\n\n}\n}\n\n", "a {\n    b {\n        c\n    }\n}\n");
    same("a {}\nb {\n}", "a {}\nb {}\n");
    same("", "");
    same("\u{feff}a", "a\n");
}

#[test]
fn nothing_is_lost() {
    same("a 1 // why\n", "a 1 // why\n");
    same("a {   // several\n  b // one\n    // own line\n}", "a { // several\n    b // one\n    // own line\n}\n");
    same("a /-\"x\" /-k=1 \"y\" /-{ b }", "a /- \"x\" /- k=1 \"y\" /- { b }\n");
    same("/-a {\n b\n}", "/- a {\n    b\n}\n");
    same("m 0640 1.30 0o755 1_000 #\"r\"# auto", "m 0640 1.30 0o755 1_000 #\"r\"# auto\n");
    same("a /* x */ b /*y*/=/*z*/1", "a /* x */ b /*y*/ = /*z*/ 1\n");
    same("a; /* c */ b // d", "a; /* c */ b // d\n");
    same("/- kdl-version 2\na", "/- kdl-version 2\na\n");
    same("a \"\"\"\n      x\n    y\n    \"\"\" b", "a \"\"\"\n      x\n    y\n    \"\"\" b\n");
}

#[test]
fn joined_lines() {
    same("a \\\n\"x\" \\ // why\n  \"y\"", "a \\\n    \"x\" \\ // why\n    \"y\"\n");
    same("a \\\n {\n b\n}", "a {\n    b\n}\n");
    same("a \\\n\nb", "a\nb\n");
    same("a \\ // c\n// d\nb", "a // c\n// d\nb\n");
}

#[test]
fn short_nodes_share_a_line_while_it_fits() {
    same("env A=\"1\";workdir \"/\" ;", "env A=\"1\"; workdir \"/\"\n");
    let long = format!("a \"{0}\"; b \"{0}\" // c", "x".repeat(50));
    same(&long, &format!("a \"{0}\"\nb \"{0}\" // c\n", "x".repeat(50)));
    same("a { b\n c; d }", "a {\n    b\n    c; d\n}\n");
}

#[test]
fn what_does_not_parse_is_left_alone() {
    assert_eq!(format("a true").unwrap_err().0[0].code.id(), "E0006");
}

/// Shapes of the language as its design shows them.
#[test]
fn a_whole_spec() {
    let spec = include_str!("format_spec.kdl");
    assert_eq!(format(spec).unwrap(), spec);
    // The same with other blanks comes back to it.
    let other = spec.replace("    ", "\t").replace(" {\n", "   {\r\n");
    assert_eq!(format(&other).unwrap(), spec);
}
