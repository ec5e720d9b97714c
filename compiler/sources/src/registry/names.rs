//! Names of hosts, asked for once a minute: ureq asks for each request, also where it has a connection, and an answer
//! of DNS that is lost costs five seconds (resolv.conf(5), `timeout`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::lock;

/// How long an answer is good for.
const KEPT: Duration = Duration::from_secs(60);

/// The system's resolver with a memory.
#[derive(Default)]
pub(super) struct Names {
    system: DefaultResolver,
    known: Mutex<BTreeMap<String, (Instant, Vec<SocketAddr>)>>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let name = format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |a| a.as_str()));
        if let Some((at, addresses)) = lock(&self.known).get(&name)
            && at.elapsed() < KEPT
        {
            let mut found = self.empty();
            addresses.iter().for_each(|address| found.push(*address));
            return Ok(found);
        }
        let found = self.system.resolve(uri, config, timeout)?;
        lock(&self.known).insert(name, (Instant::now(), found.to_vec()));
        Ok(found)
    }
}
