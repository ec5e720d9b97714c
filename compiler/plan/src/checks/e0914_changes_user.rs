//! Mistake 14: the command begins with a change of owner or user, for which it would have to be root
//! (s6-overlay #600, karakeep #3113).

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, codes};

use super::view::View;
use crate::plan::Plan;

/// Programs that become another user and then start the rest of the line.
const CHANGERS: &[&str] =
    &["gosu", "su-exec", "su", "sudo", "doas", "runuser", "setuidgid", "s6-setuidgid", "chpst", "start-stop-daemon"];

/// Programs that only root may run with success.
const OWNERS: &[&str] = &["chown", "chgrp"];

/// Programs that start the rest of their line as it is.
const WRAPPERS: &[&str] = &["tini", "tini-static", "dumb-init", "catatonit", "env", "exec", "nice", "stdbuf", "nohup"];

/// The command of every pod, or of an image that has another user than root.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for view in View::all(plan).into_iter().filter(|view| view.image.user.uid != 0) {
        let Some(word) = changer(view.command()) else { continue };
        let uid = view.image.user.uid;
        let mut one = Diagnostic::new(
            codes::E0914,
            format!(
                "the command runs `{}`, which only root can do, but it starts as uid {uid}{}",
                printable(&word),
                view.place()
            ),
        )
        .at_opt(view.command_span(), "this command");
        if let Some(user) = plan.said.image.user {
            one = one.label(user, "programs run as this user from the start");
        }
        found.push(one.note("setuid(2), setgroups(2) and chown(2) give EPERM, and the command stops there").help(
            "start the program itself: entrypoint \"/usr/sbin/…\"; owners are said with owner= of directory and mount",
        ));
    }
}

/// The first word that changes a user or owner.
fn changer(command: &[String]) -> Option<String> {
    let base = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let mut words = command.iter().map(String::as_str).peekable();
    loop {
        let word = words.next()?;
        let name = base(word);
        if name.starts_with('-') || word.contains('=') || WRAPPERS.contains(&name.as_str()) {
            continue;
        }
        if CHANGERS.contains(&name.as_str()) || OWNERS.contains(&name.as_str()) {
            // These two do more than that, and only with an option this.
            let option = match name.as_str() {
                "start-stop-daemon" => words.any(|w| w == "-c" || w.starts_with("--chuid")),
                "chpst" => words.any(|w| w == "-u" || w == "-U"),
                _ => true,
            };
            return option.then_some(name);
        }
        if name == "setpriv" {
            return words
                .any(|w| w.starts_with("--reuid") || w.starts_with("--regid") || w == "--init-groups")
                .then_some(name);
        }
        if !matches!(name.as_str(), "sh" | "bash" | "dash" | "ash" | "busybox") {
            return None;
        }
        if name == "busybox" {
            continue;
        }
        let flag = words.next()?;
        let script = words.next()?;
        return (flag.starts_with('-') && flag.ends_with('c')).then(|| in_script(script)).flatten();
    }
}

/// In the text of `sh -c`: a command that is run whatever comes before it, and that may not fail.
fn in_script(script: &str) -> Option<String> {
    if script.contains("id -u") || script.contains("$UID") || script.contains("$EUID") {
        return None;
    }
    // One character for each operator: what follows `&&` and `||` depends on what comes before.
    let script = script.replace("&&", "\u{1}").replace("||", "\u{2}");
    for line in script.split(['\n', ';', '&']) {
        let mut asked = false;
        for part in line.split_inclusive(['\u{1}', '\u{2}']) {
            let fails_softly = part.ends_with('\u{2}');
            for simple in part.trim_end_matches(['\u{1}', '\u{2}']).split('|') {
                let mut words = simple.split_whitespace().map(|word| word.trim_matches(['"', '\'', '(', '{']));
                let word = words.find(|word| !word.is_empty() && !word.contains('=') && *word != "exec");
                let name = word.map(|word| word.rsplit('/').next().unwrap_or(word)).unwrap_or_default();
                let changes = CHANGERS.contains(&name) || OWNERS.contains(&name);
                if changes && name != "start-stop-daemon" && !fails_softly && !asked {
                    return Some(name.to_owned());
                }
                asked |= matches!(name, "[" | "[[" | "test" | "command" | "type" | "which");
            }
            asked |= fails_softly;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Option<String> {
        changer(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn words_that_change_the_user() {
        for words in [
            &["/usr/sbin/gosu", "web", "/usr/bin/web"][..],
            &["tini", "--", "su-exec", "web", "web"],
            &["/usr/bin/env", "A=b", "setpriv", "--reuid=web", "web"],
            &["sh", "-c", "chown -R web /data && exec web"],
            &["/bin/bash", "-ec", "mkdir /x; exec gosu web web"],
            &["busybox", "sh", "-c", "true\nsu web -c web"],
        ] {
            assert!(of(words).is_some(), "{words:?}");
        }
    }

    #[test]
    fn words_that_only_look_so() {
        for words in [
            &["/usr/sbin/nginx", "-g", "user su;"][..],
            &["/usr/bin/chown-service"],
            &["setpriv", "--no-new-privs", "web"],
            &["sh", "-c", "chown web /data || true; exec web"],
            &["sh", "-c", "if [ $(id -u) = 0 ]; then chown web /data; fi; exec web"],
            &["sh", "-c", "echo gosu; exec web --su"],
            &["sh", "-c", "[ -O /data ] || chown web /data; test -w /data && chown web /data; exec web"],
            &["sh", "-c", "if [ -e /root ]; then chown web /data; fi; exec web"],
            &["chpst", "-m", "1000", "web"],
            &["sh", "/entry.sh", "chown"],
            &[],
        ] {
            assert_eq!(of(words), None, "{words:?}");
        }
    }
}
