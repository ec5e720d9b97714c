//! coreutils on the tree: mkdir, install, chown, chmod, ln, rm, mv, cp, touch.

use super::super::apply::Owner;
use super::super::failure::Failure;
use super::super::tree::Kind;
use super::test::outside;
use super::{Shell, Status};

type Done = Result<Option<Status>, Failure>;

/// Letters of short options and whole long options, the other words in order. None: one that is not in `letters`.
fn flags<'a>(words: &[&'a str], letters: &str) -> Option<(String, Vec<&'a str>)> {
    let (mut found, mut names, mut literal) = (String::new(), Vec::new(), false);
    for word in words {
        let long = match *word {
            "--parents" => "p",
            "--recursive" => "R",
            "--force" => "f",
            "--no-dereference" => "h",
            "--symbolic" => "s",
            "--verbose" => "v",
            "--preserve" => "p",
            "--quiet" | "--silent" => "q",
            "--no-clobber" => "n",
            _ => "",
        };
        if literal || !word.starts_with('-') || *word == "-" {
            names.push(*word);
        } else if *word == "--" {
            literal = true;
        } else {
            let these = if long.is_empty() { word.get(1..).unwrap_or_default() } else { long };
            if !these.chars().all(|c| letters.contains(c)) {
                return None;
            }
            found.push_str(these);
        }
    }
    Some((found, names))
}

impl Shell<'_, '_> {
    /// None: no command of these. All paths must be absolute and none of a running system.
    pub(super) fn file_command(&mut self, program: &str, words: &[&str]) -> Option<Done> {
        Some(match program {
            "mkdir" => self.mkdir(words),
            "install" => self.install(words),
            "chown" | "chgrp" => self.chown(program == "chgrp", words),
            "chmod" => self.chmod(words),
            "ln" => self.ln(words),
            "rm" => self.rm(words),
            "rmdir" => self.rmdir(words),
            "mv" => self.mv(words),
            "cp" => self.cp(words),
            "touch" => self.touch(words),
            // There is no SELinux to label for.
            "restorecon" => Ok(Some(None)),
            "mktemp" => self.mktemp(words),
            _ => return None,
        })
    }

    fn mktemp(&mut self, words: &[&str]) -> Done {
        let directory = match words {
            [] => false,
            ["-d"] => true,
            _ => return Ok(None),
        };
        let path = format!("/tmp/tmp.k8orc{}", self.temporary.len());
        if directory {
            let place = self.scene.tree.directories(path.as_bytes())?;
            if let Some(node) = self.scene.tree.nodes.get_mut(&place) {
                node.mode = 0o700;
            }
        } else {
            self.scene.tree.write(path.as_bytes(), Vec::new())?.mode = 0o600;
        }
        self.print(Some(&format!("{path}\n")));
        self.temporary.push(path);
        Ok(Some(Some(true)))
    }

    fn exists(&self, path: &str) -> bool {
        self.scene.tree.exists(path.as_bytes())
    }

    fn is_directory(&self, path: &str) -> bool {
        let place = self.scene.tree.follow(path.as_bytes()).ok();
        place.and_then(|place| self.scene.tree.nodes.get(&place)).is_some_and(|n| n.kind == Kind::Directory)
    }

    fn mkdir(&mut self, words: &[&str]) -> Done {
        let (mut mode, mut rest) = (None, Vec::new());
        let mut all = words.iter();
        while let Some(word) = all.next() {
            let given = match word.strip_prefix("--mode=").or_else(|| word.strip_prefix("-m").filter(|m| !m.is_empty()))
            {
                Some(value) => Some(value),
                None if matches!(*word, "-m" | "--mode") => all.next().copied(),
                None => None,
            };
            match given.map(|value| u32::from_str_radix(value, 8)) {
                Some(Ok(value)) => mode = Some(value),
                Some(Err(_)) => return Ok(None),
                None => rest.push(*word),
            }
        }
        let Some((found, names)) = flags(&rest, "pvZ") else { return Ok(None) };
        if names.iter().any(|name| outside(name)) {
            return Ok(None);
        }
        for name in names {
            if self.exists(name) {
                if !found.contains('p') || !self.is_directory(name) {
                    return Ok(Some(Some(false)));
                }
                continue;
            }
            let parent = name.trim_end_matches('/').rsplit_once('/').map_or("/", |(parent, _)| parent);
            if !found.contains('p') && !parent.is_empty() && !self.is_directory(parent) {
                return Ok(Some(Some(false)));
            }
            let place = self.scene.tree.directories(name.as_bytes())?;
            if let (Some(mode), Some(node)) = (mode, self.scene.tree.nodes.get_mut(&place)) {
                node.mode = mode;
            }
        }
        Ok(Some(Some(true)))
    }

    fn install(&mut self, words: &[&str]) -> Done {
        let (mut mode, mut user, mut group, mut directory) = (None, None, None, false);
        let (mut names, mut parents) = (Vec::new(), false);
        let mut all = words.iter();
        while let Some(word) = all.next() {
            match *word {
                "-o" | "--owner" => user = all.next().copied(),
                "-g" | "--group" => group = all.next().copied(),
                "-m" | "--mode" => mode = all.next().copied(),
                "-d" | "--directory" => directory = true,
                "-D" => parents = true,
                "-p" | "-v" | "-c" => {}
                word if word.starts_with("--owner=") => user = word.strip_prefix("--owner="),
                word if word.starts_with("--group=") => group = word.strip_prefix("--group="),
                word if word.starts_with("--mode=") => mode = word.strip_prefix("--mode="),
                word if word.starts_with("-o") => user = word.strip_prefix("-o"),
                word if word.starts_with("-g") => group = word.strip_prefix("-g"),
                word if word.starts_with("-m") => mode = word.strip_prefix("-m"),
                word if word.starts_with('-') => return Ok(None),
                word => names.push(word),
            }
        }
        let mode = match mode.map(|mode| u32::from_str_radix(mode, 8)) {
            None => 0o755,
            Some(Ok(mode)) => mode,
            Some(Err(_)) => return Ok(None),
        };
        let owner = self.scene.owner_of(user, group)?;
        if names.iter().any(|name| outside(name) && *name != "/dev/null") {
            return Ok(None);
        }
        if directory {
            for name in names {
                let place = self.scene.tree.directories(name.as_bytes())?;
                if let Some(node) = self.scene.tree.nodes.get_mut(&place) {
                    node.mode = mode;
                    owner.set(node);
                }
            }
            return Ok(Some(Some(true)));
        }
        let [from, to] = names.as_slice() else { return Ok(None) };
        let to = self.target(from, to);
        let parent = to.rsplit_once('/').map_or("/", |(parent, _)| parent).to_owned();
        if !parents && !parent.is_empty() && !self.is_directory(&parent) {
            return Ok(Some(Some(false)));
        }
        let Some(bytes) = (if *from == "/dev/null" { Some(Vec::new()) } else { self.bytes(from) }) else {
            return Ok(None);
        };
        self.scene.tree.remove(to.as_bytes())?;
        let node = self.scene.tree.write(to.as_bytes(), bytes)?;
        node.mode = mode;
        owner.set(node);
        Ok(Some(Some(true)))
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.scene.tree.read(path.as_bytes()).map(<[u8]>::to_vec)
    }

    /// Where something goes: into a directory that is there, or to the name itself.
    fn target(&self, from: &str, to: &str) -> String {
        let base = from.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if self.is_directory(to) { format!("{}/{base}", to.trim_end_matches('/')) } else { to.to_owned() }
    }

    fn chown(&mut self, groups: bool, words: &[&str]) -> Done {
        let Some((found, names)) = flags(words, "Rhfcv") else { return Ok(None) };
        let Some((owner, paths)) = names.split_first() else { return Ok(None) };
        let (user, group) = match owner.split_once([':', '.']) {
            _ if groups => (None, Some(*owner)),
            Some((user, group)) => (Some(user).filter(|u| !u.is_empty()), Some(group).filter(|g| !g.is_empty())),
            None => (Some(*owner), None),
        };
        let owner = self.scene.owner_of(user, group)?;
        self.each(&found, paths, true, |node| owner.set(node))
    }

    fn chmod(&mut self, words: &[&str]) -> Done {
        // A mode such as `-w` is no option.
        let Some((found, names)) = flags(words, "Rfcv") else { return Ok(None) };
        let Some((mode, paths)) = names.split_first() else { return Ok(None) };
        let Some(change) = Mode::parse(mode) else { return Ok(None) };
        self.each(&found, paths, false, |node| {
            if !matches!(node.kind, Kind::Symlink(_)) {
                node.mode = change.of(node.mode, node.kind == Kind::Directory);
            }
        })
    }

    /// Does something to paths, with `R` to all below them. Links are followed, unless `h` says otherwise.
    fn each(
        &mut self,
        found: &str,
        paths: &[&str],
        links: bool,
        mut change: impl FnMut(&mut super::super::tree::Node),
    ) -> Done {
        if paths.is_empty() || paths.iter().any(|path| outside(path)) {
            return Ok(None);
        }
        let mut all = true;
        for path in paths {
            let literal = found.contains('h');
            let tree = &mut self.scene.tree;
            let place = if literal { tree.place(path.as_bytes())? } else { tree.follow(path.as_bytes())? };
            if !tree.nodes.contains_key(&place) {
                all = false;
                continue;
            }
            let mut places = vec![place.clone()];
            if found.contains('R') {
                let below = [place.as_slice(), b"/"].concat();
                let inside = tree.nodes.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
                places.extend(inside.map(|(path, _)| path.clone()));
            }
            for place in places {
                let place = match tree.nodes.get(&place).map(|n| &n.kind) {
                    Some(Kind::Symlink(_)) if links && !literal => tree.follow(&place)?,
                    _ => place,
                };
                if let Some(node) = tree.nodes.get_mut(&place) {
                    change(node);
                }
            }
        }
        Ok(Some(Some(all || found.contains('f') && !links)))
    }

    fn ln(&mut self, words: &[&str]) -> Done {
        let Some((found, names)) = flags(words, "sfnTvr") else { return Ok(None) };
        let [target, link] = names.as_slice() else { return Ok(None) };
        if !found.contains('s') || found.contains('r') || outside(link) {
            return Ok(None);
        }
        let literal = self.scene.tree.get(link.as_bytes()).map(|n| n.kind.clone());
        let whole = found.contains('T') || found.contains('n') && matches!(literal, Some(Kind::Symlink(_)));
        let link = if whole { (*link).to_owned() } else { self.target(target, link) };
        match self.scene.tree.get(link.as_bytes()).map(|n| n.kind == Kind::Directory) {
            Some(false) if found.contains('f') => self.scene.tree.remove(link.as_bytes())?,
            Some(_) => return Ok(Some(Some(false))),
            None => {}
        }
        let parent = link.rsplit_once('/').map_or("/", |(parent, _)| parent).to_owned();
        if !parent.is_empty() && !self.is_directory(&parent) {
            return Ok(Some(Some(false)));
        }
        self.scene.tree.link(link.as_bytes(), target.as_bytes())?;
        Ok(Some(Some(true)))
    }

    fn rm(&mut self, words: &[&str]) -> Done {
        let Some((found, paths)) = flags(words, "rRfv") else { return Ok(None) };
        if paths.iter().any(|path| outside(path)) {
            return Ok(None);
        }
        let deep = found.contains(['r', 'R']);
        let mut all = true;
        for path in paths {
            match self.scene.tree.get(path.as_bytes()).map(|n| n.kind == Kind::Directory) {
                None => all &= found.contains('f'),
                Some(true) if !deep => all = false,
                Some(_) => self.scene.tree.remove_all(path.as_bytes())?,
            }
        }
        Ok(Some(Some(all)))
    }

    fn rmdir(&mut self, words: &[&str]) -> Done {
        let quiet = words.contains(&"--ignore-fail-on-non-empty");
        let words: Vec<&str> = words.iter().copied().filter(|w| *w != "--ignore-fail-on-non-empty").collect();
        let Some((found, paths)) = flags(&words, "v") else { return Ok(None) };
        if !found.is_empty() && found != "v" || paths.iter().any(|path| outside(path)) {
            return Ok(None);
        }
        let mut all = true;
        for path in paths {
            let directory = self.scene.tree.get(path.as_bytes()).is_some_and(|n| n.kind == Kind::Directory);
            let empty = directory && self.scene.tree.names(path.as_bytes()).is_empty();
            if empty {
                self.scene.tree.remove_all(path.as_bytes())?;
            }
            all &= empty || directory && quiet;
        }
        Ok(Some(Some(all)))
    }

    fn mv(&mut self, words: &[&str]) -> Done {
        let Some((_, names)) = flags(words, "fvT") else { return Ok(None) };
        let [from, to] = names.as_slice() else { return Ok(None) };
        if outside(from) || outside(to) {
            return Ok(None);
        }
        if self.scene.tree.get(from.as_bytes()).is_none() {
            return Ok(Some(Some(false)));
        }
        let to = self.target(from, to);
        self.scene.tree.rename(from.as_bytes(), to.as_bytes())?;
        Ok(Some(Some(true)))
    }

    fn cp(&mut self, words: &[&str]) -> Done {
        let Some((found, names)) = flags(words, "pafnvdZ") else { return Ok(None) };
        let [from, to] = names.as_slice() else { return Ok(None) };
        if outside(from) || outside(to) {
            return Ok(None);
        }
        let keep = found.contains(['p', 'a']);
        match self.scene.tree.get(from.as_bytes()).map(|n| n.kind.clone()) {
            None => return Ok(Some(Some(false))),
            Some(Kind::Directory) => return Ok(None),
            Some(Kind::Symlink(_)) if found.contains(['a', 'd']) => return Ok(None),
            Some(_) => {}
        }
        let to = self.target(from, to);
        if self.exists(&to) {
            if found.contains('n') {
                return Ok(Some(Some(true)));
            }
            let Some(bytes) = self.bytes(from) else { return Ok(None) };
            let kept = self.scene.tree.get(from.as_bytes()).map(|n| (n.mode, n.uid, n.gid, n.mtime));
            let place = self.scene.tree.follow(to.as_bytes())?;
            let node = self.scene.tree.write(&place, bytes)?;
            if let (true, Some(kept)) = (keep, kept) {
                (node.mode, node.uid, node.gid, node.mtime) = kept;
            }
            return Ok(Some(Some(true)));
        }
        if self.bytes(from).is_none() {
            return Ok(None);
        }
        self.scene.copy(from, &to, keep)?;
        Ok(Some(Some(true)))
    }

    fn touch(&mut self, words: &[&str]) -> Done {
        let Some((found, paths)) = flags(words, "ac") else { return Ok(None) };
        if !found.is_empty() || paths.iter().any(|path| outside(path)) {
            return Ok(None);
        }
        let epoch = self.scene.tree.epoch;
        for path in paths {
            let place = self.scene.tree.follow(path.as_bytes())?;
            match self.scene.tree.nodes.get_mut(&place) {
                Some(node) => node.mtime = epoch,
                None => {
                    self.scene.tree.write(&place, Vec::new())?;
                }
            }
        }
        Ok(Some(Some(true)))
    }
}

/// What chmod(1) does to a mode.
struct Mode(Vec<(u32, char, String)>, Option<u32>);

impl Mode {
    fn parse(text: &str) -> Option<Mode> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o7777).map(|m| Mode(Vec::new(), Some(m)));
        }
        let mut all = Vec::new();
        for clause in text.split(',') {
            let at = clause.find(['+', '-', '='])?;
            let (who, rest) = clause.split_at(at);
            let mut mask = 0;
            for c in who.chars() {
                mask |= match c {
                    'u' => 0o4700,
                    'g' => 0o2070,
                    'o' => 0o1007,
                    'a' => 0o7777,
                    _ => return None,
                };
            }
            let mut letters = rest.chars();
            let operator = letters.next()?;
            let letters: String = letters.collect();
            // Without anybody named, the umask counts, which is 022.
            if mask == 0 {
                mask = if operator == '=' { return None } else { 0o7755 };
                if letters.contains('w') {
                    return None;
                }
            }
            if !letters.chars().all(|c| "rwxXst".contains(c)) {
                return None;
            }
            all.push((mask, operator, letters));
        }
        Some(Mode(all, None))
    }

    fn of(&self, old: u32, directory: bool) -> u32 {
        if let Some(mode) = self.1 {
            // An octal mode of few digits leaves these bits of a directory alone.
            return if directory { mode | old & 0o6000 } else { mode };
        }
        let mut mode = old;
        for (mask, operator, letters) in &self.0 {
            let mut bits = 0;
            for letter in letters.chars() {
                bits |= match letter {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' => 0o111,
                    'X' if directory || mode & 0o111 != 0 => 0o111,
                    's' => 0o6000,
                    't' => 0o1000,
                    _ => 0,
                };
            }
            let bits = bits & mask;
            mode = match operator {
                '+' => mode | bits,
                '-' => mode & !bits,
                _ => mode & !(mask & 0o777 | if directory { 0 } else { mask & 0o6000 }) | bits,
            };
        }
        mode
    }
}

impl Owner {
    /// chown(2), which takes set-id bits of programs away.
    fn set(&self, node: &mut super::super::tree::Node) {
        if let Some(uid) = self.uid {
            node.uid = uid;
        }
        if let Some(gid) = self.gid {
            node.gid = gid;
        }
        if matches!(node.kind, Kind::File(..)) && node.mode & 0o111 != 0 {
            node.mode &= 0o1777;
        }
    }
}
