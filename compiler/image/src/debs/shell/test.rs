//! `test` and `[`: what they say of strings, numbers and the tree.

use super::super::tree::{Kind, Node};
use super::Shell;

impl Shell<'_, '_> {
    /// The words between `[` and `]`; None: the answer is not known.
    pub(super) fn test(&self, words: &[Option<String>]) -> Option<bool> {
        // `-o` binds least, then `-a`; neither stands where a string is compared.
        for operator in ["-o", "-a"] {
            let at = (1..words.len()).rev().find(|at| {
                words.get(*at).is_some_and(|w| w.as_deref() == Some(operator))
                    && words.len() > 3
                    && !words.get(at - 1).is_some_and(|w| matches!(w.as_deref(), Some("=" | "!=" | "==")))
            });
            if let Some((left, right)) = at.and_then(|at| Some((words.get(..at)?, words.get(at + 1..)?))) {
                let (left, right) = (self.test(left), self.test(right));
                return match (operator, left, right) {
                    ("-o", Some(true), _) | ("-o", _, Some(true)) => Some(true),
                    ("-a", Some(false), _) | ("-a", _, Some(false)) => Some(false),
                    ("-o", Some(_), Some(_)) => Some(false),
                    ("-a", Some(_), Some(_)) => Some(true),
                    _ => None,
                };
            }
        }
        match words {
            [] => Some(false),
            [not, rest @ ..] if not.as_deref() == Some("!") && !rest.is_empty() => self.test(rest).map(|good| !good),
            [one] => Some(!one.as_ref()?.is_empty()),
            [operator, value] => self.unary(operator.as_deref()?, value.as_deref()?),
            [left, operator, right] => self.binary(left.as_deref()?, operator.as_deref()?, right.as_deref()?),
            _ => None,
        }
    }

    fn unary(&self, operator: &str, value: &str) -> Option<bool> {
        match operator {
            "-n" => return Some(!value.is_empty()),
            "-z" => return Some(value.is_empty()),
            "-t" => return Some(false),
            _ => {}
        }
        if value.is_empty() {
            return Some(false);
        }
        if outside(value) {
            return None;
        }
        let literal = || self.scene.tree.get(value.as_bytes());
        let followed = || -> Option<&Node> {
            let place = self.scene.tree.follow(value.as_bytes()).ok()?;
            self.scene.tree.nodes.get(&place)
        };
        Some(match operator {
            "-e" | "-r" | "-w" => followed().is_some(),
            "-f" => followed().is_some_and(|n| matches!(n.kind, Kind::File(..))),
            "-d" => followed().is_some_and(|n| n.kind == Kind::Directory),
            "-h" | "-L" => literal().is_some_and(|n| matches!(n.kind, Kind::Symlink(_))),
            "-x" => followed().is_some_and(|n| n.kind == Kind::Directory || n.mode & 0o111 != 0),
            "-s" => followed().is_some_and(|n| match n.kind {
                Kind::File(_, size) => size > 0,
                _ => true,
            }),
            "-u" => followed().is_some_and(|n| n.mode & 0o4000 != 0),
            "-g" => followed().is_some_and(|n| n.mode & 0o2000 != 0),
            "-k" => followed().is_some_and(|n| n.mode & 0o1000 != 0),
            // No package brings a pipe, a socket or a device.
            "-p" | "-S" | "-b" | "-c" => false,
            _ => return None,
        })
    }

    fn binary(&self, left: &str, operator: &str, right: &str) -> Option<bool> {
        let numbers = || Some((left.trim().parse::<i64>().ok()?, right.trim().parse::<i64>().ok()?));
        Some(match operator {
            "=" | "==" => left == right,
            "!=" => left != right,
            "-eq" => numbers()?.0 == numbers()?.1,
            "-ne" => numbers()?.0 != numbers()?.1,
            "-lt" => numbers()?.0 < numbers()?.1,
            "-le" => numbers()?.0 <= numbers()?.1,
            "-gt" => numbers()?.0 > numbers()?.1,
            "-ge" => numbers()?.0 >= numbers()?.1,
            "-ef" => {
                let tree = &self.scene.tree;
                tree.exists(left.as_bytes())
                    && tree.follow(left.as_bytes()).ok()? == tree.follow(right.as_bytes()).ok()?
            }
            _ => return None,
        })
    }
}

/// Paths of a running system, which say nothing of a tree; and relative ones, as nobody knows where a script starts.
pub(super) fn outside(path: &str) -> bool {
    let below = |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    ["/dev", "/proc", "/sys"].into_iter().any(below) || !path.starts_with('/')
}
