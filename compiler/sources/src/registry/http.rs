//! One HTTP exchange over `ureq`: time-outs, proxies, certificates, and retries of faults that pass.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use diag::{Diagnostic, codes, text::printable};
use ureq::http::{HeaderMap, Request};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Proxy, SendBody};

use super::names::Names;
use super::url::Url;
use crate::settings::Settings;

/// Attempts of one exchange, the first included.
pub(crate) const ATTEMPTS: u32 = 4;
/// Longest pause that a registry may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Largest file of certificates that is read.
const MAX_PEM: u64 = 16 << 20;
/// Where distributions keep the bundle of the certificates they trust.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Variables that name the proxy for https.
const HTTPS_PROXY: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Variables that name the proxy for plain http. `HTTP_PROXY` in capitals is what CGI makes of a request header
/// (CVE-2016-5385), which does not reach a compiler.
const HTTP_PROXY: [&str; 4] = ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"];

/// What is asked.
pub(crate) struct Ask<'a> {
    pub method: &'static str,
    pub url: Url,
    pub headers: Vec<(&'static str, String)>,
    pub body: Payload<'a>,
}

/// What is sent with it.
pub(crate) enum Payload<'a> {
    None,
    Bytes(&'a [u8]),
    /// `length` bytes of a file from `start`.
    File {
        file: &'a File,
        start: u64,
        length: u64,
    },
}

/// What came back; the body is not read yet.
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Body,
}

impl Answer {
    /// A header's value, when it is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body of at most `limit` + 1 bytes, when it comes within five times the patience for one read: a
    /// server must not hold a build up by sending a byte now and then.
    pub fn small(self, limit: u64, patience: Duration) -> std::io::Result<Vec<u8>> {
        let deadline = Instant::now() + patience.saturating_mul(5);
        let mut reader = self.reader().take(limit.saturating_add(1));
        let (mut bytes, mut chunk) = (Vec::new(), vec![0; 16 << 10]);
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok(bytes),
                Ok(n) => bytes.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            if Instant::now() > deadline {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// The body without a limit of its own.
    pub fn reader(self) -> Box<dyn Read + Send> {
        Box::new(self.body.into_with_config().limit(u64::MAX).reader())
    }
}

/// The two agents, made when they are first needed.
pub(crate) struct Http {
    settings: Settings,
    https: OnceLock<Result<Agent, Diagnostic>>,
    loopback: OnceLock<Agent>,
    plain: OnceLock<Result<Agent, Diagnostic>>,
}

impl Http {
    pub fn new(settings: Settings) -> Http {
        Http { settings, https: OnceLock::new(), loopback: OnceLock::new(), plain: OnceLock::new() }
    }

    /// One exchange, repeated a few times when the connection fails or the server says 408, 429 or 5xx.
    /// Redirects come back as they are.
    ///
    /// # Errors
    /// E0403 when the server cannot be reached, E0407 for plain http that is not to this machine.
    pub fn exchange(&self, ask: &Ask<'_>) -> Result<Answer, Diagnostic> {
        if !ask.url.is_safe() {
            return Err(insecure(&ask.url));
        }
        self.exchange_verified(ask)
    }

    /// As [`Http::exchange`], plain http to anybody included: for content whose signature or hash is checked, asked
    /// for without credentials.
    ///
    /// # Errors
    /// E0403.
    pub fn exchange_verified(&self, ask: &Ask<'_>) -> Result<Answer, Diagnostic> {
        let mut attempt = 1;
        loop {
            let (text, pause) = match self.once(ask)? {
                Ok(answer) if !passes(answer.status) || attempt >= ATTEMPTS => return Ok(answer),
                Ok(answer) => (String::new(), retry_after(&answer)),
                Err(text) => (text, None),
            };
            if attempt >= ATTEMPTS {
                return Err(unreachable(&ask.url.origin(), &text));
            }
            std::thread::sleep(pause.unwrap_or_else(|| self.pause(attempt)));
            attempt += 1;
        }
    }

    /// The pause before attempt `done` + 1: doubled each time.
    pub fn pause(&self, done: u32) -> Duration {
        self.settings.backoff.saturating_mul(1 << done.clamp(1, 6).saturating_sub(1)).min(MAX_PAUSE)
    }

    fn once(&self, ask: &Ask<'_>) -> Result<Result<Answer, String>, Diagnostic> {
        let agent = self.agent(&ask.url)?;
        let mut request = Request::builder().method(ask.method).uri(ask.url.to_string());
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let sent = match &ask.body {
            Payload::None => match request.body(()) {
                Ok(request) => agent.run(request),
                Err(e) => return Ok(Err(e.to_string())),
            },
            Payload::Bytes(bytes) => match request.body(*bytes) {
                Ok(request) => agent.run(request),
                Err(e) => return Ok(Err(e.to_string())),
            },
            Payload::File { file, start, length } => {
                let mut part = match part(file, *start, *length) {
                    Ok(part) => part,
                    Err(e) => return Ok(Err(format!("the file to send cannot be read: {e}"))),
                };
                match request.header("Content-Length", length.to_string()).body(SendBody::from_reader(&mut part)) {
                    Ok(request) => agent.run(request),
                    Err(e) => return Ok(Err(e.to_string())),
                }
            }
        };
        Ok(match sent {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
            }
            Err(e) => Err(printable(&e.to_string())),
        })
    }

    fn agent(&self, url: &Url) -> Result<&Agent, Diagnostic> {
        if !url.is_https() && url.is_safe() {
            return Ok(self.loopback.get_or_init(|| build(&self.settings, None, RootCerts::WebPki)));
        }
        let made = if url.is_https() {
            self.https.get_or_init(|| {
                let roots = roots(&self.settings)?;
                Ok(build(&self.settings, proxy(&self.settings, &HTTPS_PROXY)?, roots))
            })
        } else {
            self.plain.get_or_init(|| Ok(build(&self.settings, proxy(&self.settings, &HTTP_PROXY)?, RootCerts::WebPki)))
        };
        made.as_ref().map_err(Clone::clone)
    }
}

fn build(settings: &Settings, proxy: Option<Proxy>, roots: RootCerts) -> Agent {
    let patience = Some(settings.timeout);
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy)
        .user_agent(concat!("k8orc/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(patience)
        .timeout_connect(patience)
        .timeout_recv_response(patience)
        .timeout_per_read(patience)
        .timeout_per_write(patience)
        .max_idle_age(Duration::from_secs(10))
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .build();
    Agent::with_parts(config, DefaultConnector::default(), Names::default())
}

/// Statuses that may be gone a moment later.
fn passes(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// `Retry-After` in seconds; a date is left to the back-off.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds: u64 = answer.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_PAUSE))
}

/// A reader of a part of a file; the file may be shared, so this opens its own position by duplicating it.
fn part(file: &File, start: u64, length: u64) -> std::io::Result<std::io::Take<File>> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(start))?;
    Ok(file.take(length))
}

/// The proxy that the first set of these variables names; `NO_PROXY` holds.
fn proxy(settings: &Settings, names: &[&str]) -> Result<Option<Proxy>, Diagnostic> {
    let Some((name, value)) = names.iter().find_map(|n| Some((n, settings.env(n)?))) else { return Ok(None) };
    let wrong = || {
        Diagnostic::new(codes::E0403, format!("the proxy that {name} names cannot be used"))
            .help(format!("set {name} to a URL such as http://proxy.example.com:3128, or unset it"))
    };
    let said = Proxy::new(value).map_err(|_| wrong())?;
    let mut builder = Proxy::builder(said.protocol()).host(said.host()).port(said.port());
    if let Some(user) = said.username() {
        builder = builder.username(user);
    }
    if let Some(password) = said.password() {
        builder = builder.password(password);
    }
    let direct = settings.env("NO_PROXY").or_else(|| settings.env("no_proxy")).unwrap_or_default();
    for host in direct.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        builder = builder.no_proxy(host);
        // A name covers what is below it, as for curl and Go.
        if !host.starts_with(['.', '*']) {
            builder = builder.no_proxy(&format!(".{host}"));
        }
    }
    builder.build().map(Some).map_err(|_| wrong())
}

/// The certificates that are trusted: the machine's bundle (`SSL_CERT_FILE` first) and the extra file; Mozilla's
/// built-in list where there is neither.
fn roots(settings: &Settings) -> Result<RootCerts, Diagnostic> {
    let mut certificates = Vec::new();
    let bundle = settings.env("SSL_CERT_FILE").map(Path::new);
    let bundle = bundle.or_else(|| BUNDLES.iter().map(Path::new).find(|path| path.is_file()));
    for path in bundle.into_iter().chain(settings.ca_file.as_deref()) {
        certificates.extend(read_certificates(path)?);
    }
    Ok(if certificates.is_empty() { RootCerts::WebPki } else { RootCerts::from(certificates) })
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Diagnostic> {
    let wrong = |why: String| {
        let shown = printable(&path.display().to_string());
        Diagnostic::new(codes::E0403, format!("the file of certificates {shown} cannot be used: {}", printable(&why)))
            .help("give a file with PEM blocks that begin with -----BEGIN CERTIFICATE-----")
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| wrong(e.to_string()))?;
    file.take(MAX_PEM).read_to_end(&mut bytes).map_err(|e| wrong(e.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&bytes) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| wrong(e.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    Ok(found)
}

/// E0403: nobody answers.
pub(crate) fn unreachable(origin: &str, why: &str) -> Diagnostic {
    Diagnostic::new(codes::E0403, format!("{} cannot be reached: {why}", printable(origin)))
        .note(format!("tried {ATTEMPTS} times"))
        .help(
            "check the name, the network and the proxy variables; a build whose content is cached works with --offline",
        )
}

/// E0407: plain http to another machine.
pub(crate) fn insecure(url: &Url) -> Diagnostic {
    Diagnostic::new(codes::E0407, format!("{} is asked for over plain http", printable(&url.origin())))
        .note("plain http is used for loopback addresses only: anybody on the way could read and change it")
        .help("use a registry that speaks https")
}
