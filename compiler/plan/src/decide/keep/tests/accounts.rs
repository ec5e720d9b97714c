//! Users and groups.

use super::*;
use crate::kept::AccountFate::{Created, Kept as Stays, Removed};

fn user(name: &str, uid: IdChoice, gid: IdChoice) -> CreateUser {
    CreateUser { name: word(name), uid: said(uid), gid: said(gid), home: None, shell: None, comment: None }
}

fn group(name: &str, gid: IdChoice, members: &[&str]) -> CreateGroup {
    CreateGroup { name: word(name), gid: said(gid), members: members.iter().map(|m| word(m)).collect() }
}

fn users(kept: &Kept) -> Vec<(&str, u32, crate::kept::AccountFate)> {
    kept.users.iter().map(|u| (u.account.name.as_str(), u.account.uid, u.fate)).collect()
}

#[test]
fn the_others_go_unless_a_file_belongs_to_them() {
    let mut base = Base::debian();
    assert_eq!(users(&base.kept(&spec())), [("root", 0, Stays), ("nobody", 65534, Removed), ("www-data", 33, Removed)]);
    base.file("/opt/www", 0o644).uid = 33;
    let kept = base.kept(&spec());
    assert_eq!(users(&kept)[2].2, Stays);
    assert_eq!(kept.users[2].reason.in_words(), "/opt/www belongs to it");
    // The primary group of a user that stays stays.
    assert_eq!(kept.groups.iter().find(|g| g.account.name == "www-data").unwrap().fate, Stays);
}

#[test]
fn the_image_user_stays() {
    let mut base = Base::debian();
    let mut wanted = spec();
    wanted.image.user = Some(word("www-data"));
    assert_eq!(users(&base.kept(&wanted))[2].2, Stays);
    base.facts.config = serde_json::json!({"config": {"User": "nobody"}});
    assert_eq!(users(&base.kept(&spec()))[1].2, Stays);
}

#[test]
fn new_accounts_get_their_ids_from_the_lock() {
    let mut base = Base::debian();
    base.ids.users.insert("web".into(), 20001);
    base.ids.groups.insert("web".into(), 20002);
    let mut wanted = spec();
    wanted.users.create = vec![user("web", IdChoice::Auto, IdChoice::Auto)];
    wanted.users.groups = vec![group("certs", IdChoice::Fixed(20003), &["web", "www-data"])];
    let kept = base.kept(&wanted);
    assert_eq!(*users(&kept).last().unwrap(), ("web", 20001, Created));
    assert_eq!(kept.users.last().unwrap().account.shell, "/usr/sbin/nologin");
    let groups: Vec<_> = kept.groups.iter().filter(|g| g.fate == Created).map(|g| &g.account).collect();
    assert_eq!((groups[0].name.as_str(), groups[0].gid), ("web", 20002));
    assert_eq!((groups[1].name.as_str(), groups[1].members.len()), ("certs", 2));
    assert_eq!(users(&kept)[2].2, Stays, "a member stays");
    assert_eq!(super::super::wanted_ids(&wanted).0.into_iter().collect::<Vec<_>>(), ["web"]);
}

#[test]
fn an_id_that_is_not_in_the_lock() {
    let mut wanted = spec();
    wanted.users.create = vec![user("web", IdChoice::Auto, IdChoice::Fixed(20001))];
    assert_eq!(Base::debian().codes(&wanted), ["E0624"]);
}

#[test]
fn taken_names_and_ids_are_errors() {
    let base = Base::debian();
    for (name, uid, gid) in [("www-data", 20001, 20001), ("web", 33, 20001), ("web", 20001, 33)] {
        let mut wanted = spec();
        wanted.users.create = vec![user(name, IdChoice::Fixed(uid), IdChoice::Fixed(gid))];
        assert_eq!(base.codes(&wanted), ["E0621"], "{name} {uid} {gid}");
    }
    let mut wanted = spec();
    wanted.users.create = vec![
        user("a", IdChoice::Fixed(20001), IdChoice::Fixed(20001)),
        user("b", IdChoice::Fixed(20001), IdChoice::Fixed(20002)),
    ];
    assert_eq!(base.codes(&wanted), ["E0621"]);
    let mut wanted = spec();
    wanted.users.groups = vec![group("www-data", IdChoice::Fixed(34), &[])];
    assert_eq!(base.codes(&wanted), ["E0621"]);
    wanted.users.groups = vec![group("www-data", IdChoice::Auto, &["nobody"])];
    let kept = base.kept(&wanted);
    assert_eq!(kept.groups[2].account.members, ["nobody"]);
}

#[test]
fn unknown_names_are_errors() {
    let base = Base::debian();
    let mut wanted = spec();
    wanted.users.keep.push(word("noobdy"));
    let (_, found) = base.keep(&wanted);
    assert_eq!(found.0[0].code.id(), "E0620");
    assert!(found.0[0].help[0].contains("nobody"));
    let mut wanted = spec();
    wanted.users.groups = vec![group("certs", IdChoice::Fixed(20001), &["ghost"])];
    assert_eq!(base.codes(&wanted), ["E0620"]);
}

#[test]
fn members_that_go_are_no_members() {
    let mut base = Base::debian();
    base.facts.accounts.groups[0].members = vec!["www-data".into(), "root".into()];
    let kept = base.kept(&spec());
    assert_eq!(kept.groups[0].account.members, ["root"]);
}

#[test]
fn scratch_gets_account_files() {
    let mut base = Base::empty();
    base.facts.accounts = AccountFacts::default();
    base.facts.packages.family = Family::None;
    base.world.0.insert("app".into(), b"#!/app\n".to_vec());
    let mut wanted = spec();
    wanted.users.keep.clear();
    wanted.image.entrypoint = vec![word("/app")];
    wanted.users.create = vec![user("web", IdChoice::Fixed(20001), IdChoice::Fixed(20001))];
    wanted.files.unowned = None;
    let source = SourcePath { root: "/".into(), path: "app".into() };
    let what = AddWhat::Copy(said(source));
    wanted.files.add = vec![AddFile { to: word("/app"), span: said(()).span, owner: None, mode: None, what }];
    let kept = base.kept(&wanted);
    assert!(kept.entries.contains_key(&path("/etc/passwd")) && kept.entries.contains_key(&path("/etc")));
}
