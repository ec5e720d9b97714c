//! Against the real archives, and against apt's own choice from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::support::*;
use crate::{AptRequest, NetPolicy, Sources};

/// Packages that people put on a base. Together with the essential packages they have every kind of relation that
/// matters: alternatives, virtual packages, versioned provides, qualifiers, packages that exclude each other.
const SETS: [&[&str]; 32] = [
    &[],
    &["nginx-light"],
    &["nginx", "ca-certificates"],
    &["redis-server"],
    &["postgresql"],
    &["postgresql-client"],
    &["python3"],
    &["python3-pip", "python3-venv"],
    &["python3-numpy", "python3-scipy"],
    &["python3-django", "gunicorn"],
    &["apache2"],
    &["apache2", "php"],
    &["php-fpm", "php-mysql"],
    &["mariadb-server"],
    &["nodejs"],
    &["npm"],
    &["default-jre-headless"],
    &["ruby"],
    &["rails"],
    &["postfix"],
    &["exim4"],
    &["haproxy"],
    &["memcached"],
    &["git", "openssh-client"],
    &["openssh-server"],
    &["systemd-sysv"],
    &["build-essential"],
    &["curl", "wget", "jq"],
    &["ffmpeg"],
    &["dbus", "cron"],
    &["libreoffice-calc"],
    &["erlang", "rabbitmq-server"],
];

/// The archives as this machine's apt knows them; `None` where there is no apt, or none of Debian's archives.
fn mirrors() -> Option<BTreeMap<String, String>> {
    let apt = tool("apt-get")?;
    let format = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
    let output = run(&apt, &["indextargets", "--format", format, "Created-By: Packages"]);
    let mut found = BTreeMap::new();
    for line in output.lines() {
        let mut words = line.split('|');
        let name = match (words.next(), words.next()) {
            (Some("Debian"), Some("Debian")) => "debian",
            (Some("Debian"), Some("Debian-Security")) => "debian-security",
            _ => continue,
        };
        found.insert(name.to_owned(), words.next().unwrap().to_owned());
    }
    let here = found.len() == 2;
    if !here {
        assert!(std::env::var("K8ORC_REQUIRE").as_deref() != Ok("all"), "apt's lists of Debian are required");
        eprintln!("skipped: apt knows no archive of Debian here (run `apt-get update` on Debian)");
    }
    here.then_some(found)
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

fn live(dir: &Path, mirrors: &BTreeMap<String, String>) -> Sources {
    sources_with(dir, NetPolicy::default(), |settings| settings.mirrors = mirrors.clone())
}

/// An apt of its own: its lists, its status, and nothing of this machine's.
struct Peer {
    dir: PathBuf,
    apt: PathBuf,
}

impl Peer {
    fn new(dir: &Path, mirrors: &BTreeMap<String, String>, suite: &str, architecture: &str) -> Peer {
        let dir = dir.join("peer");
        for folder in ["etc/preferences.d", "etc/apt.conf.d", "lists/partial", "cache/archives/partial", "dpkg"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        let key = dir.join("debian.gpg");
        fs::write(&key, include_bytes!("../../../../stdlib/keyrings/debian.gpg")).unwrap();
        let mut list = String::new();
        let updates = format!("{suite}-updates");
        let security = format!("{suite}-security");
        let mut pockets = vec![("debian", suite)];
        if suite != "sid" {
            pockets.extend([("debian", updates.as_str()), ("debian-security", security.as_str())]);
        }
        for (archive, pocket) in pockets {
            writeln!(list, "deb [signed-by={}] {} {pocket} main", key.display(), mirrors[archive]).unwrap();
        }
        fs::write(dir.join("etc/sources.list"), list).unwrap();
        fs::write(dir.join("dpkg/status"), "").unwrap();
        let config = format!(
            "APT::Architecture \"{architecture}\";\nAPT::Architectures \"{architecture}\";\nDir::Etc \"{0}/etc\";\n\
             Dir::Etc::sourcelist \"{0}/etc/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Dir::State \"{0}\";\nDir::State::lists \"{0}/lists\";\nDir::State::status \"{0}/dpkg/status\";\n\
             Dir::Cache \"{0}/cache\";\nAPT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n\
             Acquire::Check-Valid-Until \"false\";\npkgCacheGen::ForceEssential \",\";\n\
             Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";\n",
            dir.display()
        );
        fs::write(dir.join("apt.conf"), config).unwrap();
        let peer = Peer { dir, apt: tool("apt-get").unwrap() };
        peer.run("apt-get", &["update"]);
        peer
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(self.apt.with_file_name(program))
            .args(arguments)
            .env("APT_CONFIG", self.dir.join("apt.conf"))
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What apt would install now: names and versions.
    fn simulate(&self, names: &[&str]) -> BTreeMap<String, String> {
        let mut arguments = vec!["-s", "--no-install-recommends", "install"];
        arguments.extend(names);
        let mut chosen = BTreeMap::new();
        for line in self.run("apt-get", &arguments).lines() {
            let Some(rest) = line.strip_prefix("Inst ") else { continue };
            let (name, rest) = rest.split_once(' ').unwrap();
            let version = rest.split_once('(').unwrap().1.split(' ').next().unwrap();
            chosen.insert(name.split(':').next().unwrap().to_owned(), version.to_owned());
        }
        chosen
    }

    /// Makes packages installed, as if dpkg had done it.
    fn install(&self, packages: &BTreeMap<String, String>) -> String {
        let names: Vec<String> = packages.iter().map(|(name, version)| format!("{name}={version}")).collect();
        let mut arguments = vec!["show"];
        arguments.extend(names.iter().map(String::as_str));
        let status =
            self.run("apt-cache", &arguments).replace("\nVersion: ", "\nStatus: install ok installed\nVersion: ");
        fs::write(self.dir.join("dpkg/status"), &status).unwrap();
        status
    }
}

fn differences(suite: &str, architecture: &str, sets: &[&[&str]]) -> Vec<String> {
    let Some(mirrors) = mirrors() else { return Vec::new() };
    let dir = tempfile::tempdir().unwrap();
    let sources = live(dir.path(), &mirrors);
    fn request<'a>(
        (suite, architecture): (&'a str, &'a str),
        roots: &'a [String],
        installed: Option<&'a [u8]>,
    ) -> AptRequest<'a> {
        AptRequest { suite, architecture, roots, installed, since: &[], now: now(), accept_expired: suite == "sid" }
    }
    let of = (suite, architecture);
    let catalogue = sources.apt().catalogue(&request(of, &[], None)).unwrap();
    let peer = Peer::new(dir.path(), &mirrors, suite, architecture);
    // Two steps, as mmdebstrap does it: the essential packages, then what is included.
    let base = peer.simulate(&["?essential"]);
    assert!(base.contains_key("dpkg") && !base.contains_key("apt"), "{base:?}");
    let status = peer.install(&base);
    let mut wrong = Vec::new();
    let available: BTreeSet<String> = peer.run("apt-cache", &["pkgnames"]).lines().map(str::to_owned).collect();
    for set in sets {
        if set.iter().any(|name| !available.contains(*name)) {
            wrong.push(format!("{suite} {architecture} {set:?}: a name that the suite does not have"));
            continue;
        }
        let roots: Vec<String> = set.iter().map(|name| (*name).to_owned()).collect();
        // apt's choice depends on the order of what is asked for; ours must not: it takes them by name.
        let mut sorted = set.to_vec();
        sorted.sort_unstable();
        let added = peer.simulate(&sorted);
        let mut expected = base.clone();
        expected.extend(added.clone());
        for (expected, installed) in [(expected, None), (added, Some(status.as_bytes()))] {
            let pin = match catalogue.select(&request(of, &roots, installed)) {
                Ok(pin) => pin,
                Err(e) => {
                    wrong.push(format!("{suite} {architecture} {set:?}: {} {:?}", e.message, e.notes));
                    continue;
                }
            };
            let found: BTreeMap<String, String> =
                pin.packages.into_iter().map(|package| (package.name, package.version)).collect();
            let more: Vec<_> = found.iter().filter(|(n, v)| expected.get(*n) != Some(v)).collect();
            let less: Vec<_> = expected.iter().filter(|(n, v)| found.get(*n) != Some(v)).collect();
            println!("{suite} {architecture} {set:?}: {} packages", found.len());
            if !more.is_empty() || !less.is_empty() {
                wrong.push(format!("{suite} {architecture} {set:?}: we alone {more:?}, apt alone {less:?}"));
            }
        }
    }
    wrong
}

#[test]
fn trixie_is_chosen_as_apt_chooses() {
    let wrong = differences("trixie", "amd64", &SETS);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bookworm_is_chosen_as_apt_chooses() {
    let wrong = differences("bookworm", "amd64", &SETS);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn another_architecture_is_chosen_as_apt_chooses() {
    let wrong = differences("trixie", "arm64", &SETS[..8]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sid_is_chosen_as_apt_chooses() {
    let wrong = differences("sid", "amd64", &SETS[..8]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_small_base_is_fetched_and_served_offline() {
    let Some(mirrors) = mirrors() else { return };
    let dir = tempfile::tempdir().unwrap();
    let roots = ["netbase".to_owned()];
    let request = AptRequest {
        suite: "trixie",
        architecture: "amd64",
        roots: &roots,
        // Nothing is essential when a base is added to, so that only two packages have to be fetched.
        installed: Some(b""),
        since: &[],
        now: now(),
        accept_expired: false,
    };
    let pin = live(dir.path(), &mirrors).apt().resolve(&request).unwrap();
    let names: Vec<&str> = pin.packages.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["netbase"]);
    let debs = live(dir.path(), &mirrors).apt().open(&pin).unwrap();
    let again = sources(dir.path(), offline()).apt().open(&pin).unwrap();
    assert_eq!(debs, again);
    if let Some(dpkg) = tool("dpkg-deb") {
        let field = run(&dpkg, &["-f", &debs[0].path.display().to_string(), "Package"]);
        assert_eq!(field.trim(), "netbase");
    }
}
