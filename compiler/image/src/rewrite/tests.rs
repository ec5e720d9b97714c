//! New bytes, from decisions made on small bases.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use plan::facts::{Facts, Group, User};
use plan::kept::{AccountDecision, AccountFate, Content, Entry, Kept, LayerKind, PackageDecision};
use plan::path::ImagePath;
use plan::reason::Reason;
use plan::tree::NodeKind;

use super::rewrite;
use crate::survey::tests::{Small, path, stanza};

/// Decisions as `plan` makes them: these paths (and all below) go, these packages and accounts stay.
pub(super) struct Decided<'a> {
    gone: &'a [&'a str],
    packages: &'a [&'a str],
    users: &'a [&'a str],
    created: Vec<User>,
    /// Members of groups after the decision.
    members: BTreeMap<&'a str, &'a [&'a str]>,
}

impl Decided<'_> {
    fn kept(&self, facts: &Facts) -> Kept {
        let reason = Reason::fact("a test");
        let gone: Vec<ImagePath> = self.gone.iter().map(|p| path(p)).collect();
        let rewritten = |at: &ImagePath| {
            let text = at.to_str().unwrap();
            let account = plan::decide::keep::ACCOUNT_FILES.contains(&text);
            let ours = [".list", ".md5sums", ".conffiles", "status", "diversions", "statoverride"];
            let folder = ["/triggers/", "/alternatives/", "/status.d/"];
            let database = text.starts_with("/var/lib/dpkg/");
            let others = text.starts_with("/lib/apk/db/") || text == "/etc/apk/world";
            account
                || others
                || database && (ours.iter().any(|e| text.ends_with(e)) || folder.iter().any(|f| text.contains(f)))
        };
        let mut entries = BTreeMap::new();
        for (at, node) in &facts.tree.nodes {
            if gone.iter().any(|gone| at.is_within(gone)) {
                continue;
            }
            let rewrite = matches!(node.kind, NodeKind::File(_)) && rewritten(at);
            let content = if rewrite { Content::Rewrite } else { Content::Base };
            let entry = Entry { node: node.clone(), content, layer: LayerKind::Os, reason: reason.clone() };
            entries.insert(at.clone(), entry);
        }
        let packages = facts.packages.packages.iter().map(|p| PackageDecision {
            name: p.name.clone(),
            arch: p.arch.clone(),
            version: p.version.clone(),
            source: None,
            kept: self.packages.contains(&p.name.as_str()),
            reason: reason.clone(),
            missing: p.paths.iter().filter(|p| gone.iter().any(|gone| p.is_within(gone))).cloned().collect(),
            size: 0,
        });
        let fate = |name: &str| match self.users.contains(&name) {
            true => AccountFate::Kept,
            false => AccountFate::Removed,
        };
        let decision = |name: &str| (fate(name), reason.clone());
        let users = facts.accounts.users.iter().map(|user| {
            let (fate, reason) = decision(&user.name);
            AccountDecision { account: user.clone(), fate, reason }
        });
        let created = |account| AccountDecision { account, fate: AccountFate::Created, reason: reason.clone() };
        let groups = facts.accounts.groups.iter().map(|group| {
            let (fate, reason) = decision(&group.name);
            let mut account = group.clone();
            if let Some(members) = self.members.get(group.name.as_str()) {
                account.members = members.iter().map(|m| (*m).into()).collect();
            }
            AccountDecision { account, fate, reason }
        });
        let own = self.created.iter().map(|u| Group { name: u.name.clone(), gid: u.gid, members: Vec::new() });
        Kept {
            entries,
            removed: BTreeMap::new(),
            packages: packages.collect(),
            users: users.chain(self.created.iter().cloned().map(created)).collect(),
            groups: groups
                .chain(own.map(|account| AccountDecision {
                    account,
                    fate: AccountFate::Created,
                    reason: reason.clone(),
                }))
                .collect(),
            programs: Vec::new(),
            needed: BTreeMap::new(),
            setuid: Vec::new(),
            deviations: Vec::new(),
        }
    }
}

pub(super) fn decided<'a>(gone: &'a [&'a str], packages: &'a [&'a str]) -> Decided<'a> {
    Decided { gone, packages, users: &["root"], created: Vec::new(), members: BTreeMap::new() }
}

pub(super) fn run(base: &Small, decided: &Decided<'_>) -> Kept {
    let facts = base.facts();
    let (kept, found) = rewrite(decided.kept(&facts), &facts, base);
    assert!(found.0.is_empty(), "{found:#?}");
    assert!(kept.entries.values().all(|entry| entry.content != Content::Rewrite));
    kept
}

pub(super) fn text<'a>(kept: &'a Kept, at: &str) -> &'a str {
    match &kept.entries.get(&path(at)).unwrap_or_else(|| panic!("{at} is gone")).content {
        Content::Bytes(bytes) => std::str::from_utf8(bytes).unwrap(),
        other => panic!("{at} is {other:?}"),
    }
}

pub(super) fn is_base(kept: &Kept, at: &str) -> bool {
    let entry = &kept.entries[&path(at)];
    entry.content == Content::Base && entry.node.mtime == 1
}

fn accounts() -> Small {
    let mut base = Small::default();
    base.file("/app", "x")
        .file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nold:x:5:5::/:\n# note\nbad\n+::::::\n")
        .file("/etc/group", "root:x:0:old,root\nold:x:5:\n")
        .file("/etc/shadow", "root:*:19000:0:99999:7:::\nold:$6$hash:19000:0:99999:7:::\n")
        .file("/etc/gshadow", "root:*:old:old,root\nold:!::\n")
        .file("/etc/subuid", "old:100000:65536\nroot:165536:65536\n5:1:1\n");
    base
}

#[test]
fn accounts_follow_the_decisions() {
    let (home, shell) = ("/nonexistent".into(), "/usr/sbin/nologin".into());
    let web = User { name: "web".into(), uid: 20001, gid: 20001, comment: "The Web".into(), home, shell };
    let mut all = decided(&[], &[]);
    all.created = vec![web];
    all.members = BTreeMap::from([("root", &["root", "web"][..])]);
    let kept = run(&accounts(), &all);
    assert_eq!(
        text(&kept, "/etc/passwd"),
        "root:x:0:0:root:/root:/bin/bash\n# note\nweb:x:20001:20001:The Web:/nonexistent:/usr/sbin/nologin\n"
    );
    assert_eq!(text(&kept, "/etc/group"), "root:x:0:root,web\nweb:x:20001:\n");
    assert_eq!(text(&kept, "/etc/shadow"), "root:*:19000:0:99999:7:::\nweb:!*:::::::\n");
    assert_eq!(text(&kept, "/etc/gshadow"), "root:*::root,web\nweb:!*::\n");
    assert_eq!(text(&kept, "/etc/subuid"), "root:165536:65536\n");
}

#[test]
fn what_does_not_change_stays_the_bases() {
    let mut base = Small::default();
    base.file("/app", "x").file("/etc/passwd", "root:x:0:0::/root:/bin/sh").file("/etc/group", "root:x:0:\n");
    let kept = run(&base, &decided(&[], &[]));
    assert!(is_base(&kept, "/etc/passwd") && is_base(&kept, "/etc/group"));
}

fn debian() -> Small {
    let mut base = Small::default();
    let conf =
        "Conffiles:\n /etc/app.conf 9e107d9d372bb6826bd81d3542a419d6\n /etc/gone.conf 9e107d9d372bb6826bd81d3542a419d6";
    let status = [
        stanza("app", &format!("{conf}\nDescription: ünïcode")),
        stanza("other", ""),
        "Package: rc\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n".into(),
    ];
    base.file("/usr/bin/app", "x")
        .file("/usr/bin/other", "x")
        .file("/usr/share/man/app.1", "x")
        .file("/etc/app.conf", "The quick brown fox jumps over the lazy dog")
        .file("/etc/gone.conf", "x")
        .link("/bin", "usr/bin")
        .link("/usr/bin/pager", "/etc/alternatives/pager")
        .link("/etc/alternatives/pager", "/usr/bin/app")
        .file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nold:x:5:5::/:\n")
        .file("/etc/group", "root:x:0:\nold:x:5:\n")
        .file("/var/lib/dpkg/status", status.concat())
        .file(
            "/var/lib/dpkg/info/app.list",
            "/.\n/bin\n/bin/app\n/usr/share/man/app.1\n/etc/app.conf\n/etc/gone.conf\n",
        )
        .file("/var/lib/dpkg/info/app.conffiles", "/etc/app.conf\n/etc/gone.conf\n")
        .file("/var/lib/dpkg/info/other.list", "/.\n/usr/bin/other\n")
        .file("/var/lib/dpkg/info/rc.list", "/etc/rc\n")
        .file("/var/lib/dpkg/diversions", "/usr/bin/app\n/usr/bin/app.old\n:\n/usr/bin/x\n/usr/bin/y\nother\n")
        .file(
            "/var/lib/dpkg/statoverride",
            "old root 755 /usr/bin/app\nroot root 755 /usr/bin/app\nroot root 755 /gone\n",
        )
        .file("/var/lib/dpkg/triggers/File", "/usr/share/x app\n/usr/share/y other/noawait\n")
        .file("/var/lib/dpkg/triggers/ldconfig", "other/noawait\n")
        .file("/var/lib/dpkg/alternatives/pager", "auto\n/usr/bin/pager\n\n/usr/bin/app\n5\n/usr/bin/other\n9\n\n");
    let sums = "d41d8cd98f00b204e9800998ecf8427e  bin/app\nd41d8cd98f00b204e9800998ecf8427e  usr/share/man/app.1\n";
    base.file("/var/lib/dpkg/info/app.md5sums", sums);
    base
}

#[test]
fn the_database_tells_what_is_there() {
    let gone = ["/usr/share/man", "/etc/gone.conf", "/usr/bin/other", "/var/lib/dpkg/info/other.list"];
    let kept = run(&debian(), &decided(&gone, &["app"]));
    let status = text(&kept, "/var/lib/dpkg/status");
    let conf = "Conffiles:\n /etc/app.conf 9e107d9d372bb6826bd81d3542a419d6";
    assert_eq!(status, stanza("app", &format!("{conf}\nDescription: ünïcode")));
    assert_eq!(text(&kept, "/var/lib/dpkg/info/app.list"), "/.\n/bin\n/bin/app\n/etc/app.conf\n");
    assert_eq!(text(&kept, "/var/lib/dpkg/info/app.md5sums"), "d41d8cd98f00b204e9800998ecf8427e  bin/app\n");
    assert_eq!(text(&kept, "/var/lib/dpkg/info/app.conffiles"), "/etc/app.conf\n");
    assert!(kept.removed.contains_key(&path("/var/lib/dpkg/triggers/ldconfig")));
    assert_eq!(text(&kept, "/var/lib/dpkg/diversions"), "/usr/bin/app\n/usr/bin/app.old\n:\n");
    assert_eq!(text(&kept, "/var/lib/dpkg/statoverride"), "root root 755 /usr/bin/app\n");
    assert_eq!(text(&kept, "/var/lib/dpkg/triggers/File"), "/usr/share/x app\n");
    assert_eq!(text(&kept, "/var/lib/dpkg/alternatives/pager"), "auto\n/usr/bin/pager\n\n/usr/bin/app\n5\n\n");
    assert!(kept.deviations.is_empty(), "{:?}", kept.deviations);
}

#[test]
fn an_alternative_whose_link_goes_is_forgotten() {
    let mut base = debian();
    base.link("/etc/alternatives/pager", "/usr/bin/other");
    let kept = run(&base, &decided(&["/usr/bin/pager", "/etc/alternatives/pager", "/usr/bin/other"], &["app"]));
    assert!(kept.removed.contains_key(&path("/var/lib/dpkg/alternatives/pager")));
}

#[test]
fn what_the_base_changed_is_a_deviation() {
    let mut base = debian();
    base.file("/etc/app.conf", "changed by hand");
    let kept = run(&base, &decided(&[], &["app"]));
    let lines: Vec<_> = kept.deviations.iter().map(|d| d.line.as_str()).collect();
    assert_eq!(lines, ["??5?????? c /etc/app.conf", "??5?????? c /etc/gone.conf"]);
}

#[test]
fn distroless_files_go_with_their_package() {
    let mut base = Small::default();
    base.file("/app", "x")
        .file("/usr/share/zoneinfo/UTC", "x")
        .file("/usr/share/zoneinfo/CET", "x")
        .file("/var/lib/dpkg/status.d/tz", "Package: tz\nVersion: 1\nArchitecture: all\n")
        .file("/var/lib/dpkg/status.d/gone", "Package: gone\nVersion: 1\nArchitecture: all\n");
    let sum = "d41d8cd98f00b204e9800998ecf8427e  usr/share/zoneinfo/";
    base.file("/var/lib/dpkg/status.d/tz.md5sums", format!("{sum}UTC\n{sum}CET\n"));
    let kept = run(&base, &decided(&["/usr/share/zoneinfo/CET", "/var/lib/dpkg/status.d/gone"], &["tz"]));
    assert!(is_base(&kept, "/var/lib/dpkg/status.d/tz"));
    assert_eq!(text(&kept, "/var/lib/dpkg/status.d/tz.md5sums"), format!("{sum}UTC\n"));
}
