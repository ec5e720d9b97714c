//! Tables of the page: plain rows, which the script makes searchable, sortable and paged.

use std::fmt::Write as _;

use plan::kept::{AccountDecision, AccountFate, Content, Kept, PackageDecision};
use plan::profile::{Action, Profile};
use serde_json::Value;

use super::text::{Place, escape, reason};
use crate::human::bytes;

/// Rows that a table holds; a base with more is hostile, and `report.json` has them all.
const MOST: usize = 3_000;

/// A column: its title, and how it is shown.
pub(super) struct Column {
    title: &'static str,
    kind: Kind,
}

/// How a column is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Words.
    Text,
    /// A path or a name: in a fixed width, from left to right whatever it holds.
    Code,
    /// A number, ordered by value.
    Number,
    /// One of a few words, offered as a filter.
    Choice,
}

/// What a cell holds, not escaped yet.
pub(super) struct Cell {
    text: String,
    /// Orders in place of the text.
    value: Option<u64>,
    /// The line of the spec.
    at: Option<String>,
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), value: None, at: None }
    }

    fn number(value: u64) -> Self {
        Self { text: value.to_string(), value: Some(value), at: None }
    }

    fn nothing() -> Self {
        Self { text: "–".to_owned(), value: Some(0), at: None }
    }

    fn size(value: u64) -> Self {
        Self { text: bytes(value), value: Some(value), at: None }
    }

    fn reason((text, at): (String, Option<String>)) -> Self {
        Self { text, value: None, at }
    }
}

/// A table.
pub(super) struct Table {
    label: &'static str,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// What an empty one says.
    empty: &'static str,
}

impl Table {
    fn new(label: &'static str, empty: &'static str, columns: &[(&'static str, Kind)]) -> Self {
        let columns = columns.iter().map(|(title, kind)| Column { title, kind: *kind }).collect();
        Self { label, columns, rows: Vec::new(), empty }
    }

    /// As HTML.
    pub fn html(&self) -> String {
        if self.rows.is_empty() {
            return format!("<p class=none>{}</p>\n", self.empty);
        }
        let mut out = format!("<div class=data data-label=\"{}\">", self.label);
        head(&mut out, &self.columns);
        out.push_str("<tbody>\n");
        for row in self.rows.iter().take(MOST) {
            out.push_str("<tr>");
            for (column, cell) in self.columns.iter().zip(row) {
                one(&mut out, column, cell);
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table></div>\n");
        if self.rows.len() > MOST {
            let rest = self.rows.len() - MOST;
            let _ = writeln!(out, "<p class=dim>{rest} more are in <code>report.json</code>.</p>");
        }
        out
    }
}

/// `<table><thead>…</thead>`, without an end.
pub(super) fn head(out: &mut String, columns: &[Column]) {
    out.push_str("<table><thead><tr>");
    for column in columns {
        let filter = if column.kind == Kind::Choice { " data-choice" } else { "" };
        let _ = write!(out, "<th scope=col{}{filter}>{}</th>", class(column.kind), column.title);
    }
    out.push_str("</tr></thead>");
}

/// The columns of the list of removed paths, whose rows the script makes.
pub(super) fn removed_columns() -> [Column; 3] {
    [
        Column { title: "path", kind: Kind::Code },
        Column { title: "size", kind: Kind::Number },
        Column { title: "because", kind: Kind::Choice },
    ]
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Number => " class=n",
        Kind::Code => " class=c",
        Kind::Choice => " class=s",
        Kind::Text => "",
    }
}

fn one(out: &mut String, column: &Column, cell: &Cell) {
    let value = cell.value.map_or_else(String::new, |value| format!(" data-v={value}"));
    let title = column.title;
    let _ = write!(out, "<td{}{value} data-l=\"{title}\">{}", class(column.kind), escape(&cell.text));
    if let Some(at) = &cell.at {
        let _ = write!(out, " <code class=at>{}</code>", escape(at));
    }
    out.push_str("</td>");
}

/// Packages with their fate.
pub(super) fn packages(packages: &[PackageDecision], place: &Place<'_>) -> Table {
    use Kind::{Choice, Code, Number, Text};
    let columns = [
        ("package", Code),
        ("version", Code),
        ("fate", Choice),
        ("size", Number),
        ("paths gone", Number),
        ("because", Text),
    ];
    let mut table = Table::new("packages", "The base has no package database.", &columns);
    for package in packages {
        let fate = match (package.kept, package.missing.is_empty()) {
            (true, true) => "kept whole",
            (true, false) => "kept in part",
            (false, _) => "removed",
        };
        table.rows.push(vec![
            Cell::text(&package.name),
            Cell::text(&package.version),
            Cell::text(fate),
            Cell::size(package.size),
            if package.kept { Cell::number(package.missing.len() as u64) } else { Cell::nothing() },
            Cell::reason(reason(&package.reason, place)),
        ]);
    }
    table
}

/// Files that the spec added or the build rewrote.
pub(super) fn written(kept: &Kept, place: &Place<'_>) -> Table {
    let columns = [("path", Kind::Code), ("size", Kind::Number), ("because", Kind::Text)];
    let mut table = Table::new("written files", "All files are the base's own.", &columns);
    for (path, entry) in &kept.entries {
        if entry.content != Content::Base && !entry.node.is_directory() {
            table.rows.push(vec![
                Cell::text(path.to_string()),
                Cell::size(entry.node.size()),
                Cell::reason(reason(&entry.reason, place)),
            ]);
        }
    }
    table
}

/// Users, then groups.
pub(super) fn accounts(kept: &Kept, place: &Place<'_>) -> Table {
    use Kind::{Choice, Code, Number, Text};
    let columns = [("account", Code), ("kind", Choice), ("id", Number), ("fate", Choice), ("because", Text)];
    let mut table = Table::new("accounts", "There are no accounts.", &columns);
    let users = kept.users.iter().map(|user| row(user, &user.account.name, "user", user.account.uid, place));
    let groups = kept.groups.iter().map(|group| row(group, &group.account.name, "group", group.account.gid, place));
    table.rows = users.chain(groups).collect();
    table
}

fn row<T>(decision: &AccountDecision<T>, name: &str, kind: &str, id: u32, place: &Place<'_>) -> Vec<Cell> {
    let fate = match decision.fate {
        AccountFate::Kept => "kept",
        AccountFate::Removed => "removed",
        AccountFate::Created => "created",
    };
    let why = Cell::reason(reason(&decision.reason, place));
    vec![Cell::text(name), Cell::text(kind), Cell::number(u64::from(id)), Cell::text(fate), why]
}

/// Setuid and setgid files of the base.
pub(super) fn setuid(kept: &Kept) -> Table {
    let columns = [("path", Kind::Code), ("mode in the base", Kind::Code), ("in the image", Kind::Choice)];
    let empty = "No file that stays had a setuid or setgid bit.";
    let mut table = Table::new("setuid files", empty, &columns);
    for (path, mode, stripped) in &kept.setuid {
        let now = if *stripped { "stripped" } else { "kept" };
        table.rows.push(vec![Cell::text(path.to_string()), Cell::text(format!("{mode:04o}")), Cell::text(now)]);
    }
    table
}

/// Expected lines of the verify command.
pub(super) fn deviations(kept: &Kept) -> Table {
    let columns = [("line", Kind::Code), ("because", Kind::Text)];
    let mut table = Table::new("deviations", "Nothing: it will find the image clean.", &columns);
    for deviation in &kept.deviations {
        table.rows.push(vec![Cell::text(&deviation.line), Cell::text(&deviation.why)]);
    }
    table
}

/// The named calls of a profile; the last row says what happens at any other.
pub(super) fn calls(profile: &Profile, otherwise: &str, place: &Place<'_>) -> Table {
    let columns = [("call", Kind::Code), ("answer", Kind::Choice), ("because", Kind::Text)];
    let mut table = Table::new("system calls", "", &columns);
    for (name, call) in &profile.calls {
        let answer = match call.action {
            Action::Allow => "allowed".to_owned(),
            Action::Errno(number) => format!("refused with error {number}"),
        };
        table.rows.push(vec![Cell::text(name), Cell::text(answer), Cell::reason(reason(&call.reason, place))]);
    }
    table.rows.push(vec![
        Cell::text("any other"),
        Cell::text(otherwise.trim_start_matches("any other ")),
        Cell::text("it is not named"),
    ]);
    table
}

/// `requires` of report.json, a row for each thing.
pub(super) fn requires(requires: &Value) -> Table {
    let columns = [("what", Kind::Choice), ("name", Kind::Code), ("stage", Kind::Choice)];
    let mut table = Table::new("requirements", "Nothing beyond Kubernetes itself.", &columns);
    let mut add = |what: &str, name: &str, stage: &str| {
        table.rows.push(vec![Cell::text(what), Cell::text(name), Cell::text(stage)]);
    };
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
    };
    for secret in texts(&requires["secrets"]) {
        add("secret", &secret, "every stage");
    }
    for profile in texts(&requires["node_profiles"]) {
        add("profile on the node", &profile, "every stage");
    }
    for (stage, value) in requires["stages"].as_object().into_iter().flatten() {
        let namespace = &value["namespace"];
        if namespace["created"] == false
            && let Some(name) = namespace["name"].as_str()
        {
            add("namespace", name, stage);
        }
        for (key, what) in
            [("storage_classes", "storage class"), ("provisioners", "provisioner"), ("credentials", "credentials of")]
        {
            for name in texts(&value[key]) {
                add(what, &name, stage);
            }
        }
    }
    table
}
