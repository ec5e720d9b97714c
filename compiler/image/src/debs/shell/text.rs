//! Commands that only read and print; most of what they print is not worked out.

use formats::passwd;

use super::super::tree::Kind;
use super::test::outside;
use super::{Shell, Status};

/// Commands that change nothing, whatever their words are, and print something that is not worked out.
const PURE: [&str; 34] = [
    "grep",
    "egrep",
    "fgrep",
    "cut",
    "sort",
    "uniq",
    "head",
    "tail",
    "tr",
    "wc",
    "ls",
    "diff",
    "cmp",
    "md5sum",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "date",
    "uname",
    "hostname",
    "expr",
    "seq",
    "pidof",
    "pgrep",
    "ps",
    "df",
    "du",
    "stat",
    "readlink",
    "realpath",
    "getconf",
    "nproc",
    "locale",
    "ischroot",
];

impl Shell<'_, '_> {
    /// A command that only reads; None: it is none.
    pub(super) fn reads(&mut self, name: &str, words: &[Option<String>]) -> Option<Status> {
        let known: Option<Vec<&str>> = words.iter().map(Option::as_deref).collect();
        match (name, known.as_deref()) {
            ("echo", Some(words)) => {
                let (newline, words) = match words {
                    ["-n", rest @ ..] => ("", rest),
                    words => ("\n", words),
                };
                let text = words.join(" ");
                // sh and bash print backslashes in two ways.
                let text = (!text.contains('\\')).then(|| format!("{text}{newline}"));
                self.print(text.as_deref());
                Some(Some(true))
            }
            ("printf", Some([format, words @ ..])) => {
                let text = printf(format, words);
                self.print(text.as_deref());
                Some(Some(true))
            }
            ("echo" | "printf", _) => {
                self.print(None);
                Some(Some(true))
            }
            ("cat", Some([])) => {
                let input = self.input.clone().flatten();
                self.print(input.as_deref());
                Some(Some(true))
            }
            ("cat", Some(["/dev/null"])) => Some(Some(true)),
            ("cat", Some(paths)) if paths.iter().all(|p| p.starts_with('/')) => {
                let all: Option<Vec<&[u8]>> = paths.iter().map(|p| self.scene.tree.read(p.as_bytes())).collect();
                let there = paths.iter().all(|p| self.scene.tree.exists(p.as_bytes()));
                let text = all.map(|all| String::from_utf8_lossy(&all.concat()).into_owned());
                self.print(text.as_deref());
                Some(Some(there))
            }
            ("ls", Some(words)) => Some(self.ls(words)),
            ("wc", Some(["-l"])) => {
                let input = self.input.clone().flatten();
                let text = input.map(|text| format!("{}\n", text.matches('\n').count()));
                self.print(text.as_deref());
                Some(Some(true))
            }
            ("cut", Some(words)) => {
                let text = self.input.clone().flatten().and_then(|text| cut(&text, words));
                self.print(text.as_deref());
                Some(if text.is_some() { Some(true) } else { None })
            }
            ("head", Some(["-n1" | "-1"] | ["-n", "1"])) => {
                let text = self.input.clone().flatten();
                let text = text.map(|text| text.lines().next().map_or_else(String::new, |line| format!("{line}\n")));
                self.print(text.as_deref());
                Some(Some(true))
            }
            ("basename", Some([path, rest @ ..])) => {
                let base = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                let base = rest.first().and_then(|suffix| base.strip_suffix(suffix)).unwrap_or(base);
                self.print(Some(&format!("{base}\n")));
                Some(Some(true))
            }
            ("dirname", Some([path])) => {
                let dir = path.trim_end_matches('/').rsplit_once('/').map_or(".", |(dir, _)| dir);
                self.print(Some(&format!("{}\n", if dir.is_empty() { "/" } else { dir })));
                Some(Some(true))
            }
            ("which", Some(names)) => Some(self.which(names)),
            ("command", Some(["-v" | "-V", names @ ..])) | ("type" | "hash", Some(names)) => Some(self.which(names)),
            ("getent", Some([database @ ("passwd" | "group"), key])) => {
                let line = self.account_line(database == &"group", key);
                if let Some(line) = &line {
                    self.print(Some(&format!("{line}\n")));
                }
                Some(Some(line.is_some()))
            }
            ("id", Some(words)) => Some(self.id(words)),
            ("readlink", Some([options @ .., path])) if !outside(path) => Some(self.readlink(options, path)),
            ("stat", Some([option @ ("-c" | "--format" | "-Lc"), format, path])) if !outside(path) => {
                let followed = *option == "-Lc";
                Some(self.stat(format, path, followed))
            }
            ("stat", Some([option, path])) if option.starts_with("--format=") || option.starts_with("-c") => {
                let format = option.trim_start_matches("--format=").trim_start_matches("-c");
                Some(self.stat(format, path, false))
            }
            ("grep", Some(words)) => {
                self.print(None);
                Some(self.grep(words))
            }
            ("sed", Some(words)) => {
                // Options that write, and the commands `w` and `e`, are told by their letters.
                let still = |w: &&str| !w.starts_with("-i") && !w.starts_with("--in-place") && !w.contains("/w");
                if !words.iter().all(still) || words.iter().any(|w| w.contains('w') && w.contains(' ')) {
                    return None;
                }
                self.print(None);
                Some(None)
            }
            ("awk", Some(words)) => {
                if words.iter().any(|w| w.contains("system") || w.contains('>') || w.contains('|')) {
                    return None;
                }
                self.print(None);
                Some(None)
            }
            ("find", Some(words)) => {
                let acts = ["-exec", "-execdir", "-ok", "-delete", "-fprint", "-fprintf", "-fls", "-okdir"];
                if words.iter().any(|w| acts.contains(w)) {
                    return None;
                }
                self.print(None);
                Some(None)
            }
            ("dpkg", Some(["--compare-versions", left, operator, right])) => Some(compare(left, operator, right)),
            ("dpkg", Some(["--print-architecture"])) | ("dpkg-architecture", Some(["-qDEB_HOST_ARCH"])) => {
                let arch = self.scene.arch.oci();
                self.print(Some(&format!("{arch}\n")));
                Some(Some(true))
            }
            ("dpkg", Some(["--assert-multi-arch" | "--assert-support-predepends", ..])) => Some(Some(true)),
            // A package that is not there at all.
            ("dpkg", Some(["-s" | "-l" | "-L" | "--status" | "--listfiles", name]))
            | ("dpkg-query", Some(["-W" | "--show" | "-s" | "-l", name]))
            | ("dpkg-query", Some(["-W" | "--show", "-f" | "--showformat", _, name]))
            | ("dpkg-query", Some(["-f", _, "-W", name]))
                if !name.contains(['*', '?', '[']) && !self.has(name) =>
            {
                Some(Some(false))
            }
            (
                "dpkg",
                Some(["-s" | "-L" | "-l" | "-S" | "--status" | "--search" | "--listfiles" | "--get-selections", ..]),
            )
            | ("dpkg-query", Some(_)) => {
                self.print(None);
                Some(None)
            }
            (name, _) if PURE.contains(&name) => {
                // `sort -o` and `date -s` are the ones that could write.
                let writes =
                    words.iter().any(|w| w.as_deref().is_none_or(|w| w.starts_with("-o") || w.starts_with("-s")));
                if matches!(name, "sort" | "date") && writes
                    || name == "uniq" && words.len() > 1
                    || name == "hostname" && !words.is_empty()
                {
                    return None;
                }
                self.print(None);
                Some(None)
            }
            _ => None,
        }
    }

    fn has(&self, package: &str) -> bool {
        self.scene.admin.selected.contains(package.split(':').next().unwrap_or_default())
    }

    /// Programs by name, in the tree; functions too.
    fn which(&mut self, names: &[&str]) -> Status {
        let mut all = true;
        for name in names {
            let path = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"]
                .iter()
                .map(|dir| format!("{dir}/{name}"))
                .find(|path| self.scene.tree.exists(path.as_bytes()));
            let path = if name.starts_with('/') {
                self.scene.tree.exists(name.as_bytes()).then(|| (*name).to_owned())
            } else {
                path
            };
            match path {
                Some(path) => self.print(Some(&format!("{path}\n"))),
                None => all &= self.functions.contains_key(*name),
            }
        }
        Some(all && !names.is_empty())
    }

    /// The line of a user or group, by name or number.
    pub(super) fn account_line(&self, group: bool, key: &str) -> Option<String> {
        let path: &[u8] = if group { b"/etc/group" } else { b"/etc/passwd" };
        let text = String::from_utf8_lossy(self.scene.tree.read(path).unwrap_or_default()).into_owned();
        let number = key.bytes().all(|b| b.is_ascii_digit());
        let fits = |line: &&str| line.split(':').nth(if number { 2 } else { 0 }) == Some(key);
        text.lines().find(fits).map(str::to_owned)
    }

    /// `ls` of paths, each printed as it stands, and of one directory.
    fn ls(&mut self, words: &[&str]) -> Status {
        let options: Vec<&&str> = words.iter().filter(|w| w.starts_with('-')).collect();
        let paths: Vec<&&str> = words.iter().filter(|w| !w.starts_with('-')).collect();
        if !options.iter().all(|o| matches!(**o, "-1" | "-d" | "-1d"))
            || paths.is_empty()
            || paths.iter().any(|p| outside(p))
        {
            self.print(None);
            return None;
        }
        let itself = options.iter().any(|o| o.contains('d'));
        let mut all = true;
        for path in &paths {
            let place = self.scene.tree.follow(path.as_bytes()).ok();
            match place.and_then(|place| self.scene.tree.nodes.get(&place)).map(|n| n.kind == Kind::Directory) {
                None => all = false,
                Some(true) if !itself => {
                    if paths.len() > 1 {
                        self.print(None);
                        return None;
                    }
                    for name in self.scene.tree.names(path.as_bytes()).iter().filter(|n| !n.starts_with(b".")) {
                        let name = String::from_utf8_lossy(name).into_owned();
                        self.print(Some(&format!("{name}\n")));
                    }
                }
                Some(_) => self.print(Some(&format!("{path}\n"))),
            }
        }
        Some(all)
    }

    fn id(&mut self, words: &[&str]) -> Status {
        let (option, name) = match words {
            ["-u"] | ["-g"] => ("0", None),
            ["-un"] | ["-gn"] | ["-u", "-n"] | ["-g", "-n"] => ("root", None),
            [name] if !name.starts_with('-') => ("", Some(*name)),
            [option, name] if !name.starts_with('-') => (*option, Some(*name)),
            ["-g", "-n", name] => ("-gn", Some(*name)),
            _ => {
                self.print(None);
                return None;
            }
        };
        let Some(name) = name else {
            self.print(Some(&format!("{option}\n")));
            return Some(true);
        };
        let Some(line) = self.account_line(false, name) else { return Some(false) };
        let field = |n: usize| line.split(':').nth(n).unwrap_or_default().to_owned();
        let printed = match option {
            "-u" => Some(field(2)),
            "-g" => Some(field(3)),
            "-gn" => self.account_line(true, &field(3)).and_then(|l| l.split(':').next().map(str::to_owned)),
            _ => None,
        };
        self.print(printed.map(|text| format!("{text}\n")).as_deref());
        Some(true)
    }

    fn readlink(&mut self, options: &[&str], path: &str) -> Status {
        let node = self.scene.tree.get(path.as_bytes()).map(|n| n.kind.clone());
        let text = match options {
            [] => match node {
                Some(Kind::Symlink(target)) => Some(String::from_utf8_lossy(&target).into_owned()),
                _ => return Some(false),
            },
            ["-f" | "-m" | "-e"] => {
                let place = self.scene.tree.follow(path.as_bytes()).ok();
                place.map(|place| format!("/{}", String::from_utf8_lossy(&place)))
            }
            _ => None,
        };
        self.print(text.map(|text| format!("{text}\n")).as_deref());
        Some(true)
    }

    fn stat(&mut self, format: &str, path: &str, followed: bool) -> Status {
        let place = match followed {
            true => self.scene.tree.follow(path.as_bytes()),
            false => self.scene.tree.place(path.as_bytes()),
        };
        let Some(node) = place.ok().and_then(|place| self.scene.tree.nodes.get(&place)) else { return Some(false) };
        let users = passwd::users(self.scene.tree.read(b"/etc/passwd").unwrap_or_default()).entries;
        let groups = passwd::groups(self.scene.tree.read(b"/etc/group").unwrap_or_default()).entries;
        let user = users.iter().find(|u| u.value.uid == node.uid).map(|u| u.value.name.to_owned());
        let group = groups.iter().find(|g| g.value.gid == node.gid).map(|g| g.value.name.to_owned());
        let text = format
            .replace("%U", &user.unwrap_or_else(|| "UNKNOWN".into()))
            .replace("%G", &group.unwrap_or_else(|| "UNKNOWN".into()))
            .replace("%u", &node.uid.to_string())
            .replace("%g", &node.gid.to_string())
            .replace("%a", &format!("{:o}", node.mode));
        let text = (!text.contains('%')).then(|| format!("{text}\n"));
        self.print(text.as_deref());
        Some(true)
    }

    /// `grep` for a plain text, perhaps at the start or end of a line, in files or in what comes in.
    fn grep(&mut self, words: &[&str]) -> Status {
        let words: Vec<&str> = words.iter().map(|w| if *w == "--quiet" { "-q" } else { *w }).collect();
        let options: Vec<&&str> = words.iter().take_while(|w| w.starts_with('-')).collect();
        let fixed = options.iter().any(|o| o.contains('F'));
        if !options.iter().all(|o| o.trim_start_matches('-').chars().all(|c| "qsFxE".contains(c))) {
            return None;
        }
        let whole = options.iter().any(|o| o.contains('x'));
        let (pattern, files) = words.get(options.len()..)?.split_first()?;
        let (start, rest) = pattern.strip_prefix('^').map_or((false, *pattern), |p| (!fixed, p));
        let (end, rest) = rest.strip_suffix('$').map_or((false, rest), |p| (!fixed, p));
        let pattern = if fixed { *pattern } else { rest };
        if !fixed && pattern.chars().any(|c| "\\.[]*+?(){}|^$".contains(c)) {
            return None;
        }
        let mut text = String::new();
        if files.is_empty() {
            text = self.input.clone().flatten()?;
        }
        for file in files {
            if outside(file) {
                return None;
            }
            if self.scene.tree.exists(file.as_bytes()) {
                text.push_str(&String::from_utf8_lossy(self.scene.tree.read(file.as_bytes())?));
                text.push('\n');
            }
        }
        Some(text.lines().any(|line| match (start || whole, end || whole) {
            (true, true) => line == pattern,
            (true, false) => line.starts_with(pattern),
            (false, true) => line.ends_with(pattern),
            _ => line.contains(pattern),
        }))
    }
}

/// `cut -dC -fN`
fn cut(text: &str, words: &[&str]) -> Option<String> {
    let (mut delimiter, mut field) = (None, None);
    let mut all = words.iter();
    while let Some(word) = all.next() {
        let (option, value) = word.split_at_checked(2)?;
        let value = if value.is_empty() { all.next()? } else { value };
        match option {
            "-d" => delimiter = value.chars().next(),
            "-f" => field = value.parse::<usize>().ok(),
            _ => return None,
        }
    }
    let (delimiter, field) = (delimiter.unwrap_or('\t'), field?.checked_sub(1)?);
    let one = |line: &str| match line.contains(delimiter) {
        true => line.split(delimiter).nth(field).unwrap_or_default().to_owned(),
        false => line.to_owned(),
    };
    Some(text.lines().map(|line| one(line) + "\n").collect())
}

/// `printf` with `%s`, `\n` and `\t`; anything else is not worked out.
fn printf(format: &str, words: &[&str]) -> Option<String> {
    let mut out = String::new();
    let mut words = words.iter();
    loop {
        let mut chars = format.chars();
        let before = words.len();
        while let Some(c) = chars.next() {
            match c {
                '%' => match chars.next()? {
                    's' => out.push_str(words.next().copied().unwrap_or_default()),
                    '%' => out.push('%'),
                    _ => return None,
                },
                '\\' => match chars.next()? {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    '\\' => out.push('\\'),
                    _ => return None,
                },
                c => out.push(c),
            }
        }
        if words.len() == 0 || words.len() == before || out.len() > 1 << 20 {
            return Some(out);
        }
    }
}

/// `dpkg --compare-versions`: no version is older than any, or with `-nl` newer.
fn compare(left: &str, operator: &str, right: &str) -> Status {
    use formats::dpkg::Version;
    use std::cmp::Ordering::{Equal, Greater, Less};
    let newest = operator.ends_with("-nl");
    let order = match (left.is_empty(), right.is_empty()) {
        (true, true) => Equal,
        (true, false) => {
            if newest {
                Greater
            } else {
                Less
            }
        }
        (false, true) => {
            if newest {
                Less
            } else {
                Greater
            }
        }
        (false, false) => Version::parse(left).ok()?.cmp(&Version::parse(right).ok()?),
    };
    Some(match operator.trim_end_matches("-nl") {
        "lt" | "<<" => order == Less,
        "le" | "<=" | "<" => order != Greater,
        "eq" | "=" => order == Equal,
        "ne" => order != Equal,
        "ge" | ">=" | ">" => order != Less,
        "gt" | ">>" => order == Greater,
        _ => return None,
    })
}
