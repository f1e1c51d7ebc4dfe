//! Access tokens for upstreams: for the gateway itself (RFC 6749, section 4.4) or in exchange for the client's own
//! (RFC 8693). Only configured URLs are asked; the client's token goes to its authorization server and nowhere else.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::{Serializer, byte_serialize};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task;
use tracing::{info, warn};
use weir_shard::limits::{Config, Credential, Grant, Secret};
use weir_shard::mail::{Fetched, TokenWanted};

use super::https;
use super::mailbox::Mailbox;

/// Requests under way at once: each has a thread.
const REQUESTS_MAX: usize = 16;

/// Longest answer, bytes.
const BYTES_MAX: u64 = 64 << 10;

/// Longest token, bytes: it has to fit into a header.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// What is exchanged, and for what (RFC 8693, section 3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Fetches tokens and tells the shards.
pub(super) struct Clerk {
    upstreams: Vec<Arc<Desk>>,
    mailbox: Mailbox,
}

/// One upstream that wants tokens, or none.
struct Desk {
    name: Box<str>,
    credential: Option<Credential>,
    /// The last token was not to be had.
    failing: AtomicBool,
}

/// What a token endpoint answers (RFC 6749, sections 5.1 and 5.2).
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<f64>,
    error: Option<String>,
}

impl Clerk {
    pub(super) fn new(config: &Config, mailbox: Mailbox) -> Clerk {
        let upstreams = config.upstreams.iter().map(|upstream| {
            let (name, credential) = (upstream.name.clone(), upstream.credential.clone());
            Arc::new(Desk { name, credential, failing: AtomicBool::new(false) })
        });
        Clerk { upstreams: upstreams.collect(), mailbox }
    }

    /// Serves the shards that ask by `wanted`, until they are gone. Each is answered, whatever was found.
    pub(super) async fn run(self, mut wanted: UnboundedReceiver<Box<TokenWanted>>) {
        let free = Arc::new(Semaphore::new(REQUESTS_MAX));
        while let Some(wanted) = wanted.recv().await {
            let Some(desk) = self.upstreams.get(usize::from(wanted.upstream)).cloned() else { continue };
            let Ok(place) = free.clone().acquire_owned().await else { return };
            let mailbox = self.mailbox.clone();
            tokio::spawn(async move {
                let subject_token = wanted.subject_token.clone();
                let fetched = task::spawn_blocking(move || desk.fetch(subject_token.as_ref())).await;
                let fetched = fetched.unwrap_or_else(|_| Err("the request for it failed; try again".into()));
                mailbox.send(wanted.from, wanted.answered(fetched)).await;
                drop(place);
            });
        }
    }
}

impl Desk {
    fn fetch(&self, subject_token: Option<&Secret>) -> Fetched {
        let Some(credential) = &self.credential else { return Err("its upstream is not configured".into()) };
        let fetched = fetch(credential, subject_token);
        // Said once, not for every client.
        let failed = fetched.is_err();
        if self.failing.swap(failed, Ordering::Relaxed) != failed {
            match &fetched {
                Err(why) => warn!("the upstream {} is not asked, for want of a token: {why}", self.name),
                Ok(_) => info!("there are tokens for the upstream {} again", self.name),
            }
        }
        fetched
    }
}

/// Asks for one token.
fn fetch(credential: &Credential, subject_token: Option<&Secret>) -> Fetched {
    let url = &*credential.token_url;
    let form = form(credential, subject_token);
    let mut request = https::agent(url, https::TIMEOUT)
        .post(url)
        .header("Accept", "application/json")
        .header("Content-Type", "application/x-www-form-urlencoded");
    if let Some(secret) = &credential.client_secret {
        request = request.header("Authorization", basic(&credential.client_id, secret));
    }
    let unreachable = |error: ureq::Error| -> Box<str> {
        format!("{url} does not answer: {error}; try again later").into()
    };
    let mut answer = request.send(form.as_str()).map_err(unreachable)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(BYTES_MAX).read_to_vec();
    read(status, &body.map_err(unreachable)?).map_err(|why| format!("{url} {why}").into())
}

/// The request's body.
fn form(credential: &Credential, subject_token: Option<&Secret>) -> String {
    let mut form = Serializer::new(String::new());
    let subject = subject_token.map(|token| String::from_utf8_lossy(token.expose()));
    match credential.grant {
        Grant::ClientCredentials => {
            form.append_pair("grant_type", "client_credentials");
        }
        Grant::TokenExchange => {
            form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
            form.append_pair("subject_token", subject.as_deref().unwrap_or_default());
            form.append_pair("subject_token_type", ACCESS_TOKEN);
            form.append_pair("requested_token_type", ACCESS_TOKEN);
        }
    }
    let optional = [
        ("scope", &credential.scope),
        ("audience", &credential.audience),
        ("resource", &credential.resource),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            form.append_pair(name, value);
        }
    }
    if credential.client_secret.is_none() {
        form.append_pair("client_id", &credential.client_id);
    }
    form.finish()
}

/// What a confidential client proves itself with (RFC 6749, section 2.3.1).
fn basic(client_id: &str, secret: &Secret) -> String {
    let encoded = |bytes: &[u8]| byte_serialize(bytes).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id.as_bytes()), encoded(secret.expose()));
    format!("Basic {}", STANDARD.encode(pair))
}

/// The token of an answer, and what it lasts; or what is wrong with the answer and what to do, in a clause. What the
/// server says in its own words is not repeated: it may repeat what it was sent.
fn read(status: u16, body: &[u8]) -> Result<(Secret, Option<Duration>), String> {
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return Err(format!("answered with HTTP status {status} and no JSON object; check token_url"));
    };
    if let Some(error) = answer.error.or_else(|| (status != 200).then(String::new)) {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let error = if error.bytes().all(known) && error.len() <= 64 { error.as_str() } else { "" };
        let advice = match error {
            "invalid_client" | "unauthorized_client" => "check client_id and client_secret of the upstream",
            "invalid_scope" => "check scope of the upstream",
            "invalid_target" => "check audience and resource of the upstream",
            "invalid_grant" | "invalid_request" => "it may not take the client's token; get a new one",
            _ => "ask who runs it",
        };
        return Err(format!("refused with HTTP status {status} {error}: {advice}"));
    }
    if answer.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("gives tokens of another kind than Bearer, which alone is known here".into());
    }
    let fits = |token: &String| {
        (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let Some(token) = answer.access_token.filter(fits) else {
        return Err("answered without a token that fits into a header; check token_url".into());
    };
    let life = answer.expires_in.filter(|seconds| (0.0..=1e9).contains(seconds));
    Ok((Secret::new(token.into_bytes()), life.map(Duration::from_secs_f64)))
}
