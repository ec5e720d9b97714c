//! Credentials: Docker's and containers' files, and credential helpers.
//!
//! A helper is another program: its name is checked (`[a-z0-9-]+`), it gets the registry on its standard
//! input, and what it says never reaches a message.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diag::{Diagnostic, codes, text::printable};
use serde_json::Value;

use crate::reference::Reference;
use crate::settings::Settings;

/// Largest file of credentials, and largest answer of a helper.
const MAX_CONFIG: u64 = 4 << 20;
/// How long a helper may take: some ask a cloud for a token.
const HELPER_TIME: Duration = Duration::from_secs(60);
/// What Docker calls its own registry in its files.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";

/// What is known for a registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// User and password.
    Basic { user: String, password: String },
    /// An OAuth2 refresh token ("identity token").
    Refresh(String),
}

impl Credentials {
    /// The value of an `Authorization` header of the basic scheme.
    pub fn basic(&self) -> Option<String> {
        match self {
            Credentials::Basic { user, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            Credentials::Refresh(_) => None,
        }
    }
}

/// The credentials for `reference`, when the user has some: in Docker's file first, then in containers'.
///
/// # Errors
/// E0406 when a file or a helper is there and cannot be used.
pub(crate) fn find(settings: &Settings, reference: &Reference) -> Result<Option<Credentials>, Diagnostic> {
    for path in files(settings) {
        let Some(config) = read(&path)? else { continue };
        if let Some(found) = in_config(settings, &config, reference, &path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn files(settings: &Settings) -> Vec<PathBuf> {
    let docker = settings.env("DOCKER_CONFIG").map(PathBuf::from);
    let docker = docker.or_else(|| settings.env("HOME").map(|home| PathBuf::from(home).join(".docker")));
    let run = settings.env("XDG_RUNTIME_DIR").map(PathBuf::from);
    let docker = docker.map(|dir| dir.join("config.json"));
    docker.into_iter().chain(run.map(|dir| dir.join("containers/auth.json"))).collect()
}

fn read(path: &Path) -> Result<Option<Value>, Diagnostic> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(wrong(path, &e.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG).read_to_end(&mut bytes).map_err(|e| wrong(path, &e.to_string()))?;
    // The parser's message would quote the text, and with it perhaps a password: only its place is shown.
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| wrong(path, &format!("not valid JSON at line {}, column {}", e.line(), e.column())))
}

fn in_config(
    settings: &Settings,
    config: &Value,
    reference: &Reference,
    path: &Path,
) -> Result<Option<Credentials>, Diagnostic> {
    let keys = keys(reference);
    let helper = keys.iter().find_map(|key| config.get("credHelpers")?.get(key)?.as_str());
    let helper = helper.or_else(|| config.get("credsStore")?.as_str().filter(|name| !name.is_empty()));
    if let Some(name) = helper {
        let server = if reference.registry() == "docker.io" { DOCKER_KEY.to_owned() } else { reference.registry() };
        if let Some(found) = ask_helper(settings, name, &server, path)? {
            return Ok(Some(found));
        }
    }
    let Some(entry) = keys.iter().find_map(|key| config.get("auths")?.get(key)) else { return Ok(None) };
    from_entry(entry).map_err(|why| wrong(path, &format!("the entry for {}: {why}", reference.registry())))
}

/// The keys under which a registry may be found: the repository's prefixes (containers-auth.json(5)), the
/// registry, and the spellings with a scheme that `docker login` left over the years.
fn keys(reference: &Reference) -> Vec<String> {
    let mut keys = Vec::new();
    let mut name = reference.name();
    while let Some(at) = name.rfind('/') {
        keys.push(name.clone());
        name.truncate(at);
    }
    let registry = reference.registry();
    let mut hosts = vec![registry.clone()];
    if registry == "docker.io" {
        hosts.extend(["index.docker.io".to_owned(), "registry-1.docker.io".to_owned()]);
    }
    for host in hosts {
        let spellings = ["/v1/", "/v2/", "/v1", "/v2", "/", ""].map(|end| format!("https://{host}{end}"));
        keys.push(host);
        keys.extend(spellings);
    }
    keys
}

fn from_entry(entry: &Value) -> Result<Option<Credentials>, &'static str> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credentials::Refresh(token.to_owned())));
    }
    if let Some(auth) = text("auth") {
        let decoded = STANDARD.decode(auth.trim()).map_err(|_| "`auth` is not base64")?;
        let decoded = String::from_utf8(decoded).map_err(|_| "`auth` is not text")?;
        let (user, password) = decoded.split_once(':').ok_or("`auth` holds no user and password")?;
        let password = password.trim_end_matches('\0');
        return checked(user, password);
    }
    match (text("username"), text("password")) {
        (Some(user), Some(password)) => checked(user, password),
        _ => Ok(None),
    }
}

fn checked(user: &str, password: &str) -> Result<Option<Credentials>, &'static str> {
    if user.is_empty() || user.contains(':') {
        return Err("the user is empty or has a colon");
    }
    Ok(Some(Credentials::Basic { user: user.to_owned(), password: password.to_owned() }))
}

/// Runs `docker-credential-NAME get`; `None` when it has nothing for the server.
fn ask_helper(settings: &Settings, name: &str, server: &str, path: &Path) -> Result<Option<Credentials>, Diagnostic> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err(wrong(path, &format!("`{}` cannot be the name of a credential helper", printable(name))));
    }
    let program = format!("docker-credential-{name}");
    let failed = |why: &str| wrong(path, &format!("{program}, which it names, {why}"));
    let mut child = Command::new(&program)
        .arg("get")
        .env_clear()
        .envs(&settings.env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| failed(&format!("cannot be started: {e}")))?;
    let output = converse(&mut child, server);
    let status = child.wait().map_err(|e| failed(&e.to_string()))?;
    let output = output.map_err(failed)?;
    if !status.success() {
        // The protocol says this on standard output; only then there is no entry and not a failure.
        if String::from_utf8_lossy(&output).contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(&format!("ended with {status}")));
    }
    let answer: Value = serde_json::from_slice(&output).map_err(|_| failed("did not answer with JSON"))?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    match (text("Username"), text("Secret")) {
        (Some("<token>"), Some(token)) => Ok(Some(Credentials::Refresh(token.to_owned()))),
        (Some(user), Some(password)) => checked(user, password).map_err(failed),
        _ => Ok(None),
    }
}

/// Writes the server, reads the answer; kills the helper when it takes too long or says too much.
fn converse(child: &mut Child, server: &str) -> Result<Vec<u8>, &'static str> {
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input may have ended already; its status tells.
        let _ = input.write_all(server.as_bytes());
    }
    let Some(output) = child.stdout.take() else { return Err("has no output") };
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(MAX_CONFIG).read_to_end(&mut bytes);
        let _ = send.send(read.map(|_| bytes));
    });
    let start = Instant::now();
    let result = receive.recv_timeout(HELPER_TIME);
    match result {
        Ok(Ok(bytes)) if start.elapsed() <= HELPER_TIME => Ok(bytes),
        Ok(_) => Err("could not be read"),
        Err(_) => {
            let _ = child.kill();
            Err("did not answer within 60 s")
        }
    }
}

fn wrong(path: &Path, why: &str) -> Diagnostic {
    let shown = printable(&path.display().to_string());
    Diagnostic::new(codes::E0406, format!("the credentials in {shown} cannot be used: {why}"))
        .help("repair the file, or log in again with `docker login` or `podman login`")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::settings::NetPolicy;
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    fn settings(dir: &std::path::Path) -> Settings {
        let env = BTreeMap::from([
            ("DOCKER_CONFIG".to_owned(), dir.display().to_string()),
            ("PATH".to_owned(), format!("{}:/usr/bin:/bin", dir.display())),
        ]);
        Settings::new(env, NetPolicy::default())
    }

    fn ask(config: &str, helper: Option<(&str, &str)>, reference: &str) -> Result<Option<Credentials>, Diagnostic> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        if let Some((name, script)) = helper {
            let path = dir.path().join(name);
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        find(&settings(dir.path()), &Reference::parse(reference).unwrap())
    }

    fn basic(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Basic { user: user.into(), password: password.into() })
    }

    #[test]
    fn files_are_read_in_all_their_spellings() {
        let hub = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}"#;
        assert!(ask(hub, None, "debian").unwrap() == basic("u", "p"));
        assert!(ask(hub, None, "ghcr.io/a/b").unwrap().is_none());
        let nested = r#"{"auths":{"r.io":{"auth":"dTpw"},"r.io/team":{"auth":"djpx"}}}"#;
        assert!(ask(nested, None, "r.io/team/x").unwrap() == basic("v", "q"));
        assert!(ask(nested, None, "r.io/other/x").unwrap() == basic("u", "p"));
        let token = r#"{"auths":{"r.io":{"identitytoken":"t"}}}"#;
        assert!(ask(token, None, "r.io/x").unwrap() == Some(Credentials::Refresh("t".into())));
        assert!(ask("{}", None, "r.io/x").unwrap().is_none());
    }

    #[test]
    fn broken_files_say_where_and_never_what() {
        let error = ask("{\"auths\":{\"r.io\":{\"auth\":\"c2VjcmV0", None, "r.io/x").err().unwrap();
        assert_eq!(error.code, codes::E0406);
        assert!(!error.message.contains("c2Vj") && error.message.contains("line 1"));
        assert_eq!(ask(r#"{"auths":{"r.io":{"auth":"%%"}}}"#, None, "r.io/x").err().unwrap().code, codes::E0406);
    }

    #[test]
    fn helpers_are_asked_with_the_server_on_their_input() {
        let script = "#!/bin/sh\nread s; [ \"$1\" = get ] && [ \"$s\" = r.io ] && printf '{\"Username\":\"u\",\"Secret\":\"p\"}'";
        let config = r#"{"credHelpers":{"r.io":"test-x"}}"#;
        assert!(ask(config, Some(("docker-credential-test-x", script)), "r.io/x").unwrap() == basic("u", "p"));
        let none = "#!/bin/sh\ncat >/dev/null; echo credentials not found in native keychain; exit 1";
        let config = r#"{"credsStore":"test-x","auths":{"r.io":{"auth":"dTpw"}}}"#;
        assert!(ask(config, Some(("docker-credential-test-x", none)), "r.io/x").unwrap() == basic("u", "p"));
        let broken = "#!/bin/sh\nexit 3";
        let error = ask(config, Some(("docker-credential-test-x", broken)), "r.io/x").err().unwrap();
        assert_eq!(error.code, codes::E0406);
    }

    #[test]
    fn a_helper_is_never_a_path() {
        for name in ["../x", "a/b", "X", "a b", "a;b", "-o$(x)"] {
            let config = format!("{{\"credHelpers\":{{\"r.io\":{}}}}}", Value::from(name));
            assert_eq!(ask(&config, None, "r.io/x").err().unwrap().code, codes::E0406, "{name}");
        }
    }
}
