//! The shell's grammar and its branches; what is not known must never be passed over.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use plan::platform::Arch;

use super::super::apply::Admin;
use super::super::tree::{Kind, Tree};
use super::*;

/// What a script leaves of a small tree, and what is not understood.
fn run(text: &str, tree: &mut Tree) -> Result<Unknown, String> {
    let mut admin = Admin::default();
    admin
        .answers
        .templates(b"Template: p/port\nType: string\nDefault: 80\n\nTemplate: p/on\nType: boolean\nDefault: true\n");
    let mut scene = Scene { tree, admin: &mut admin, arch: Arch::X86_64, package: "p" };
    follow(&Input { text, blocks: &[], kind: "postinst", architecture: "amd64" }, &mut scene).map_err(|e| e.message)
}

fn tree() -> Tree {
    let mut tree = Tree::new(1000, Arch::X86_64);
    tree.write(b"/etc/passwd", b"root:x:0:0:root:/root:/bin/bash\nwww:x:33:33::/:/bin/sh\n".to_vec()).unwrap();
    tree.write(b"/etc/group", b"root:x:0:\nadm:x:4:\nwww:x:33:\n".to_vec()).unwrap();
    tree.write(b"/etc/a.conf", b"one\ntwo\n".to_vec()).unwrap();
    tree.write(b"/usr/bin/there", b"".to_vec()).unwrap().mode = 0o755;
    tree
}

/// Runs a script that is wholly understood.
fn good(text: &str) -> Tree {
    let mut tree = tree();
    assert_eq!(run(text, &mut tree), Ok(Vec::new()), "{text}");
    tree
}

fn lines(text: &str) -> Vec<usize> {
    run(text, &mut tree()).unwrap().iter().map(|(line, _)| *line).collect()
}

fn text(tree: &Tree, path: &str) -> Option<String> {
    tree.read(path.as_bytes()).map(|b| String::from_utf8_lossy(b).into_owned())
}

#[test]
fn only_the_way_of_a_first_installation_is_taken() {
    let tree = good(
        "#!/bin/sh\nset -e\nrun() { mkdir -p /var/lib/$1 && chown www:adm /var/lib/$1; }\ncase \"$1\" in\n\
         configure)\n  if [ -z \"$2\" ]; then run x; else frobnicate; fi\n  dpkg --compare-versions \"$2\" lt-nl 3 && frob\n\
         ;;\nabort-*|upgrade) frobnicate ;;\n*) echo \"unknown \\`$1'\" >&2; exit 1;;\nesac\nexit 0\nfrobnicate\n",
    );
    let node = tree.get(b"/var/lib/x").unwrap();
    assert_eq!((node.mode, node.uid, node.gid, &node.kind), (0o755, 33, 4, &Kind::Directory));
}

#[test]
fn what_is_not_known_is_never_passed_over() {
    assert_eq!(lines("frob\nmkdir /a\nif grab; then rm -f /etc/a.conf; fi\n"), [1, 3]);
    // A value that is not known, where it matters; and where it does not.
    assert_eq!(lines("x=$(date)\necho $x\nmkdir /srv/$x\n"), [3]);
    assert_eq!(lines("if [ \"$(uname -r)\" = 6 ]; then\n mkdir /x\nfi\n"), [1]);
    assert_eq!(lines("if [ \"$(uname -r)\" = 6 ]; then\n echo hello\nfi\n"), [] as [usize; 0]);
    assert_eq!(lines("x=$(frob)\n"), [1]);
    assert_eq!(lines("echo $(frob)\n"), [1]);
    assert_eq!(lines("uname -r | frob\n"), [1]);
    assert_eq!(lines("frob || true\n"), [1]);
    assert_eq!(lines("grep -q '[a-z]*' /etc/a.conf || mkdir /x\n"), [1]);
    assert_eq!(lines("grep -q '[a-z]*' /etc/a.conf || true\n"), [] as [usize; 0]);
    assert_eq!(lines("frob &\n"), [1]);
    assert_eq!(lines("echo x > $HOME/y\necho x > relative\n"), [1, 2]);
    assert_eq!(lines("sed -i s/one/two/ /etc/a.conf\n"), [1]);
    assert_eq!(lines("find /etc -name x -delete\n"), [1]);
    assert_eq!(lines("chmod 0600 a.conf\nmkdir /proc/x\ncp -r /etc /x\nsystemctl mask x\n"), [1, 2, 3, 4]);
    assert_eq!(lines("eval 'mkdir /x'\n. /etc/a.conf\nexec frob\n$SHELL -c x\n"), [1, 2, 3, 4]);
    assert_eq!(lines("for x in $(date); do mkdir /$x; done\n"), [1]);
    assert_eq!(lines("while frob; do mkdir /x; done\n"), [1]);
    assert_eq!(lines("mkdir /x \\\n  --frob\n"), [1]);
    assert_eq!(lines("echo() { mkdir /x; }\nif uname -r; then echo; fi\n"), [1]);
    // Other languages, other grammars, cut-off scripts.
    assert_eq!(lines("#!/usr/bin/perl\nunlink '/x';\n"), [1, 2]);
    assert_eq!(lines("#!/bin/bash\nmkdir /x &> /dev/null\n").len(), 2);
    for broken in
        ["if true; then\n", "case x in\n a) true\n", "echo 'x\n", "x=$(echo\n", "{ true\n", "cat <<E\nx\n", "a ) b\n"]
    {
        assert!(!lines(broken).is_empty(), "{broken}");
    }
}

#[test]
fn a_script_that_fails_is_not_understood() {
    assert!(run("set -e\nchown nobody-here /etc/a.conf\n", &mut tree()).unwrap_err().contains("nobody-here"));
    assert_eq!(lines("set -e\nfalse\n"), [0]);
    assert_eq!(
        lines("set -e\nfalse || true\n[ -e /none ] && frob\nif false; then frob; fi\n! true\n"),
        [] as [usize; 0]
    );
    assert_eq!(lines("exit 1\n"), [0]);
}

#[test]
fn nothing_runs_for_ever_or_too_deep() {
    assert!(!lines("while true; do true; done\n").is_empty());
    assert!(!lines("f() { f; }\nf\n").is_empty());
    assert!(!lines(&format!("{}true{}\n", "{ ".repeat(5000), "; }".repeat(5000))).is_empty());
    assert!(!lines(&format!("x={}y{}\n", "${a:-".repeat(5000), "}".repeat(5000))).is_empty());
    assert!(!lines(&format!("echo {}x{}\n", "$(echo ".repeat(200), ")".repeat(200))).is_empty());
    let double = "x=$x$x\n".repeat(40);
    let _ = lines(&format!("x=0123456789\n{double}mkdir /$x\n"));
}

#[test]
fn words_expand_as_in_a_shell() {
    let tree = good(
        "a='x y'\nfor f in $a \"$a\" '$a'; do echo \"<$f>\"; done > /out\np=/usr/lib/foo.tar.gz\n\
         echo \"${p##*/} ${p%.*} ${p%%.*} ${p#/*/} ${none:-d} ${a:+s} ${none:+n}\" >> /out\n\
         printf '%s-%s\\n' 1 2 >> /out\ncat >> /out <<-EOF\n\t$a \\$a `echo in`\n\tEOF\ncat >> /out <<'EOF'\n$a\nEOF\n\
         echo $(getent passwd www | cut -d: -f3) /etc/*.conf >> /out\nset -- 1 2; shift; echo $# $1 >> /out\n",
    );
    let want = "<x>\n<y>\n<x y>\n<$a>\nfoo.tar.gz /usr/lib/foo.tar /usr/lib/foo lib/foo.tar.gz d s \n1-2\nx y $a in\n$a\n\
                33 /etc/a.conf\n1 2\n";
    assert_eq!(text(&tree, "/out").unwrap(), want);
}

#[test]
fn debconf_answers_with_defaults() {
    let tree = good(
        ". /usr/share/debconf/confmodule\ndb_get p/port\necho \"$RET\" > /port\nif db_get p/none; then frob; fi\n\
         db_get p/on && [ \"$RET\" = true ] && mkdir /on\ndb_input high p/port || true\ndb_go || true\ndb_set p/port 81\n\
         db_get p/port; echo $RET >> /port\n",
    );
    assert_eq!(text(&tree, "/port").unwrap(), "80\n81\n");
    assert!(tree.exists(b"/on"));
}

#[test]
fn commands_change_the_tree() {
    let tree = good(
        "install -d -o www -g adm -m 2750 /var/log/x\ntouch /var/log/x/a\nchmod u=rw,go= /var/log/x/a\nchown -R www:www /var/log/x\n\
         ln -sf /etc/a.conf /etc/b.conf\ncp -p /etc/b.conf /etc/c.conf\nmv /etc/c.conf /etc/d.conf\nrm -rf /etc/b.conf /none\n\
         if command -v there >/dev/null 2>&1 && [ -x /usr/bin/there ]; then touch /yes; fi\nif which none; then frob; fi\n\
         if ! getent group g >/dev/null; then addgroup --system g; fi\n\
         adduser --system --home /var/lib/u --no-create-home --ingroup g --gecos 'U' u\nadduser u adm\n\
         useradd -r -d /d -s /bin/false v\nt=$(mktemp)\necho x > $t\n\
         if ! dpkg-statoverride --list /etc/d.conf >/dev/null; then dpkg-statoverride --update --add www adm 0640 /etc/d.conf; fi\n\
         while read -r k v; do echo \"$v=$k\"; done > /kv <<E\na b c\nd\nE\n",
    );
    let log = tree.get(b"/var/log/x").unwrap();
    assert_eq!((log.mode, log.uid, log.gid), (0o2750, 33, 33));
    assert_eq!(tree.get(b"/var/log/x/a").unwrap().mode, 0o600);
    assert!(tree.get(b"/etc/b.conf").is_none() && tree.exists(b"/yes") && tree.names(b"/tmp").is_empty());
    let moved = tree.get(b"/etc/d.conf").unwrap();
    assert_eq!(
        (moved.mode, moved.uid, moved.gid, text(&tree, "/etc/d.conf").unwrap().as_str()),
        (0o640, 33, 4, "one\ntwo\n")
    );
    assert!(
        text(&tree, "/etc/passwd")
            .unwrap()
            .ends_with("u:x:100:100:U:/var/lib/u:/usr/sbin/nologin\nv:x:999:999::/d:/bin/false\n")
    );
    assert_eq!(text(&tree, "/etc/group").unwrap(), "root:x:0:\nadm:x:4:u\nwww:x:33:\ng:x:100:\nv:x:999:\n");
    assert_eq!(text(&tree, "/kv").unwrap(), "b c=a\n=d\n");
    assert_eq!(text(&tree, "/var/lib/dpkg/statoverride").unwrap(), "www adm 640 /etc/d.conf\n");
}
