//! Files that we make are read back, and a real SQLite finds nothing wrong with them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::record::{Value, put_varint, record, values, varint};
use super::*;
use crate::rpm::{Fate, Record};

/// A database like rpm's: so many packages, each with a header of some size and a thousand names.
pub(in crate::rpm) fn sample(page: u16, packages: i64) -> Database {
    let mut head = vec![0; 100];
    head[..16].copy_from_slice(MAGIC);
    head[16..18].copy_from_slice(&page.to_be_bytes());
    head[18..24].copy_from_slice(&[2, 2, 0, 64, 32, 32]);
    head[24..28].copy_from_slice(&7_u32.to_be_bytes());
    head[44..48].copy_from_slice(&4_u32.to_be_bytes());
    head[56..60].copy_from_slice(&1_u32.to_be_bytes());
    let object = |kind: &str, name: &str, table: &str, sql: &str, rowid, entries| Object {
        kind: kind.into(),
        name: name.into(),
        table: table.into(),
        sql: Some(sql.into()),
        rowid,
        entries,
    };
    let blob = |n: i64| vec![n as u8; (n * 977 % 20_000) as usize];
    let row = |n| (n, record(&[Value::Null, Value::Blob(&blob(n))]));
    let rows = (1..=packages).map(row).collect();
    let key = |n: i64| format!("{:08}", n * 7919 % 1_000_003);
    let name = |n| record(&[Value::Text(key(n).as_bytes()), Value::Integer(n % packages + 1), Value::Integer(n % 300)]);
    let names: Vec<(i64, Vec<u8>)> = (1..=packages * 50).map(|n| (n, name(n))).collect();
    let mut keys: Vec<(String, i64)> = (1..=packages * 50).map(|n| (key(n), n)).collect();
    keys.sort();
    let keys = keys.into_iter().map(|(key, n)| record(&[Value::Text(key.as_bytes()), Value::Integer(n)])).collect();
    let name_table = "CREATE TABLE 'Name' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL, FOREIGN KEY \
                      (hnum) REFERENCES 'Packages'(hnum))";
    let mut objects = vec![
        object(
            "table",
            "Packages",
            "Packages",
            "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY,blob BLOB NOT NULL)",
            1,
            Entries::Rows(rows),
        ),
        object("table", "Name", "Name", name_table, 2, Entries::Rows(names)),
        object(
            "index",
            "Name_key_idx",
            "Name",
            "CREATE INDEX 'Name_key_idx' ON 'Name'(key ASC)",
            3,
            Entries::Keys(keys),
        ),
    ];
    // So many that the schema does not fit on the first page.
    for n in 4..40 {
        let sql = name_table.replace("Name", &format!("T{n}"));
        objects.push(object("table", &format!("T{n}"), &format!("T{n}"), &sql, n, Entries::Rows(Vec::new())));
    }
    Database { head, objects }
}

fn same(a: &Database, b: &Database) {
    assert_eq!(a.objects.len(), b.objects.len());
    for (a, b) in a.objects.iter().zip(&b.objects) {
        assert_eq!((&a.kind, &a.name, &a.sql, a.rowid), (&b.kind, &b.name, &b.sql, b.rowid));
        let entries = |o: &Object| format!("{:?}", o.entries);
        assert_eq!(entries(a), entries(b), "{}", a.name);
    }
}

#[test]
fn integers_and_records_go_round() {
    for n in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), (1 << 56) - 1, 1 << 56, u64::MAX] {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, n);
        assert_eq!(varint(&bytes, 0), Some((n, bytes.len())), "{n}");
    }
    assert_eq!(varint(&[0x80], 0), None);
    let long = vec![b'x'; 300];
    let integers = [0, 1, -1, 127, 128, -128, -129, 40_000, 1 << 23, 1 << 40, i64::MAX, i64::MIN];
    let mut all: Vec<Value<'_>> = integers.iter().map(|n| Value::Integer(*n)).collect();
    all.extend([Value::Null, Value::Blob(&long), Value::Text(b"")]);
    assert_eq!(values(&record(&all)).unwrap(), all);
    assert_eq!(values(&[2, 10]), None);
    assert_eq!(values(&[9, 1]), None);
}

#[test]
fn trees_of_all_heights_go_round() {
    for (page, packages) in [(512, 1), (512, 300), (1024, 77), (4096, 400), (1, 30)] {
        let database = sample(page, packages);
        let file = write(&database).unwrap();
        same(&database, &read(&file, &[]).unwrap());
        assert_eq!(write(&database).unwrap(), file);
    }
}

#[test]
fn a_package_goes_with_all_that_names_it() {
    let file = write(&sample(4096, 20)).unwrap();
    let fate = |n| match n {
        3 => Fate::Drop,
        4 => Fate::Replace(b"new".to_vec()),
        _ => Fate::Keep,
    };
    let new = rewrite(&file, &[], fate).unwrap();
    let all = packages(&new, &[]).unwrap();
    assert_eq!((all.len(), &all[2]), (19, &Record { number: 4, blob: b"new".to_vec() }));
    let database = read(&new, &[]).unwrap();
    let count = |name: &str| match &database.objects.iter().find(|o| o.name == name).unwrap().entries {
        Entries::Rows(rows) => rows.len(),
        Entries::Keys(keys) => keys.len(),
        Entries::None => 0,
    };
    assert_eq!((count("Name"), count("Name_key_idx")), (950, 950));
}

#[test]
fn broken_files_are_refused() {
    let file = write(&sample(512, 3)).unwrap();
    let fails = |file: &[u8]| read(file, &[]).unwrap_err().what;
    assert_eq!(fails(b"SQLite"), "this is not a SQLite database");
    assert_eq!(fails(&file[..1024]), "there is no such page");
    let mut odd = file.clone();
    odd[16] = 3;
    assert_eq!(fails(&odd), "the size of a page is impossible");
    // Each byte in turn: an error or other content, never a panic.
    for at in (0..file.len()).step_by(11) {
        let mut odd = file.clone();
        odd[at] ^= 0xff;
        let _ = rewrite(&odd, &[], |_| Fate::Keep);
        let _ = read(&file, &odd[..2000]);
    }
}
