//! keep > needed > remove > the rest goes; links, directories, setuid.

use super::*;

#[test]
fn the_rest_goes_and_the_databases_stay() {
    let kept = Base::debian().kept(&spec());
    for stays in ["/etc/passwd", "/etc/os-release", "/usr/share/man/man1/hello.1.gz", "/etc/hello.conf"] {
        assert!(there(&kept, stays), "{stays}");
    }
    assert!(!there(&kept, "/usr/share/doc/perl-base/copyright"), "its package goes");
    // Every name of the base is in one of the two, and each has a reason that ends somewhere.
    assert!(kept.entries.values().all(|e| !e.reason.text.is_empty()));
}

#[test]
fn a_remove_line_takes_files_of_kept_packages() {
    let mut wanted = spec();
    wanted.files.remove = vec![removes("/usr/share/man/**", None), removes("/usr/share/doc/**", None)];
    let kept = Base::debian().kept(&wanted);
    assert!(!there(&kept, "/usr/share/man/man1/hello.1.gz"));
    assert!(!there(&kept, "/usr/share/man/man1"));
    assert_eq!(why_not(&kept, "/usr/share/man/man1/hello.1.gz"), "files remove \"/usr/share/man/**\"");
    // Licence texts stay unless a reason is given.
    assert!(why(&kept, "/usr/share/doc/hello/copyright").contains("licence"));
    wanted.files.remove[1].because = Some(word("kept elsewhere"));
    let kept = Base::debian().kept(&wanted);
    assert!(!there(&kept, "/usr/share/doc/hello/copyright"));
}

#[test]
fn a_glob_of_a_directory_takes_all_below() {
    let mut wanted = spec();
    wanted.files.remove = vec![removes("/usr/share/{man,locale}", None)];
    let kept = Base::debian().kept(&wanted);
    assert!(!there(&kept, "/usr/share/man/man1/hello.1.gz") && !there(&kept, "/usr/share/man"));
}

#[test]
fn needed_paths_go_only_with_a_reason() {
    let base = Base::debian();
    for glob in ["/usr/bin/hello", "/usr/lib/**", "/lib64", "/etc/passwd", "/var/lib/dpkg/**"] {
        let mut wanted = spec();
        wanted.files.remove = vec![removes(glob, None)];
        let (_, found) = base.keep(&wanted);
        let one = found.iter().find(|d| d.code.id() == "E0611").unwrap_or_else(|| panic!("{glob}"));
        assert!(!one.notes.is_empty() && one.primary.is_some());
    }
    let mut wanted = spec();
    wanted.files.remove = vec![removes("/usr/lib/**", Some("a trial"))];
    let kept = base.kept(&wanted);
    assert!(!there(&kept, "/usr/lib/x86_64-linux-gnu/libc.so.6"));
}

#[test]
fn kept_paths_never_go() {
    let mut wanted = spec();
    wanted.files.keep = vec![word("/etc/hello.conf")];
    wanted.files.remove = vec![removes("/etc/hello.*", Some("even so"))];
    assert_eq!(Base::debian().codes(&wanted), ["E0612"]);
}

#[test]
fn the_importer_overrules_what_it_imports() {
    let mut wanted = spec();
    wanted.files.keep = vec![word("/etc/hello.conf")];
    wanted.files.remove = vec![removes("/etc/hello.*", None)];
    wanted.files.keep[0].span.file = FileId(1);
    assert_eq!(Base::debian().codes(&wanted), ["E0612"]);
    wanted.overruling.insert(wanted.files.remove[0].what.span);
    assert!(!there(&Base::debian().kept(&wanted), "/etc/hello.conf"));
    wanted.files.keep[0].span.file = FileId(0);
    wanted.files.remove[0].what.span.file = FileId(1);
    wanted.overruling = [wanted.files.keep[0].span].into();
    assert!(there(&Base::debian().kept(&wanted), "/etc/hello.conf"));
}

#[test]
fn globs_without_a_match() {
    let base = Base::debian();
    let mut wanted = spec();
    wanted.files.keep = vec![word("/lib/x86_64-linux-gnu/**")];
    let (_, found) = base.keep(&wanted);
    assert_eq!((found.0[0].code.id(), found.has_errors()), ("E0609", true));
    assert!(found.0[0].help[0].contains("/usr/lib/x86_64-linux-gnu/**"));
    wanted.files.keep[0].span.file = FileId(1);
    assert!(!base.keep(&wanted).1.has_errors());
    for bad in ["etc/x", "/etc/[", "/{a"] {
        let mut wanted = spec();
        wanted.files.keep = vec![word(bad)];
        assert!(base.codes(&wanted).contains(&"E0610"), "{bad}");
    }
}

#[test]
fn kept_files_of_a_package_that_goes_are_told() {
    let mut wanted = spec();
    wanted.files.keep = vec![word("/usr/share/perl/**")];
    let (kept, found) = Base::debian().keep(&wanted);
    assert_eq!(found.0[0].code.id(), "E0614");
    assert!(found.0[0].message.contains("perl-base") && there(&kept, "/usr/share/perl/strict.pm"));
    assert!(
        why(&kept, "/usr/share/perl").contains("files keep") || why(&kept, "/usr/share/perl").contains("something")
    );
}

#[test]
fn many_unowned_files_must_be_spoken_of() {
    let mut base = Base::debian();
    base.file("/opt/tool/data.bin", 0o644);
    let mut wanted = spec();
    wanted.files.unowned = None;
    let (_, found) = base.keep(&wanted);
    let one = found.iter().find(|d| d.code.id() == "E0613").unwrap();
    assert!(one.notes.iter().any(|n| n.starts_with("/opt/tool: 1 file,")), "{:?}", one.notes);
    // One in a thousand need not.
    for n in 0..1000 {
        let name = format!("/usr/share/perl/{n}");
        base.file(&name, 0o644);
        base.facts.packages.packages[3].paths.push(path(&name));
    }
    let kept = base.kept(&wanted);
    assert!(why(&kept, "/opt/tool/data.bin").contains("less than 1 %"));
    wanted.files.unowned = Some(said(Unowned::Closure));
    assert!(why_not(&base.kept(&wanted), "/opt/tool/data.bin").contains("nothing reaches it"));
}

#[test]
fn links_that_we_broke_go() {
    let mut base = Base::debian();
    base.link("/usr/bin/perl5", "/etc/alternatives/perl");
    base.link("/etc/alternatives/perl", "/usr/bin/perl");
    base.link("/etc/alternatives/hi", "/usr/bin/hello");
    base.link("/opt/never", "/nowhere/at/all");
    base.link("/opt/only/dir", "/usr/share/perl");
    base.link("/opt/loop", "/opt/loop");
    let kept = base.kept(&spec());
    assert_eq!(
        why_not(&kept, "/etc/alternatives/perl"),
        "it led to /usr/bin/perl, which goes ← it is a file of perl-base ← nothing that stays depends on it"
    );
    assert!(!there(&kept, "/usr/bin/perl5"));
    assert!(!there(&kept, "/opt/only/dir"));
    assert!(there(&kept, "/etc/alternatives/hi"));
    assert!(there(&kept, "/opt/never"), "it was broken before");
    assert!(there(&kept, "/opt/loop"));
    // A directory that held only such a link goes when its package does, and links to it follow.
    base.package("links", &[], &["/opt/pack", "/opt/pack/l"]);
    base.link("/opt/pack/l", "/usr/share/perl");
    base.link("/opt/to-pack", "pack");
    assert!(!there(&base.kept(&spec()), "/opt/to-pack"));
}

#[test]
fn what_the_runtime_hides_goes() {
    let mut base = Base::debian();
    base.node("/dev/null", NodeKind::CharDevice { major: 1, minor: 3 }, 0o666);
    base.link("/dev/fd", "/proc/self/fd");
    base.directory("/proc");
    let kept = base.kept(&spec());
    assert!(there(&kept, "/dev") && there(&kept, "/proc"));
    assert!(!there(&kept, "/dev/null") && !there(&kept, "/dev/fd"));
    assert_eq!(why_not(&kept, "/dev/null"), "the runtime mounts /dev over it");
}

#[test]
fn compiled_files_go_with_their_source() {
    let mut base = Base::debian();
    base.file("/usr/lib/python3/foo/mod.py", 0o644);
    base.file("/usr/lib/python3/foo/__pycache__/mod.cpython-311.pyc", 0o644);
    base.package("foo", &[], &["/usr/lib/python3/foo", "/usr/lib/python3/foo/mod.py"]);
    let kept = base.kept(&spec());
    assert!(why_not(&kept, "/usr/lib/python3/foo/__pycache__/mod.cpython-311.pyc").contains("compiled from"));
}

#[test]
fn directories_stay_with_what_they_hold() {
    let mut base = Base::debian();
    base.directory("/srv/empty");
    base.directory("/usr/share/hello/empty");
    base.directory("/usr/share/perl/inner");
    base.facts.packages.packages[2].paths.push(path("/usr/share/hello/empty"));
    base.facts.packages.packages[3].paths.push(path("/usr/share/perl/inner"));
    let kept = base.kept(&spec());
    assert!(there(&kept, "/srv/empty") && there(&kept, "/usr/share/hello/empty"));
    assert!(!there(&kept, "/usr/share/perl/inner") && !there(&kept, "/usr/share/perl"));
    assert!(why(&kept, "/usr/share/doc").contains("unowned") || why(&kept, "/usr/share/doc").contains("something"));
}

#[test]
fn setuid_bits_are_stripped_from_all_names_of_a_file() {
    let mut base = Base::debian();
    base.file("/opt/su", 0o4755);
    base.inode("/opt/a", 0o6755, Some(9));
    base.inode("/opt/b", 0o6755, Some(9));
    base.node("/opt/group", NodeKind::Directory, 0o2775);
    let mode = |kept: &Kept, at: &str| kept.entries[&path(at)].node.mode;
    let kept = base.kept(&spec());
    assert_eq!((mode(&kept, "/opt/su"), mode(&kept, "/opt/a")), (0o755, 0o755));
    assert_eq!(mode(&kept, "/opt/group"), 0o2775, "on a directory the bit means inheritance");
    assert_eq!(kept.setuid.len(), 3);
    assert!(kept.setuid.contains(&(path("/opt/su"), 0o4755, true)));
    let mut wanted = spec();
    wanted.files.setuid_keep = vec![word("/opt/b")];
    let kept = base.kept(&wanted);
    assert_eq!((mode(&kept, "/opt/a"), mode(&kept, "/opt/b"), mode(&kept, "/opt/su")), (0o6755, 0o6755, 0o755));
}

#[test]
fn bytes_of_hard_links_count_when_the_last_name_goes() {
    let mut base = Base::debian();
    base.inode("/usr/share/perl/a", 0o644, Some(5));
    base.inode("/usr/share/perl/b", 0o644, Some(5));
    base.inode("/usr/share/perl/c", 0o644, Some(6));
    base.inode("/opt/c", 0o644, Some(6));
    for name in ["a", "b", "c"] {
        base.facts.packages.packages[3].paths.push(path(&format!("/usr/share/perl/{name}")));
    }
    let kept = base.kept(&spec());
    let size = |at: &str| kept.removed[&path(at)].size;
    assert_eq!((size("/usr/share/perl/a"), size("/usr/share/perl/b"), size("/usr/share/perl/c")), (100, 0, 0));
}

#[test]
fn a_base_that_leaves_directories_out_gets_them() {
    let mut base = Base::debian();
    base.file("/opt/deep/er/file", 0o644);
    base.facts.tree.nodes.remove(&path("/opt/deep"));
    let kept = base.kept(&spec());
    assert!(kept.entries[&path("/opt/deep")].node.is_directory());
}

/// What a base has in /k8or beyond the runtime itself would be mixed up with it.
#[test]
fn the_place_of_the_runtime_is_ours() {
    let mut base = Base::debian();
    let complaints = |base: &Base| {
        let mut found = diag::Diagnostics::new();
        crate::decide::assemble::reserve_runtime_paths(&base.kept(&spec()), &mut found);
        found.iter().map(|one| one.code.id()).collect::<Vec<_>>()
    };
    base.file("/k8or/k8or", 0o755);
    assert_eq!(complaints(&base), [""; 0]);
    base.file("/k8or/own", 0o644);
    assert_eq!(complaints(&base), ["E0693"]);
}
