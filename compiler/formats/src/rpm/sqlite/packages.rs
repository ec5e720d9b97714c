//! rpm's tables: headers by number, and what names their number.

use std::collections::BTreeSet;

use super::super::{ContainerError, Fate, Record};
use super::read::{Database, Entries, Object, read};
use super::record::{Value, record, values};
use super::write::write;

fn broken(what: impl Into<String>) -> ContainerError {
    ContainerError::new(0_u64, what)
}

/// The packages of a database, by number; `log` is `rpmdb.sqlite-wal`, or empty.
///
/// # Errors
/// See [`read`]; no table `Packages`, a row that is no header.
pub fn packages(file: &[u8], log: &[u8]) -> Result<Vec<Record>, ContainerError> {
    let database = read(file, log)?;
    let rows = rows(&database)?;
    let record = |(rowid, row): &(i64, Vec<u8>)| {
        let (number, blob) = header(*rowid, row)?;
        Ok(Record { number, blob: blob.to_vec() })
    };
    rows.iter().map(record).collect()
}

fn rows(database: &Database) -> Result<&[(i64, Vec<u8>)], ContainerError> {
    let table = database.objects.iter().find(|o| o.kind == "table" && o.name == "Packages");
    match table.map(|table| &table.entries) {
        Some(Entries::Rows(rows)) => Ok(rows),
        _ => Err(broken("it has no table \"Packages\"")),
    }
}

/// Number and header of a row; the number's column is the row's own number.
fn header(rowid: i64, row: &[u8]) -> Result<(u32, &[u8]), ContainerError> {
    match (values(row).as_deref(), u32::try_from(rowid)) {
        (Some([_, Value::Blob(blob)]), Ok(number)) if number > 0 => Ok((number, blob)),
        _ => Err(broken(format!("row {rowid} of \"Packages\" is no header"))),
    }
}

/// The database with the packages that stay; a new file without free pages and journal.
///
/// # Errors
/// See [`packages`]; a table that names packages in a way that is not rpm's.
pub fn rewrite(file: &[u8], log: &[u8], fate: impl Fn(u32) -> Fate) -> Result<Vec<u8>, ContainerError> {
    let mut database = read(file, log)?;
    let mut gone = BTreeSet::new();
    let mut rows_of = Vec::new();
    for (rowid, row) in rows(&database)? {
        let (number, _) = header(*rowid, row)?;
        match fate(number) {
            Fate::Keep => rows_of.push((*rowid, row.clone())),
            Fate::Replace(blob) => rows_of.push((*rowid, record(&[Value::Null, Value::Blob(&blob)]))),
            Fate::Drop => drop(gone.insert(i64::from(number))),
        }
    }
    let mut dropped: Vec<(String, BTreeSet<i64>)> = Vec::new();
    for object in database.objects.iter_mut().filter(|object| object.kind == "table") {
        if object.name == "Packages" {
            object.entries = Entries::Rows(std::mem::take(&mut rows_of));
        } else if names_packages(object) {
            dropped.push((object.name.clone(), filter(object, &gone)?));
        }
    }
    for (table, rows) in dropped.iter().filter(|(_, rows)| !rows.is_empty()) {
        for index in database.objects.iter_mut().filter(|object| object.table == *table) {
            let Entries::Keys(keys) = &mut index.entries else { continue };
            let mut fine = true;
            keys.retain(|key| match values(key).and_then(|all| all.last().copied()) {
                Some(Value::Integer(row)) => !rows.contains(&row),
                _ => {
                    fine = false;
                    true
                }
            });
            if !fine {
                return Err(broken(format!("an entry of \"{}\" is broken", crate::line::shown(index.name.as_bytes()))));
            }
        }
    }
    write(&database)
}

/// A table of key, package's number, index (`lib/backend/sqlite.cc`).
fn names_packages(object: &Object) -> bool {
    object.sql.as_ref().is_some_and(|sql| sql.contains("hnum"))
}

/// Takes the rows of packages that are gone out of a table; gives their numbers.
fn filter(object: &mut Object, gone: &BTreeSet<i64>) -> Result<BTreeSet<i64>, ContainerError> {
    let mut out = BTreeSet::new();
    let name = crate::line::shown(object.name.as_bytes());
    let Entries::Rows(rows) = &mut object.entries else {
        return Err(broken(format!("\"{name}\" is not a plain table")));
    };
    let mut broken_row = None;
    rows.retain(|(rowid, row)| match values(row).as_deref() {
        Some([_, Value::Integer(number), Value::Integer(_)]) => {
            let goes = gone.contains(number);
            if goes {
                out.insert(*rowid);
            }
            !goes
        }
        _ => {
            broken_row = Some(*rowid);
            true
        }
    });
    match broken_row {
        Some(row) => Err(broken(format!("row {row} of \"{name}\" is broken"))),
        None => Ok(out),
    }
}
