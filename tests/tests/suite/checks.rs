//! Whole-system checks on specs that are right and on specs with one mistake: `tests/cases/clean` and
//! `tests/cases/mistakes`, with the files of `tests/cases/beside` beside each. One mistake, one diagnostic.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8orc_tests::pages::{Bench, Files, Tests};
use k8orc_tests::tidy;

use crate::none;

fn cases(name: &str) -> PathBuf {
    tidy::tree::root().join("tests/cases").join(name)
}

fn read(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let all = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = all.map(|entry| entry.expect("readable").path());
    paths
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("readable"))
        })
        .collect()
}

/// Checks every spec of a directory and gives what `judge` has to say of it.
fn each(name: &str, judge: impl Fn(&str, &k8orc_tests::pages::Outcome) -> Option<String>) -> (usize, Vec<String>) {
    let (bench, beside) = (Bench::new(), read(&cases("beside")));
    let specs = read(&cases(name));
    let mut wrong = Vec::new();
    for (file, bytes) in &specs {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut files: Files = beside.clone();
        files.insert("spec.kdl".to_owned(), bytes.clone());
        let outcome = bench.check(&files);
        wrong.extend(judge(&text, &outcome).map(|complaint| format!("{name}/{file}: {complaint}\n{outcome}")));
    }
    (specs.len(), wrong)
}

#[test]
fn a_clean_spec_gets_no_diagnostic() {
    let (count, wrong) = each("clean", |_, outcome| {
        let said = outcome.said();
        (!said.is_empty()).then(|| format!("it gets {said:?}"))
    });
    assert!(count >= 20, "{count} clean specs");
    none(wrong);
}

#[test]
fn a_mistake_gets_its_own_diagnostic_and_no_other() {
    let (count, wrong) = each("mistakes", |text, outcome| {
        let Some(wanted) = text.lines().next().and_then(|line| line.strip_prefix("// wants ")) else {
            return Some("its first line does not say what it wants".to_owned());
        };
        let said = outcome.said();
        if said.iter().map(String::as_str).ne([wanted]) {
            return Some(format!("it wants {wanted} and gets {said:?}"));
        }
        let placeless = outcome.placeless();
        (!placeless.is_empty()).then(|| format!("{placeless:?} without a place"))
    });
    assert!(count >= 20, "{count} mistakes");
    none(wrong);
}

#[test]
fn every_test_of_the_table_exists() {
    let root = tidy::tree::root();
    let table = std::fs::read_to_string(root.join("compiler/docs/cross-artifact-mistakes.md")).expect("the table");
    let tests = Tests::read(&root);
    let mut wrong = Vec::new();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #")).collect();
    assert_eq!(rows.len(), 32, "a row for each mistake");
    for (number, row) in rows.iter().enumerate() {
        if !row.starts_with(&format!("| {} |", number + 1)) {
            wrong.push(format!("row {} is another mistake's: {row}", number + 1));
        }
        for name in row.split('`').filter(|word| word.contains("::")) {
            wrong.extend(tests.find(name).err().map(|unfound| format!("{name}: {unfound}")));
        }
        let words = row.split(|c: char| !c.is_ascii_alphanumeric());
        let codes = words.filter(|word| word.len() == 5 && word.starts_with('E') && word[1..].parse::<u16>().is_ok());
        wrong
            .extend(codes.filter(|code| diag::codes::find(code).is_none()).map(|code| format!("{code}: no such page")));
        for case in row.split([' ', ',']).filter(|word| word.starts_with("mistakes/") || word.starts_with("clean/")) {
            if !root.join(format!("tests/cases/{case}.kdl")).exists() {
                wrong.push(format!("{case}: no such spec"));
            }
        }
    }
    none(wrong);
}
