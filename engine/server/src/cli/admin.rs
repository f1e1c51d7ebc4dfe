//! What commands share that ask a running gateway: where it is, what proves its operator, and how answers are shown.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use form_urlencoded::byte_serialize;
use serde_json::Value;
use ureq::http::{Method, Request, header};
use weir_shard::limits::Secret;

use super::events::Events;
use super::{Failure, say};
use crate::admin_token;
use crate::config::{self, Flag};
use crate::control::https;

/// Most bytes of an answer.
pub(super) const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Which gateway, and how its answer is printed.
#[derive(Debug, Default, Args)]
pub(super) struct Target {
    /// The gateway's admin port [default: on this machine, at server.admin_port]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The gateway's configuration file, which says its port, its data folder and its admin token
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The gateway's data folder, where its admin token is
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Why a gateway did not do what it was asked.
#[derive(Debug)]
pub(super) enum AdminFailure {
    /// A flag's time is none.
    Time { flag: &'static str, text: String },
    /// `--url` is none of a gateway.
    Url(String),
    /// The file of the admin token is there and cannot be read.
    TokenFile(PathBuf, io::Error),
    /// Nobody answers.
    Unreachable { url: String, error: ureq::Error },
    /// What is asked for is not there, or too much.
    Usage(&'static str),
    /// The file of a certificate authority holds none.
    Ca(PathBuf, String),
    /// Pages cannot be written there.
    Folder(PathBuf, io::Error),
    /// What is to be sent is no JSON, or there is nothing.
    Data(String),
    /// It wants to know who asks.
    TokenWanted { url: String, message: String },
    /// It does not want to.
    Refused { url: String, status: u16, message: String },
    /// What answers is no gateway.
    Garbled { url: String },
}

/// A gateway that can be asked.
pub(super) struct Admin {
    /// Scheme, host and port.
    url: String,
    token: Option<Secret>,
}

impl Target {
    /// The gateway meant. The token is `admin.token` (WEIR_ADMIN_TOKEN), or what stands in the gateway's own file; that
    /// one is sent to this machine only.
    ///
    /// # Errors
    /// The configuration is wrong, the URL is none, or the token is not for this user.
    pub(super) fn admin(&self, environment: &[(String, String)]) -> Result<Admin, Failure> {
        let data_dir = self.data_dir.clone();
        let flags = data_dir.map(|value| Flag { name: "--data-dir", key: "durability.dir", value });
        let flags: Vec<Flag> = flags.into_iter().collect();
        let settings = config::load(self.config.as_deref(), environment, &flags).map_err(Failure::Config)?;
        let here = format!("http://127.0.0.1:{}", settings.server.admin_port);
        let url = self.url.as_deref().unwrap_or(&here).trim_end_matches('/').to_owned();
        let place = Place::of(&url).ok_or_else(|| AdminFailure::Url(url.clone()))?;
        let token = match (settings.admin_token, place.is_near) {
            (Some(token), _) => Some(token),
            (None, true) => {
                let path = admin_token::place(settings.data_dir.as_deref(), place.port);
                match fs::read(&path) {
                    Ok(token) => Some(Secret::new(token)),
                    // Without authentication there is none.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                    Err(error) => return Err(AdminFailure::TokenFile(path, error).into()),
                }
            }
            (None, false) => None,
        };
        Ok(Admin { url, token })
    }

    /// Whether somebody said which gateway.
    pub(super) fn is_named(&self) -> bool {
        self.url.is_some()
    }

    /// Whether answers are printed as they are.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer: as it is, or as `text` puts it.
    pub(super) fn show(&self, answer: &Value, text: impl FnOnce(&Value) -> String) {
        say(if self.json { format!("{answer:#}") } else { text(answer) }.trim_end());
    }
}

impl Admin {
    /// What stands at `path`, a path with its query.
    ///
    /// # Errors
    /// The gateway is not there, or refuses.
    pub(super) fn get(&self, path: &str) -> Result<Value, AdminFailure> {
        self.ask(Method::GET, path, None)
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, AdminFailure> {
        let url = format!("{}{path}", self.url);
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(token) = self.bearer() {
            request = request.header(header::AUTHORIZATION, token);
        }
        let agent = https::agent(&url, https::TIMEOUT);
        let answer = match body {
            None => request.body(()).map_err(ureq::Error::from).and_then(|request| agent.run(request)),
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string())
                .map_err(ureq::Error::from)
                .and_then(|request| agent.run(request)),
        };
        let unreachable = |error| AdminFailure::Unreachable { url: url.clone(), error };
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        read(&url, status, &body.map_err(unreachable)?)
    }

    /// What the gateway answers to a POST of `body`.
    ///
    /// # Errors
    /// The gateway is not there, or refuses.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, AdminFailure> {
        self.ask(Method::POST, path, Some(body))
    }

    /// What the gateway answers to a PUT of `body`.
    ///
    /// # Errors
    /// The gateway is not there, or refuses.
    pub(super) fn put(&self, path: &str, body: &Value) -> Result<Value, AdminFailure> {
        self.ask(Method::PUT, path, Some(body))
    }

    /// What the gateway answers to a DELETE.
    ///
    /// # Errors
    /// The gateway is not there, or refuses.
    pub(super) fn delete(&self, path: &str) -> Result<Value, AdminFailure> {
        self.ask(Method::DELETE, path, None)
    }

    /// The data of the events of the SSE stream at `path`, until `time` is over or the gateway ends.
    ///
    /// # Errors
    /// The gateway is not there, or refuses.
    pub(super) fn events(
        &self,
        path: &str,
        time: Duration,
    ) -> Result<impl Iterator<Item = String> + use<>, AdminFailure> {
        let url = format!("{}{path}", self.url);
        let mut request = https::agent(&url, time).get(&url);
        if let Some(token) = self.bearer() {
            request = request.header(header::AUTHORIZATION, token);
        }
        let unreachable = |error| AdminFailure::Unreachable { url: url.clone(), error };
        let mut answer = request.call().map_err(unreachable)?;
        let status = answer.status().as_u16();
        if status != 200 {
            let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
            read(&url, status, &body.map_err(unreachable)?)?;
            return Err(AdminFailure::Garbled { url });
        }
        let mut events = Events::of(answer);
        Ok(std::iter::from_fn(move || events.next().map(|event| event.data)))
    }

    fn bearer(&self) -> Option<String> {
        let token = std::str::from_utf8(self.token.as_ref()?.expose()).ok()?;
        Some(format!("Bearer {}", token.trim()))
    }
}

impl AdminFailure {
    /// Whether what was asked for could never be right.
    pub(super) fn is_usage(&self) -> bool {
        matches!(
            self,
            AdminFailure::Time { .. }
                | AdminFailure::Url(_)
                | AdminFailure::Usage(_)
                | AdminFailure::Ca(..)
                | AdminFailure::Data(_)
        )
    }
}

/// What `url` answered.
pub(super) fn read(url: &str, status: u16, body: &[u8]) -> Result<Value, AdminFailure> {
    let url = url.to_owned();
    let answer: Value = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(_) if status == 204 => Value::Null,
        Err(_) => return Err(AdminFailure::Garbled { url }),
    };
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    let message = answer["message"].as_str().unwrap_or("it does not say why").to_owned();
    Err(AdminFailure::Refused { url, status, message })
}

/// What a URL says of where the gateway is.
pub(super) struct Place {
    port: u16,
    /// On this machine.
    pub(super) is_near: bool,
}

impl Place {
    pub(super) fn of(url: &str) -> Option<Place> {
        let (scheme, rest) = url.split_once("://")?;
        let usual = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        if rest.contains(['/', '?', '#', '@']) {
            return None;
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (rest, usual),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<IpAddr>().ok();
        let is_near =
            host == "localhost" || address.is_some_and(|address| address.to_canonical().is_loopback());
        (!host.is_empty()).then_some(Place { port, is_near })
    }
}

/// A name as a part of a path.
pub(super) fn segment(name: &str) -> String {
    byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

impl From<AdminFailure> for Failure {
    fn from(failure: AdminFailure) -> Failure {
        Failure::Admin(failure)
    }
}

impl fmt::Display for AdminFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminFailure::Time { flag, text } => {
                write!(f, "{flag} {text} is no time of at least a second; write 30s, 5m or 1h")
            }
            AdminFailure::Url(url) => {
                write!(f, "--url {url} is no URL of a gateway; one looks like http://127.0.0.1:4000")
            }
            AdminFailure::Folder(path, error) => write!(f, "{}: {error}", path.display()),
            AdminFailure::Usage(what) => f.write_str(what),
            AdminFailure::Ca(path, why) => {
                write!(f, "--ca {}: {why}; name a PEM file with a certificate", path.display())
            }
            AdminFailure::Data(why) => {
                write!(f, "the data is no JSON: {why}; a text stands in double quotes, as in '\"hello\"'")
            }
            AdminFailure::TokenFile(path, error) => write!(
                f,
                "the admin token in {} cannot be read: {error}; run this as the gateway's user, or set WEIR_ADMIN_TOKEN",
                path.display()
            ),
            AdminFailure::Unreachable { url, error } => write!(
                f,
                "no gateway answers at {url}: {error}; is it running? Start one with `weir serve`, or say where it is with \
                 --url"
            ),
            AdminFailure::TokenWanted { url, message } => write!(
                f,
                "{url} wants to know who asks: {message}; give --token or WEIR_TOKEN (`weir token mint` makes one), or name \
                 the gateway's configuration with --config"
            ),
            AdminFailure::Refused { url, status: 401, message } => write!(
                f,
                "{url} wants the admin token: {message}; set WEIR_ADMIN_TOKEN, or name the gateway's data folder with \
                 --data-dir or its file with --config"
            ),
            AdminFailure::Refused { url, status, message } => write!(f, "{url} answers {status}: {message}"),
            AdminFailure::Garbled { url } => {
                write!(f, "what answers at {url} is no gateway of this version; say where one is with --url")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_s_token_is_for_this_machine() {
        let place = |url| Place::of(url).map(|place| (place.port, place.is_near));
        assert_eq!(place("http://127.0.0.1:4000"), Some((4000, true)));
        assert_eq!(place("http://localhost"), Some((80, true)));
        assert_eq!(place("https://[::1]:4443"), Some((4443, true)));
        assert_eq!(place("http://[::1]"), Some((80, true)));
        assert_eq!(place("http://10.0.0.1:4000"), Some((4000, false)));
        assert_eq!(place("https://localhost.example"), Some((443, false)));
        for wrong in
            ["127.0.0.1:4000", "ftp://x", "http://", "http://x:y", "http://127.0.0.1@evil", "http://x/y"]
        {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_one_segment_of_a_path() {
        assert_eq!(segment("a/b c?"), "a%2Fb%20c%3F");
    }

    #[test]
    fn refusals_say_why() {
        let said = |status, body: &str| match read("http://x/y", status, body.as_bytes()) {
            Ok(answer) => answer.to_string(),
            Err(failure) => failure.to_string(),
        };
        assert_eq!(said(200, r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(said(204, ""), "null");
        assert_eq!(said(404, r#"{"message":"There is none."}"#), "http://x/y answers 404: There is none.");
        assert!(said(401, r#"{"message":"No."}"#).contains("set WEIR_ADMIN_TOKEN"));
        assert!(said(200, "<html>").contains("no gateway"));
    }
}
