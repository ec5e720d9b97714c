//! `closure="files"`: what is reached, and the packages that own it.

use lang::spec::Closure;

use super::*;

fn by_files() -> Spec {
    let mut spec = spec();
    spec.packages.closure = Some(said(Closure::Files));
    spec
}

fn names(kept: &Kept) -> Vec<&str> {
    kept.packages.iter().filter(|p| p.kept).map(|p| p.name.as_str()).collect()
}

#[test]
fn only_what_is_reached_stays() {
    let base = Base::debian();
    let kept = base.kept(&by_files());
    assert_eq!(names(&kept), ["libc6", "hello"]);
    for stays in ["/usr/bin/hello", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/share/doc/hello/copyright"] {
        assert!(there(&kept, stays), "{stays}");
    }
    for goes in ["/etc/hello.conf", "/usr/share/man/man1/hello.1.gz", "/usr/bin/perl"] {
        assert!(!there(&kept, goes), "{goes}");
    }
    assert_eq!(why_not(&kept, "/etc/hello.conf"), "no program and no line reaches it");
    let hello = kept.packages.iter().find(|p| p.name == "hello").unwrap();
    assert_eq!(hello.missing.len(), 2, "the record lists what is there: {:?}", hello.missing);
}

#[test]
fn lines_that_keep() {
    let base = Base::debian();
    // A file: with the record of its package, not with the package.
    let mut wanted = by_files();
    wanted.files.keep = vec![word("/etc/hello.conf"), word("/usr/share/doc/doc-only/manual.html")];
    let kept = base.kept(&wanted);
    assert!(there(&kept, "/etc/hello.conf") && !there(&kept, "/usr/share/man/man1/hello.1.gz"));
    assert_eq!(names(&kept), ["libc6", "hello", "doc-only"]);
    // A package: whole, with the libraries of its programs.
    let mut base = Base::debian();
    base.program("/usr/bin/tool", elf(&["libtool.so.1"]));
    base.program("/usr/lib/x86_64-linux-gnu/libtool.so.1", library(&["libc.so.6"]));
    base.file("/usr/share/tool/data", 0o644);
    base.package("libtool1", &["libc6"], &["/usr/lib/x86_64-linux-gnu/libtool.so.1"]);
    base.package("tool", &["libtool1", "perl-base"], &["/usr/bin/tool", "/usr/share/tool/data"]);
    let mut wanted = by_files();
    wanted.packages.keep = vec![word("tool")];
    let kept = base.kept(&wanted);
    assert_eq!(names(&kept), ["libc6", "hello", "libtool1", "tool"], "and not perl-base");
    assert!(there(&kept, "/usr/share/tool/data"));
    assert!(why(&kept, "/usr/lib/x86_64-linux-gnu/libtool.so.1").contains("packages keep \"tool\""));
    // What a kept script is run by.
    base.program("/usr/bin/report", script("/usr/bin/perl", None));
    let mut wanted = by_files();
    wanted.files.keep = vec![word("/usr/bin/report")];
    assert!(there(&base.kept(&wanted), "/usr/bin/perl"));
}

#[test]
fn what_no_header_says() {
    let mut base = Base::debian();
    base.file("/usr/share/perl5/Carp.pm", 0o644);
    base.file("/etc/services", 0o644);
    base.file("/usr/share/zoneinfo/UTC", 0o644);
    base.link("/etc/localtime", "/usr/share/zoneinfo/UTC");
    base.facts.files.insert(path("/etc/nsswitch.conf"), b"hosts: files mymachines [NOTFOUND=return] dns\n".to_vec());
    base.file("/etc/nsswitch.conf", 0o644);
    base.program("/usr/lib/x86_64-linux-gnu/libnss_mymachines.so.2", library(&["libcap.so.2"]));
    base.program("/usr/lib/x86_64-linux-gnu/libnss_ldap.so.2", library(&[]));
    base.program("/usr/lib/x86_64-linux-gnu/libcap.so.2", library(&["libc.so.6"]));
    let kept = base.kept(&by_files());
    assert!(!there(&kept, "/usr/share/perl/strict.pm"), "no perl, none of its modules");
    for stays in ["/etc/services", "/etc/localtime", "/usr/share/zoneinfo/UTC", "/usr/lib/x86_64-linux-gnu/libcap.so.2"]
    {
        assert!(there(&kept, stays), "{stays}");
    }
    let reason = why(&kept, "/usr/lib/x86_64-linux-gnu/libnss_mymachines.so.2");
    assert!(reason.contains("nsswitch.conf names mymachines"), "{reason}");
    base.package("ldap", &[], &["/usr/lib/x86_64-linux-gnu/libnss_ldap.so.2"]);
    assert!(!there(&base.kept(&by_files()), "/usr/lib/x86_64-linux-gnu/libnss_ldap.so.2"), "nobody names it");

    let mut wanted = by_files();
    wanted.image.runs = vec![word("/usr/bin/perl")];
    let kept = base.kept(&wanted);
    let reason = why(&kept, "/usr/share/perl/strict.pm");
    assert!(reason.contains("/usr/bin/perl: it is on Perl's @INC"), "{reason}");
}

#[test]
fn converters_of_character_sets() {
    let mut base = Base::debian();
    base.file("/usr/lib/x86_64-linux-gnu/gconv/gconv-modules", 0o644);
    base.package("gconv", &[], &["/usr/lib/x86_64-linux-gnu/gconv/gconv-modules"]);
    let converts = "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules";
    assert!(!there(&base.kept(&by_files()), converts));
    let Start::Elf(hello) = elf(&["libc.so.6"]) else { unreachable!() };
    base.program("/usr/bin/hello", Start::Elf(Dynamic { mentions: vec!["iconv_open"], ..hello }));
    assert!(there(&base.kept(&by_files()), converts));
}

#[test]
fn files_of_no_package() {
    let mut base = Base::debian();
    base.file("/opt/stuff", 0o644);
    let mut wanted = by_files();
    assert!(there(&base.kept(&wanted), "/opt/stuff"));
    wanted.files.unowned = Some(said(Unowned::Closure));
    assert!(!there(&base.kept(&wanted), "/opt/stuff"));
    wanted.files.keep = vec![word("/opt/**")];
    assert!(there(&base.kept(&wanted), "/opt/stuff"));
}

#[test]
fn added_for_nothing() {
    let mut base = Base::debian();
    base.file("/usr/share/data/x", 0o644);
    base.package("data", &[], &["/.", "/usr", "/usr/share/data", "/usr/share/data/x"]);
    let mut wanted = by_files();
    // doc-only is as good as a metapackage.
    wanted.packages.add = vec![word("hello"), word("doc-only"), word("data")];
    let (kept, found) = base.keep(&wanted);
    assert_eq!(names(&kept), ["libc6", "hello"]);
    let codes: Vec<_> = found.iter().map(|one| (one.code.id(), one.message.as_str())).collect();
    assert_eq!(codes, [("E0616", "nothing of the package \"data\" stays, although it is added")]);
}

#[test]
fn what_only_maintainer_scripts_need() {
    let mut base = Base::debian();
    base.program("/usr/bin/ask", elf(&["libc.so.6"]));
    base.package("debconf", &["perl-base"], &["/usr/bin/ask"]);
    base.package("app", &["libc6", "debconf"], &["/usr/share/doc/app/copyright"]);
    let depends = &mut base.facts.packages.packages.last_mut().unwrap().depends;
    depends[1].scripts_only = true;
    let mut wanted = spec();
    wanted.packages.keep = vec![word("app")];
    assert_eq!(names(&base.kept(&wanted)), ["libc6", "hello", "perl-base", "debconf", "app"]);
    wanted.packages.closure = Some(said(Closure::Runtime));
    assert_eq!(names(&base.kept(&wanted)), ["libc6", "hello", "app"]);
    // A script in it is run by what was passed over.
    base.program("/usr/share/app/report", script("/usr/bin/ask", None));
    base.facts.packages.packages.last_mut().unwrap().paths.push(path("/usr/share/app/report"));
    let kept = base.kept(&wanted);
    assert_eq!(names(&kept), ["libc6", "hello", "perl-base", "debconf", "app"]);
    let debconf = kept.packages.iter().find(|p| p.name == "debconf").unwrap();
    assert!(
        debconf.reason.in_words().contains("runs the script /usr/share/app/report"),
        "{}",
        debconf.reason.in_words()
    );
}
