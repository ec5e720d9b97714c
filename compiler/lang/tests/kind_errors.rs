//! What people type instead of KDL: each with its code, the place that is marked and, for the mistakes seen
//! most, the exact words.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use diag::{Diagnostic, FileId};
use lang::text;

/// Text with the place of the (only) diagnostic between ⟦ and ⟧, the code, message and first help.
struct Told(&'static str, &'static str, &'static str, &'static str);

/// The table "KDL as people type it", whole.
const TOLD: &[Told] = &[
    Told(
        "class { expand ⟦true⟧ }",
        "E0006",
        "`true` is written `#true`",
        "write `#true`, or `\"true\"` where the word itself is meant",
    ),
    Told("v size=⟦4Gi⟧", "E0007", "`4Gi` begins like a number and is none", "write `\"4Gi\"`"),
    Told("v timeout=⟦60s⟧ a=1", "E0007", "`60s` begins like a number and is none", "write `\"60s\"`"),
    Told("v cpu=⟦50%⟧", "E0007", "`50%` begins like a number and is none", "write `\"50%\"`"),
    Told("mount ⟦/usr⟧", "E0008", "a path needs quotes", "write `\"/usr\"`"),
    Told("keep ⟦/etc/nginx/**⟧\nkeep \"x\"", "E0008", "a pattern needs quotes", "write `\"/etc/nginx/**\"`"),
    Told(
        "keep \"/x\" ⟦# note \"it\" {⟧\nb",
        "E0009",
        "comments begin with `//`, not with `#`",
        "write `//` in place of `#`",
    ),
    Told(
        "base ⟦docker.io/library/python:3.12⟧",
        "E0008",
        "a reference needs quotes",
        "write `\"docker.io/library/python:3.12\"`",
    ),
    Told(
        "keep ⟦[\"root\", \"nobody\"]⟧",
        "E0010",
        "a list has no brackets: its values are separated by spaces",
        "write `\"root\" \"nobody\"`",
    ),
    Told(
        "image \"web\"\n⟦{⟧\n    a\n}\n",
        "E0015",
        "a `{` stands on the line of its node",
        "write `image … {` on one line",
    ),
    Told(
        "image \"web\" ⟦{⟧\n    base \"x\"\n\nusers {\n    keep \"root\"\n}\n",
        "E0016",
        "this `{` is never closed",
        "put a `}` on a line before this one",
    ),
    Told("keep root⟦,⟧ nobody", "E0011", "values are separated by spaces, not by commas", "put a space in its place"),
    Told("keep ⟦'root'⟧", "E0014", "strings stand between double quotes, not '", "write `\"root\"`"),
    Told("env⟦:⟧ \"x\"", "E0012", "a name has no colon after it", "write `env \"x\"`"),
    Told("env A=\"1\" ⟦A⟧=\"2\"", "E0023", "the property `A` is given twice", "keep one of the two"),
    Told(
        "env URL=⟦\"{{ h | default(\"x\") }}\"⟧",
        "E0018",
        "a quote within a string ends it",
        "write `#\"{{ h | default(\"x\") }}\"#`",
    ),
];

/// Marked text and code: everything else.
const MARKED: &[(&str, &str)] = &[
    // E0001
    ("⟦;⟧", "E0001"),
    ("a;⟦;⟧b", "E0001"),
    ("a ⟦/-⟧", "E0001"),
    ("⟦/-⟧ }", "E0001"),
    ("⟦#true⟧ 1", "E0001"),
    // E0004
    ("a \"x\u{202e}y\"", "E0004"),
    ("a\u{200b}b", "E0004"),
    ("a \"\u{1b}[31m\"", "E0004"),
    ("a // \u{feff}", "E0004"),
    ("a \0", "E0004"),
    // E0005
    ("⟦/- kdl-version 1⟧\na", "E0005"),
    ("a ⟦r⟧\"b\"", "E0005"),
    ("a ⟦r⟧#\"b\"#", "E0005"),
    ("a x=⟦r⟧\"b\"", "E0005"),
    // E0006
    ("a ⟦null⟧", "E0006"),
    ("a x=⟦false⟧ y=#true", "E0006"),
    ("a x=⟦#True⟧", "E0006"),
    ("a ⟦#yes⟧", "E0006"),
    ("⟦true⟧", "E0006"),
    // E0007
    ("a ⟦.5⟧", "E0007"),
    ("a ⟦5.⟧", "E0007"),
    ("a ⟦1.2.3⟧", "E0007"),
    ("a ⟦2026-11-24⟧", "E0007"),
    ("a ⟦8080:80⟧", "E0007"),
    ("a ⟦0x⟧", "E0007"),
    ("a ⟦170141183460469231731687303715884105728⟧", "E0007"),
    ("a ⟦1e999⟧", "E0007"),
    ("⟦8080⟧ name=\"http\"", "E0007"),
    // E0008
    ("a ⟦./x.conf⟧", "E0008"),
    ("a ⟦../x⟧ to=\"/x\"", "E0008"),
    ("a to=⟦/etc/x⟧ b=1", "E0008"),
    ("a ⟦https://example.com/x⟧", "E0008"),
    ("a ⟦10.0.0.0/8⟧", "E0008"),
    ("a ⟦/usr/share/{man,locale}/**⟧", "E0008"),
    ("a { keep ⟦/usr⟧; b }", "E0008"),
    ("a {keep ⟦/usr⟧}", "E0008"),
    ("keep ⟦etc/*⟧", "E0008"),
    ("a color=⟦#fff⟧", "E0008"),
    ("a ⟦x#y⟧", "E0008"),
    ("⟦/etc/nginx⟧ mode=\"0644\"", "E0008"),
    ("keep ⟦/etc⟧, /usr", "E0008"),
    // E0009
    ("⟦#!/usr/bin/k8orc⟧\na", "E0009"),
    ("⟦# note⟧\na", "E0009"),
    ("a {\n    ⟦## it's⟧\n}", "E0009"),
    ("a ⟦#note⟧", "E0009"),
    // E0010
    ("a ⟦[⟧\n  \"x\",\n  \"y\"\n]", "E0010"),
    ("a x=⟦[1, 2]⟧", "E0010"),
    ("a {\n  ⟦-⟧ \"x\"\n}", "E0010"),
    // E0011
    ("a \"x\"⟦,⟧ \"y\"", "E0011"),
    ("a rw⟦,⟧nosuid", "E0011"),
    ("a x=\"1\"⟦,⟧ y=\"2\"", "E0011"),
    ("port 80⟦,⟧ 443", "E0011"),
    ("a {\n  \"x\"⟦,⟧\n}", "E0011"),
    ("a \"x\" ⟦,⟧ \"y\"", "E0011"),
    // E0012
    ("a name⟦:⟧\"x\"", "E0012"),
    ("a name⟦:⟧ x", "E0012"),
    ("image⟦:⟧ {\n  a\n}", "E0012"),
    // E0013
    ("key ⟦=⟧ \"value\"", "E0013"),
    ("LANG⟦=⟧\"C\"", "E0013"),
    ("a ⟦k=⟧", "E0013"),
    ("a ⟦k=⟧\n\"v\"", "E0013"),
    ("a ⟦=⟧\"v\"", "E0013"),
    ("a b=c⟦=⟧d", "E0013"),
    ("a ⟦8080⟧=\"x\"", "E0013"),
    ("a ⟦b=⟧=\"x\"", "E0013"),
    // E0014
    ("a ⟦“root”⟧", "E0014"),
    ("a x=⟦‘y z’⟧", "E0014"),
    ("a ⟦'daemon off;'⟧", "E0014"),
    ("a ⟦`date`⟧", "E0014"),
    ("a ⟦'unclosed⟧", "E0014"),
    // E0015
    ("⟦{⟧ a }", "E0015"),
    // E0016
    ("a {\n    b ⟦{⟧\n        c\n    d\n}\n", "E0016"),
    ("a {\n    b {\n        c\n    }\n    }\n⟦}⟧\n", "E0016"),
    ("a {\n}\n⟦}⟧\n", "E0016"),
    ("a {\n    b ⟦{⟧\n        c", "E0016"),
    ("⟦}⟧", "E0016"),
    // E0017
    ("a ⟦\"/usr/bin/x⟧\nb", "E0017"),
    ("a ⟦#\"x\"⟧\nb", "E0017"),
    ("a ⟦\"\"\"⟧\n  x\n", "E0017"),
    ("a ⟦\"one⟧\ntwo\"", "E0017"),
    // E0018
    ("a ⟦\"say \"hi\" now\"⟧", "E0018"),
    ("a ⟦\"{{ x | d(\"\") }}\"⟧", "E0018"),
    // E0019
    ("a \"x\"⟦\"y\"⟧", "E0019"),
    ("a \"x\"⟦b⟧", "E0019"),
    ("a⟦\"x\"⟧", "E0019"),
    ("a #true⟦\"x\"⟧", "E0019"),
    // E0020
    ("a \"C:⟦\\U⟧sers\"", "E0020"),
    ("a ⟦C:\\Users⟧", "E0020"),
    ("a \"⟦\\d⟧+\"", "E0020"),
    ("a \"⟦\\u{110000}⟧\"", "E0020"),
    ("a \"⟦\\/⟧\"", "E0020"),
    // E0021
    ("a \"\"\"⟦x⟧\"\"\"", "E0021"),
    ("a \"\"\"\n  x\n⟦ y⟧\n  \"\"\"", "E0021"),
    ("a \"\"\"\n⟦  x⟧\"\"\"", "E0021"),
    ("a ⟦<<EOF⟧\nx\n", "E0021"),
    // E0022
    ("a ⟦/*⟧ x", "E0022"),
    ("keep ⟦/*⟧*\nb", "E0022"),
    // E0023
    ("a \"x\"=1 b=2 ⟦x⟧=3", "E0023"),
    // E0024
    ("a { b } ⟦c⟧", "E0024"),
    ("a { b } ⟦{⟧ c }", "E0024"),
    ("a { b }⟦c⟧=1", "E0024"),
    // E0025
    ("a ⟦(t)⟧k=1", "E0025"),
    ("a f⟦(⟧x)", "E0025"),
    ("a ⟦(⟧t \"x\"", "E0025"),
    ("a \"x\" ⟦)⟧", "E0025"),
];

fn unmark(marked: &str) -> (String, Option<(usize, usize)>) {
    let text = marked.replace(['⟦', '⟧'], "");
    let place = marked.find('⟦').zip(marked.find('⟧')).map(|(start, end)| (start, end - '⟦'.len_utf8()));
    (text, place)
}

fn only(text: &str) -> Result<Diagnostic, String> {
    let (tree, found) = text::parse(text, FileId(3));
    match found.0.as_slice() {
        [one] if tree.is_none() => Ok(one.clone()),
        all => Err(format!("{text:?}: one diagnostic and no tree expected, got {all:#?}")),
    }
}

fn check(marked: &str, code: &str) -> Result<Diagnostic, String> {
    let (text, place) = unmark(marked);
    let one = only(&text)?;
    let span = one.primary.as_ref().map(|l| (l.span.start as usize, l.span.end as usize));
    if one.code.id() != code {
        return Err(format!("{text:?}: {code} expected, got {} {} at {span:?}", one.code, one.message));
    }
    if place.is_some() && span != place {
        let got = span.and_then(|(s, e)| text.get(s..e));
        return Err(format!("{text:?}: {code} marks {span:?} {got:?}, wanted {place:?}"));
    }
    if one.primary.as_ref().is_some_and(|l| l.span.file != FileId(3)) {
        return Err(format!("{text:?}: another file"));
    }
    if one.message.ends_with('.') || one.message.starts_with(char::is_uppercase) {
        return Err(format!("{text:?}: headline {:?}", one.message));
    }
    Ok(one)
}

#[test]
fn as_people_type_it() {
    let mut wrong = Vec::new();
    for Told(marked, code, message, help) in TOLD {
        match check(marked, code) {
            Err(why) => wrong.push(why),
            Ok(one) => {
                if one.message != *message || one.help.first().map(String::as_str) != Some(help) {
                    wrong.push(format!("{marked}: {:?} {:?}", one.message, one.help));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_mistake_one_diagnostic() {
    let wrong: Vec<String> = MARKED.iter().filter_map(|(marked, code)| check(marked, code).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_of_the_range_is_provoked() {
    let told: Vec<&str> = TOLD.iter().map(|t| t.1).chain(MARKED.iter().map(|m| m.1)).collect();
    for page in diag::codes::PAGES.iter().filter(|page| page.code.id() < "E0060") {
        let elsewhere = ["E0002", "E0003"];
        let id = page.code.id();
        assert!(told.contains(&id) || elsewhere.contains(&id), "nothing provokes {id}");
    }
}

#[test]
fn several_mistakes_are_told_together() {
    let text = "a true\nb {\n    c 4Gi\n    d \"fine\"\n    e /usr; f 'x'\n}\ng root,\n";
    let (tree, found) = text::parse(text, FileId(0));
    assert!(tree.is_none());
    let codes: Vec<&str> = found.iter().map(|d| d.code.id()).collect();
    // `e` and `f` share a line: the second is told once the first is repaired.
    assert_eq!(codes, ["E0006", "E0007", "E0008", "E0011"]);
}

#[test]
fn too_large() {
    let long = "// x\n".repeat(text::MAX_BYTES / 5 + 1);
    assert_eq!(only(&long).unwrap().code.id(), "E0002");
    assert!(text::parse(&long[..text::MAX_BYTES - 1], FileId(0)).0.is_some());
    let many = "a\n".repeat(100_001);
    assert_eq!(only(&many).unwrap().code.id(), "E0002");
}

#[test]
fn too_deep() {
    let nested = |depth: usize| format!("{}{}", "a { ".repeat(depth), "}".repeat(depth));
    assert!(text::parse(&nested(64), FileId(0)).0.is_some());
    assert_eq!(only(&nested(65)).unwrap().code.id(), "E0003");
    assert_eq!(only(&nested(100_000)).unwrap().code.id(), "E0003");
    assert_eq!(only(&"a /- { ".repeat(100_000)).unwrap().code.id(), "E0003");
}

#[test]
fn what_is_meant_is_accepted() {
    for text in [
        "/- kdl-version 2\na 1",
        "\u{feff}a 1",
        "otherwise kill-process",
        "a uid=auto",
        "/- kdl-version\na",
        "a \\ /* why */ // not\n  1",
        "a b = \"c\"",
        "keep \"a,b\" \"'x'\" \"env:\"",
        "base python:3.12",
        "v mode=0640 version=1.30",
        "a \\\n  \"x\" \\ // why\n  \"y\"",
        "a /- \"x\" \"y\" /- { b } { c } /- { d }",
        "a \"\"\"\n  x\n    y\n  \"\"\"",
        "a \"a/b\"=\"c\"",
        "a it's",
        "",
        "\r\n",
    ] {
        let (tree, found) = text::parse(text, FileId(0));
        assert!(tree.is_some() && found.0.is_empty(), "{text:?}: {found:?}");
    }
}

#[test]
fn numbers_keep_their_spelling_and_place() {
    let source = "kubernetes 1.30 mode=0640 (t)0o755 name=\"1\"";
    let (tree, _) = text::parse(source, FileId(0));
    let tree = tree.unwrap();
    let entries = tree.nodes()[0].entries();
    let seen: Vec<_> = entries.iter().map(text::number_repr).collect();
    assert_eq!(seen, [Some("1.30"), Some("0640"), Some("0o755"), None]);
    let places: Vec<&str> = entries
        .iter()
        .map(|e| text::value_span(e, FileId(0)))
        .map(|s| &source[s.start as usize..s.end as usize])
        .collect();
    assert_eq!(places, ["1.30", "0640", "0o755", "\"1\""]);
}
