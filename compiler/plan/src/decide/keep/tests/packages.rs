//! Packages, whole.

use super::*;

fn names(kept: &Kept) -> Vec<&str> {
    kept.packages.iter().filter(|p| p.kept).map(|p| p.name.as_str()).collect()
}

#[test]
fn the_closure_of_programs_and_keeps_stays() {
    let base = Base::debian();
    let kept = base.kept(&spec());
    assert_eq!(names(&kept), ["libc6", "hello"]);
    let libc = kept.packages.iter().find(|p| p.name == "libc6").unwrap();
    // The loader of the program is needed itself, and that is the shorter chain.
    assert!(libc.reason.in_words().contains("entrypoint"), "{}", libc.reason.in_words());
    assert!(!there(&kept, "/usr/share/doc/doc-only/manual.html"));
    assert!(!there(&kept, "/usr/share/perl"));
    let mut more = spec();
    more.packages.keep = vec![word("perl-base"), word("doc-only:amd64")];
    let kept = base.kept(&more);
    assert_eq!(names(&kept), ["libc6", "hello", "perl-base", "doc-only"]);
    assert_eq!(why(&kept, "/usr/share/perl/strict.pm"), "it is a file of perl-base ← packages keep \"perl-base\"");
}

#[test]
fn the_database_forgets_what_goes() {
    let kept = Base::debian().kept(&spec());
    use crate::kept::Content;
    let content = |at: &str| &kept.entries[&path(at)].content;
    assert_eq!(content("/var/lib/dpkg/status"), &Content::Rewrite);
    assert_eq!(content("/var/lib/dpkg/info/hello.list"), &Content::Rewrite);
    assert_eq!(content("/var/lib/dpkg/info/hello.postinst"), &Content::Base);
    assert!(!there(&kept, "/var/lib/dpkg/info/perl-base.list"));
    assert!(!there(&kept, "/var/lib/dpkg/info/perl-base.postinst"));
    assert!(!there(&kept, "/var/lib/dpkg/status-old"));
    assert!(!there(&kept, "/etc/passwd-"));
}

#[test]
fn names_that_the_base_does_not_have() {
    let base = Base::debian();
    let mut wanted = spec();
    wanted.packages.keep = vec![word("perlbase")];
    let (_, found) = base.keep(&wanted);
    assert_eq!(found.0[0].code.id(), "E0605");
    assert!(found.has_errors() && found.0[0].help[0].contains("perl-base"));
    // In a module it is a note.
    wanted.packages.keep[0].span.file = FileId(1);
    let (_, found) = base.keep(&wanted);
    assert!(!found.has_errors() && found.0.len() == 1);
}

#[test]
fn a_needed_package_goes_only_with_a_reason() {
    let mut base = Base::debian();
    base.package("app", &["perl-base", "hello"], &["/usr/share/doc/app"]);
    let mut wanted = spec();
    wanted.packages.keep = vec![word("app")];
    wanted.packages.remove = vec![removes("perl-base", None)];
    let (_, found) = base.keep(&wanted);
    assert_eq!(found.0[0].code.id(), "E0606");
    assert_eq!(found.0[0].notes[0], "app depends on perl-base ← packages keep \"app\"");
    wanted.packages.remove = vec![removes("perl-base", Some("only scripts use it"))];
    let kept = base.kept(&wanted);
    assert!(!there(&kept, "/usr/bin/perl"));
    assert!(why_not(&kept, "/usr/bin/perl").ends_with("packages remove \"perl-base\", because only scripts use it"));
}

#[test]
fn a_reason_takes_a_needed_package_away() {
    let base = Base::debian();
    let mut wanted = spec();
    wanted.packages.remove = vec![removes("libc6", Some("trial"))];
    let (kept, found) = base.keep(&wanted);
    assert_eq!(found.iter().map(|d| d.code.id()).collect::<Vec<_>>(), ["E0615"]);
    assert!(!there(&kept, "/usr/lib/x86_64-linux-gnu/libc.so.6"));
    wanted.files.keep = vec![word("/usr/lib/x86_64-linux-gnu/**"), word("/usr/lib64/**")];
    let (kept, found) = base.keep(&wanted);
    assert_eq!(found.iter().map(|d| d.code.id()).collect::<Vec<_>>(), ["E0614"]);
    assert!(there(&kept, "/usr/lib/x86_64-linux-gnu/libc.so.6"));
}

#[test]
fn kept_and_removed_contradict() {
    let mut wanted = spec();
    wanted.packages.keep = vec![word("doc-only")];
    wanted.packages.remove = vec![removes("doc-only", Some("x"))];
    assert_eq!(Base::debian().codes(&wanted), ["E0608"]);
}

#[test]
fn an_unmet_dependency_is_a_warning() {
    let mut base = Base::debian();
    base.package("odd", &["not-there"], &[]);
    let mut wanted = spec();
    wanted.packages.keep = vec![word("odd")];
    let (_, found) = base.keep(&wanted);
    assert_eq!(found.0[0].code.id(), "E0607");
    assert!(!found.has_errors() && found.0[0].message.contains("odd depends on not-there"));
}

#[test]
fn a_dependency_loop_ends() {
    let mut base = Base::debian();
    base.package("a", &[], &[]);
    base.package("b", &["a"], &[]);
    let (a, b) = (base.facts.packages.packages.len() - 2, base.facts.packages.packages.len() - 1);
    let back = base.facts.packages.packages[b].depends[0].clone();
    base.facts.packages.packages[a].depends.push(Requirement { met_by: Some(b), ..back });
    let mut wanted = spec();
    wanted.packages.keep = vec![word("a")];
    assert!(names(&base.kept(&wanted)).ends_with(&["a", "b"]));
}

#[test]
fn what_is_missing_of_a_kept_package_is_listed() {
    let mut base = Base::debian();
    base.facts.packages.packages[2].paths.push(path("/usr/share/doc/hello/never-unpacked"));
    let mut wanted = spec();
    wanted.files.remove = vec![removes("/usr/share/man/**", None)];
    let kept = base.kept(&wanted);
    let hello = kept.packages.iter().find(|p| p.name == "hello").unwrap();
    let missing: Vec<_> = hello.missing.iter().map(|p| p.to_str().unwrap()).collect();
    assert_eq!(missing, ["/usr/share/man/man1/hello.1.gz", "/usr/share/doc/hello/never-unpacked"]);
    assert_eq!(hello.size, 400);
}

#[test]
fn diverted_files_belong_to_their_package() {
    let mut base = Base::debian();
    base.file("/usr/bin/hello.distrib", 0o755);
    base.package("wrapper", &[], &["/usr/bin/hello"]);
    base.facts.packages.diversions = vec![Diversion {
        from: path("/usr/bin/hello"),
        to: path("/usr/bin/hello.distrib"),
        package: Some("wrapper".into()),
    }];
    let mut wanted = spec();
    wanted.packages.keep = vec![word("hello")];
    let kept = base.kept(&wanted);
    assert!(why(&kept, "/usr/bin/hello.distrib").starts_with("it is a file of hello"));
    assert!(kept.packages.iter().find(|p| p.name == "wrapper").unwrap().kept);
}

#[test]
fn a_directory_that_became_a_link_pulls_nobody_in() {
    let mut base = Base::debian();
    base.facts.packages.packages[4].paths.insert(0, path("/lib"));
    let mut wanted = spec();
    wanted.image.entrypoint = vec![word("/bin/hello")];
    let kept = base.kept(&wanted);
    assert_eq!(names(&kept), ["libc6", "hello"]);
    assert!(there(&kept, "/lib"));
}
