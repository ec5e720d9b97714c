//! Authorisation: what a registry asks for, from the credentials that the user has.

use diag::{Diagnostic, codes, text::printable};
use serde_json::Value;

use super::challenge::Challenge;
use super::credentials::{self, Credentials};
use super::http::{Answer, Ask, Payload, insecure};
use super::url::{self, Url};
use super::{Client, MAX_ANSWER};

impl Client {
    /// The `Authorization` that an answer of status 401 asks for.
    pub(super) fn authorise(&self, answer: &Answer, base: &Url) -> Result<String, Diagnostic> {
        let values = answer.headers.get_all("www-authenticate").iter().filter_map(|v| v.to_str().ok());
        let challenge = Challenge::parse(&values.collect::<Vec<_>>().join(", "));
        let credentials = credentials::find(&self.settings, &self.reference)?;
        match challenge {
            Some(Challenge::Basic) => {
                credentials.and_then(|c| c.basic()).ok_or_else(|| self.refused("it wants a user and a password"))
            }
            Some(Challenge::Bearer { realm, service }) => {
                let shown = printable(&realm);
                let realm = Url::parse(&realm).ok_or_else(|| {
                    Diagnostic::new(codes::E0407, format!("{} names the token server `{shown}`", base.origin()))
                        .note("that is no URL to which credentials are sent")
                })?;
                if !realm.is_safe() || (base.is_https() && !realm.is_https()) {
                    return Err(insecure(&realm).note(format!("{} names it as its token server", base.origin())));
                }
                self.token(&realm, service.as_deref(), credentials)
            }
            None => Err(self.refused("it asks for a kind of authentication that k8orc does not know")),
        }
    }

    /// A token, from the realm. The scope is ours, whatever the registry proposed.
    fn token(
        &self,
        realm: &Url,
        service: Option<&str>,
        credentials: Option<Credentials>,
    ) -> Result<String, Diagnostic> {
        let mut scopes = vec![format!("repository:{}:{}", self.reference.repository(), self.actions)];
        scopes.extend(self.mount_from.iter().map(|other| format!("repository:{other}:pull")));
        let answer = if let Some(Credentials::Refresh(token)) = &credentials {
            let fields = [
                ("grant_type", "refresh_token"),
                ("service", service.unwrap_or_default()),
                ("client_id", "k8orc"),
                ("scope", &scopes.join(" ")),
                ("refresh_token", token),
            ];
            let form: Vec<String> = fields.iter().map(|(n, v)| format!("{n}={}", url::encode(v))).collect();
            let form = form.join("&");
            let headers = vec![("Content-Type", "application/x-www-form-urlencoded".to_owned())];
            let body = Payload::Bytes(form.as_bytes());
            self.http.exchange(&Ask { method: "POST", url: realm.clone(), headers, body })?
        } else {
            let mut url = realm.clone();
            for (name, value) in
                service.map(|s| ("service", s)).into_iter().chain(scopes.iter().map(|s| ("scope", s.as_str())))
            {
                url = url.with_query(name, value);
            }
            let headers = credentials.and_then(|c| c.basic()).map(|value| ("Authorization", value));
            let headers = headers.into_iter().collect();
            self.http.exchange(&Ask { method: "GET", url, headers, body: Payload::None })?
        };
        if answer.status != 200 {
            return Err(self.refused(&format!("its token server {} answered {}", realm.origin(), answer.status)));
        }
        let bytes = answer.small(MAX_ANSWER, self.settings.timeout).unwrap_or_default();
        let document = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
        let token = ["token", "access_token"].iter().find_map(|key| document.get(key)?.as_str());
        match token.filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic())) {
            Some(token) => Ok(format!("Bearer {token}")),
            None => Err(self.refused(&format!("its token server {} gave no token", realm.origin()))),
        }
    }
}
