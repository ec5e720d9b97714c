//! dpkg's database of a base: which packages are there, whose each file is, what the administrator chose.

use std::collections::BTreeMap;

use diag::{Diagnostic, codes};
use formats::dpkg::{self, Status};
use formats::line::lines;

use super::apply::Admin;
use super::package::Package;
use super::seed::Base;
use super::tree::{Kind, Tree};

const ROOT: &str = "/var/lib/dpkg";

/// The database, as far as adding packages needs it.
pub(super) struct Installed {
    /// What is there, in the order of the database; `lists` has the paths of each at the same index.
    pub packages: Vec<Package>,
    lists: Vec<Vec<Vec<u8>>>,
    /// The bytes of `status`; `None` for the one-package files of `status.d`.
    pub status: Option<Vec<u8>>,
    /// Hashes of configuration files that packages left behind when they were removed.
    pub left_behind: BTreeMap<Vec<u8>, String>,
    /// Triggers of installed packages: the trigger, the package.
    pub interests: Vec<(Vec<u8>, String)>,
    pub overrides: Vec<dpkg::Override>,
}

impl Installed {
    /// Reads it.
    ///
    /// # Errors
    /// E0566 for a file of it that is damaged; what the base's reader says.
    pub fn read(base: &Base<'_>) -> Result<Installed, Diagnostic> {
        let mut out = Installed {
            packages: Vec::new(),
            lists: Vec::new(),
            status: base.read(&format!("{ROOT}/status"))?,
            left_behind: BTreeMap::new(),
            interests: Vec::new(),
            overrides: Vec::new(),
        };
        match out.status.take() {
            Some(bytes) => {
                let read = dpkg::status(&bytes).map_err(|e| damaged("status", &e))?;
                for package in &read.packages {
                    let left = package.conffiles.iter().map(|c| (c.path.clone(), c.md5.clone()));
                    match package.status.state.as_str() {
                        "not-installed" => {}
                        "config-files" => out.left_behind.extend(left),
                        _ => out.package(base, package, &broken(&package.status))?,
                    }
                }
                out.status = Some(bytes);
            }
            None => out.single_files(base)?,
        }
        out.triggers(base)?;
        if let Some(bytes) = base.read(&format!("{ROOT}/statoverride"))? {
            out.overrides = dpkg::stat_overrides(&bytes).map_err(|e| damaged("statoverride", &e))?;
        }
        Ok(out)
    }

    fn package(&mut self, base: &Base<'_>, read: &dpkg::Package, broken: &Option<String>) -> Result<(), Diagnostic> {
        if let Some(state) = broken {
            let message = format!("{} is {state} in the base: dpkg would have to repair it first", read.name);
            return Err(Diagnostic::new(codes::E0566, message).help("use a base whose packages are all configured"));
        }
        let Some(package) = Package::installed(read) else { return Ok(()) };
        let list = base.read(&format!("{ROOT}/info/{}.list", package.info_name()))?;
        let paths = match &list {
            Some(bytes) => dpkg::list(bytes).map_err(|e| damaged(&format!("info/{}.list", package.info_name()), &e))?,
            None => Vec::new(),
        };
        self.lists.push(paths.into_iter().map(<[u8]>::to_vec).collect());
        self.packages.push(package);
        Ok(())
    }

    /// Distroless' form: `status.d/NAME`, and `status.d/NAME.md5sums` for what it holds.
    fn single_files(&mut self, base: &Base<'_>) -> Result<(), Diagnostic> {
        let directory = format!("{ROOT}/status.d");
        for name in base.names(&directory).iter().filter(|name| !name.ends_with(".md5sums")) {
            let Some(bytes) = base.read(&format!("{directory}/{name}"))? else { continue };
            let read = dpkg::status_d(&bytes).map_err(|e| damaged(&format!("status.d/{name}"), &e))?;
            let sums = base.read(&format!("{directory}/{name}.md5sums"))?.unwrap_or_default();
            let sums = dpkg::md5sums(&sums).map_err(|e| damaged(&format!("status.d/{name}.md5sums"), &e))?;
            let paths: Vec<Vec<u8>> = sums.into_iter().map(|(_, path)| [b"/", path].concat()).collect();
            for package in read.packages.iter().filter_map(Package::installed) {
                self.packages.push(package);
                self.lists.push(paths.clone());
            }
        }
        Ok(())
    }

    fn triggers(&mut self, base: &Base<'_>) -> Result<(), Diagnostic> {
        let directory = format!("{ROOT}/triggers");
        for name in base.names(&directory) {
            if matches!(name.as_str(), "Lock" | "Unincorp") {
                continue;
            }
            let bytes = base.read(&format!("{directory}/{name}"))?.unwrap_or_default();
            for line in lines(&bytes) {
                let mut words = line.text.rsplitn(2, |b| *b == b' ');
                let who = words.next().map(|who| String::from_utf8_lossy(who).into_owned()).unwrap_or_default();
                let who = who.split(['/', ':']).next().unwrap_or_default().to_owned();
                match words.next() {
                    Some(path) if name == "File" => self.interests.push((path.to_vec(), who)),
                    _ => self.interests.push((name.clone().into_bytes(), who)),
                }
            }
        }
        Ok(())
    }

    /// Diversions and alternatives, as they are.
    ///
    /// # Errors
    /// As [`Installed::read`].
    pub fn admin(&self, base: &Base<'_>, tree: &Tree) -> Result<Admin, Diagnostic> {
        let mut admin = Admin::default();
        let bytes = base.read(&format!("{ROOT}/diversions"))?.unwrap_or_default();
        for one in dpkg::diversions(&bytes).map_err(|e| damaged("diversions", &e))? {
            admin.diversions.insert(one.from, (one.to, one.package.unwrap_or_else(|| ":".to_owned())));
        }
        let directory = format!("{ROOT}/alternatives");
        for name in base.names(&directory) {
            let Some(bytes) = base.read(&format!("{directory}/{name}"))? else { continue };
            let read = dpkg::alternative(&bytes).map_err(|e| damaged(&format!("alternatives/{name}"), &e))?;
            let chosen = match tree.get(format!("/etc/alternatives/{name}").as_bytes()).map(|node| &node.kind) {
                Some(Kind::Symlink(target)) => Some(String::from_utf8_lossy(target).into_owned()),
                _ => None,
            };
            admin.alternatives.known(&name, &read, chosen);
        }
        Ok(admin)
    }

    /// Says in the tree whose each file is.
    pub fn own(&self, tree: &mut Tree, admin: &Admin) {
        for (at, (package, list)) in self.packages.iter().zip(&self.lists).enumerate() {
            for path in list {
                let path = match admin.diversions.get(path) {
                    Some((to, owner)) if *owner != package.name => to,
                    _ => path,
                };
                let Ok(place) = tree.place(path) else { continue };
                if let Some(node) = tree.nodes.get_mut(&place).filter(|node| node.kind != Kind::Directory) {
                    node.owner = Some(at);
                }
            }
        }
    }

    /// The paths that a package lists, at its index.
    pub fn list(&self, at: usize) -> &[Vec<u8>] {
        self.lists.get(at).map_or(&[], Vec::as_slice)
    }
}

/// A state in which dpkg installs nothing.
fn broken(status: &Status) -> Option<String> {
    let bad = !status.is_installed() || status.flag != "ok";
    bad.then(|| if status.flag == "ok" { status.state.clone() } else { status.flag.clone() })
}

fn damaged(file: &str, error: &dyn std::fmt::Display) -> Diagnostic {
    Diagnostic::new(codes::E0566, format!("the base's {ROOT}/{file} cannot be read: {error}"))
        .help("use a base whose dpkg database is whole")
}
