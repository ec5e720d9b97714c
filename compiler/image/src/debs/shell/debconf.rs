//! debconf(7) where nobody is asked: the answer to a question is its default, or what a script said.

use std::collections::BTreeMap;

use formats::deb822;

use super::{Shell, Status};

/// Answers by question; None where a script said something that is not known.
#[derive(Default)]
pub(in super::super) struct Answers {
    values: BTreeMap<String, Option<String>>,
    flags: BTreeMap<(String, String), String>,
    /// Packages whose `config` script is not recognised: what it would have said is not known.
    doubtful: bool,
}

impl Answers {
    /// Takes up the questions of a package's `templates`; answers that are there stay.
    pub fn templates(&mut self, text: &[u8]) {
        for stanza in deb822::stanzas(text).unwrap_or_default() {
            let value = |name: &str| stanza.value(name).map(|v| String::from_utf8_lossy(v).into_owned());
            let Some(name) = value("Template") else { continue };
            let default = value("Default").unwrap_or_default();
            self.values.entry(name).or_insert(Some(default));
        }
    }

    /// From here on an answer may be another one than what stands here.
    pub fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// The next package's questions.
    pub fn trust(&mut self) {
        self.doubtful = false;
    }
}

impl Shell<'_, '_> {
    /// `. /usr/share/debconf/confmodule`
    pub(super) fn configure(&mut self) {
        self.variables.insert("RET".into(), Some(String::new()));
    }

    /// A command of confmodule.
    pub(super) fn debconf(&mut self, name: &str, words: &[&str]) -> Option<Status> {
        let words: Vec<&str> = words.iter().copied().skip_while(|w| *w == "--").collect();
        let mut ret = |value: Option<String>| {
            self.variables.insert("RET".into(), value);
        };
        let answers = &mut self.scene.admin.answers;
        match (name, words.as_slice()) {
            (
                "db_version" | "db_capb" | "db_title" | "db_settitle" | "db_subst" | "db_stop" | "db_purge"
                | "db_beginblock" | "db_endblock" | "db_progress" | "db_info",
                _,
            ) => {
                ret(Some(String::new()));
                Some(Some(true))
            }
            // Nobody is asked: confmodule answers 30.
            ("db_input" | "db_text", [_, _]) => {
                ret(Some("question skipped".into()));
                Some(Some(false))
            }
            ("db_go", []) => {
                ret(Some("ok".into()));
                Some(Some(true))
            }
            ("db_get", [question]) => {
                let known = answers.values.get(*question).cloned();
                let there = known.is_some();
                let value = if answers.doubtful { None } else { known.flatten() };
                ret(if there { value } else { Some(format!("{question} doesn't exist")) });
                Some(Some(there))
            }
            ("db_set", [question, rest @ ..]) => {
                answers.values.insert((*question).to_owned(), Some(rest.join(" ")));
                ret(Some("value set".into()));
                Some(Some(true))
            }
            ("db_reset" | "db_unregister", [question]) => {
                answers.values.insert((*question).to_owned(), None);
                ret(None);
                Some(Some(true))
            }
            ("db_register", [template, question]) => {
                let value = answers.values.get(*template).cloned().flatten();
                answers.values.insert((*question).to_owned(), value);
                ret(None);
                Some(Some(true))
            }
            ("db_fset", [question, flag, value]) => {
                answers.flags.insert(((*question).to_owned(), (*flag).to_owned()), (*value).to_owned());
                ret(Some((*value).to_owned()));
                Some(Some(true))
            }
            ("db_fget", [question, flag]) => {
                let key = ((*question).to_owned(), (*flag).to_owned());
                let value = answers.flags.get(&key).cloned().unwrap_or_else(|| "false".into());
                ret(Some(value).filter(|_| !answers.doubtful));
                Some(Some(true))
            }
            ("db_metaget", _) => {
                ret(None);
                Some(None)
            }
            _ => None,
        }
    }
}
