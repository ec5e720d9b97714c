//! Accounts as scripts make them: adduser(8) of Debian, useradd(8) and groupadd(8) of shadow.

use super::super::accounts::{self, Account, Ids};
use super::super::failure::Failure;
use super::{Shell, Status};

type Done = Result<Option<Status>, Failure>;

/// Options with a value, options without, and the other words. None: an option that is in neither list.
struct Options<'a> {
    values: Vec<(&'a str, &'a str)>,
    flags: Vec<&'a str>,
    names: Vec<&'a str>,
}

fn options<'a>(words: &[&'a str], with_value: &[&str], without: &[&str]) -> Option<Options<'a>> {
    let mut out = Options { values: Vec::new(), flags: Vec::new(), names: Vec::new() };
    let mut all = words.iter();
    while let Some(word) = all.next() {
        if *word == "--" {
            out.names.extend(all.by_ref());
        } else if let Some((name, value)) = word.split_once('=').filter(|(name, _)| with_value.contains(name)) {
            out.values.push((name, value));
        } else if with_value.contains(word) {
            out.values.push((word, all.next()?));
        } else if without.contains(word) {
            out.flags.push(word);
        } else if word.starts_with('-') {
            return None;
        } else {
            out.names.push(word);
        }
    }
    Some(out)
}

impl<'a> Options<'a> {
    fn value(&self, names: &[&str]) -> Option<&'a str> {
        self.values.iter().rev().find(|(name, _)| names.contains(name)).map(|(_, value)| *value)
    }

    fn has(&self, names: &[&str]) -> bool {
        self.flags.iter().any(|flag| names.contains(flag))
    }
}

impl Shell<'_, '_> {
    pub(super) fn account_command(&mut self, program: &str, words: &[&str]) -> Option<Done> {
        Some(match program {
            "adduser" => self.adduser(words),
            "addgroup" => self.addgroup(words),
            "useradd" => self.useradd(words),
            "groupadd" => self.groupadd(words),
            "usermod" => self.usermod(words),
            "gpasswd" => match words {
                ["-a" | "--add", user, group] => self.member(user, group),
                _ => Ok(None),
            },
            _ => return None,
        })
    }

    fn member(&mut self, user: &str, group: &str) -> Done {
        if self.account_line(false, user).is_none() {
            return Err(super::commands::nobody(user));
        }
        accounts::member(self.scene.tree, user, group)?;
        Ok(Some(Some(true)))
    }

    fn adduser(&mut self, words: &[&str]) -> Done {
        let values =
            ["--home", "--shell", "--gecos", "--comment", "--ingroup", "--uid", "--gid", "--firstuid", "--lastuid"];
        let flags = [
            "--system",
            "--group",
            "--quiet",
            "-q",
            "--no-create-home",
            "--disabled-password",
            "--disabled-login",
            "--force-badname",
            "--allow-badname",
            "--allow-bad-names",
            "--allow-all-names",
        ];
        let Some(found) = options(words, &values, &flags) else { return Ok(None) };
        match found.names.as_slice() {
            [user, group] if found.values.is_empty() && !found.has(&["--system", "--group"]) => {
                self.member(user, group)
            }
            [group] if found.has(&["--group"]) && !found.has(&["--system"]) && found.values.is_empty() => {
                self.addgroup(&["--system", group])
            }
            [name] if found.has(&["--system"]) && found.value(&["--firstuid", "--lastuid"]).is_none() => {
                if self.account_line(false, name).is_some() {
                    return Ok(Some(Some(true)));
                }
                let home = found.value(&["--home"]);
                let group = match (found.value(&["--ingroup"]), found.has(&["--group"])) {
                    (Some(group), false) => Some(group.to_owned()),
                    (None, true) => Some((*name).to_owned()),
                    (None, false) => None,
                    _ => return Ok(None),
                };
                let gid = match found.value(&["--gid"]) {
                    None => None,
                    Some(gid) => match gid.parse() {
                        Ok(gid) => Some(gid),
                        Err(_) => return Ok(None),
                    },
                };
                let uid = match found.value(&["--uid"]) {
                    None => None,
                    Some(uid) => match uid.parse() {
                        Ok(uid) => Some(uid),
                        Err(_) => return Ok(None),
                    },
                };
                let gecos = found.value(&["--gecos", "--comment"]).unwrap_or_default();
                // Before 3.135, adduser filled the field up.
                let commas = self.scene.admin.old_adduser && !gecos.is_empty() && !gecos.contains(',');
                let account = Account {
                    name: (*name).to_owned(),
                    uid,
                    group,
                    gid,
                    home: home.unwrap_or("/nonexistent").to_owned(),
                    make_home: home.is_some_and(|home| home != "/nonexistent") && !found.has(&["--no-create-home"]),
                    shell: found.value(&["--shell"]).unwrap_or("/usr/sbin/nologin").to_owned(),
                    gecos: if commas { format!("{gecos},,,") } else { gecos.to_owned() },
                    ids: Ids::Upwards,
                };
                accounts::account(self.scene.tree, &account)?;
                Ok(Some(Some(true)))
            }
            _ => Ok(None),
        }
    }

    fn addgroup(&mut self, words: &[&str]) -> Done {
        let flags = ["--system", "--group", "--quiet", "-q", "--force-badname", "--allow-badname", "--allow-bad-names"];
        let Some(found) = options(words, &["--gid"], &flags) else { return Ok(None) };
        match found.names.as_slice() {
            [name] if found.has(&["--system"]) => {
                let gid = match found.value(&["--gid"]).map(str::parse) {
                    None => None,
                    Some(Ok(gid)) => Some(gid),
                    Some(Err(_)) => return Ok(None),
                };
                accounts::group(self.scene.tree, name, gid, Ids::Upwards)?;
                Ok(Some(Some(true)))
            }
            [user, group] if !found.has(&["--system"]) => self.member(user, group),
            _ => Ok(None),
        }
    }

    fn groupadd(&mut self, words: &[&str]) -> Done {
        let Some(found) = options(words, &["-g", "--gid"], &["-r", "--system", "-f", "--force"]) else {
            return Ok(None);
        };
        let gid = match found.value(&["-g", "--gid"]).map(str::parse) {
            None => None,
            Some(Ok(gid)) => Some(gid),
            Some(Err(_)) => return Ok(None),
        };
        match found.names.as_slice() {
            [name] if found.has(&["-r", "--system"]) || gid.is_some() => {
                if self.account_line(true, name).is_some() {
                    return Ok(Some(Some(found.has(&["-f", "--force"]))));
                }
                accounts::group(self.scene.tree, name, gid, Ids::Downwards)?;
                Ok(Some(Some(true)))
            }
            _ => Ok(None),
        }
    }

    fn useradd(&mut self, words: &[&str]) -> Done {
        let values = [
            "-d",
            "--home-dir",
            "--home",
            "-s",
            "--shell",
            "-g",
            "--gid",
            "-c",
            "--comment",
            "-u",
            "--uid",
            "-b",
            "--base-dir",
        ];
        let flags = ["-r", "--system", "-M", "--no-create-home", "-N", "--no-user-group", "-U", "--user-group"];
        let Some(found) = options(words, &values, &flags) else { return Ok(None) };
        let ([name], true, None) =
            (found.names.as_slice(), found.has(&["-r", "--system"]), found.value(&["-b", "--base-dir"]))
        else {
            return Ok(None);
        };
        if self.account_line(false, name).is_some() {
            return Ok(Some(Some(false)));
        }
        let uid = match found.value(&["-u", "--uid"]).map(str::parse) {
            None => None,
            Some(Ok(uid)) => Some(uid),
            Some(Err(_)) => return Ok(None),
        };
        let own = !found.has(&["-N", "--no-user-group"]);
        let group = match found.value(&["-g", "--gid"]) {
            Some(group) => match self.account_line(true, group) {
                Some(line) => line.split(':').next().map(str::to_owned),
                None => return Ok(Some(Some(false))),
            },
            None => own.then(|| (*name).to_owned()),
        };
        let Some(group) = group else { return Ok(None) };
        let account = Account {
            name: (*name).to_owned(),
            uid,
            group: Some(group),
            gid: None,
            home: found.value(&["-d", "--home-dir", "--home"]).map_or_else(|| format!("/home/{name}"), str::to_owned),
            make_home: false,
            shell: found.value(&["-s", "--shell"]).unwrap_or("/bin/sh").to_owned(),
            gecos: found.value(&["-c", "--comment"]).unwrap_or_default().to_owned(),
            ids: Ids::Downwards,
        };
        accounts::account(self.scene.tree, &account)?;
        Ok(Some(Some(true)))
    }

    fn usermod(&mut self, words: &[&str]) -> Done {
        match words {
            ["-a", "-G", groups, user]
            | ["-aG", groups, user]
            | ["-G", groups, "-a", user]
            | ["--append", "--groups", groups, user] => {
                for group in groups.split(',') {
                    self.member(user, group)?;
                }
                Ok(Some(Some(true)))
            }
            _ => Ok(None),
        }
    }
}
