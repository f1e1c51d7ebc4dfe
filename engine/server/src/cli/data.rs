//! What commands share that are clients of a gateway: where its data listener is, and who asks.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::{Method, Request, Response, header, request};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body};
use weir_ring::clock::Clock;
use weir_shard::limits::Auth;
use weir_shard::policy::auth::mint;

use super::Failure;
use super::admin::{ANSWER_BYTES_MAX, AdminFailure, Place, read};
use crate::config;
use crate::minting::Order;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a stream may be silent: the gateway sends a comment every 15 s.
const SILENCE: Duration = Duration::from_secs(60);

/// Which gateway, and who asks.
#[derive(Debug, Default, Args)]
pub(super) struct Listener {
    /// The gateway's data listener [default: on this machine, at server.sse_port]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The gateway's configuration file, which says its port and has the secret that tokens are made with
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Access token or API key, also in WEIR_TOKEN [default: made with the secret of the configuration or JWT_SECRET]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Certificate authority to trust over TLS, PEM [default: those of the web]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A caller of a gateway's data listener.
pub(super) struct Caller {
    /// Scheme, host and port.
    pub(super) url: String,
    name: String,
    permissions: Option<Vec<String>>,
    proof: Proof,
    roots: Option<RootCerts>,
}

/// What the caller proves itself with.
enum Proof {
    Nothing,
    Token(String),
    /// It makes its own.
    Secret(Box<Auth>),
}

impl Listener {
    /// Who calls itself `name`, and may do what `permissions` say (none: what a user may) if it makes its own token.
    ///
    /// # Errors
    /// The configuration is wrong, the URL is none, or the certificate cannot be read.
    pub(super) fn caller(
        &self,
        name: &str,
        permissions: Option<&[&str]>,
        environment: &[(String, String)],
    ) -> Result<Caller, Failure> {
        let settings = config::load(self.config.as_deref(), environment, &[]).map_err(Failure::Config)?;
        let scheme = if settings.tls_files().listeners.first().is_some() { "https" } else { "http" };
        let here = format!("{scheme}://127.0.0.1:{}", settings.server.sse_port);
        let url = self.url.as_deref().unwrap_or(&here).trim_end_matches('/').to_owned();
        let url = url.strip_suffix("/mcp").unwrap_or(&url).to_owned();
        let place = Place::of(&url).ok_or_else(|| AdminFailure::Url(url.clone()))?;
        let variable = environment.iter().find(|(name, _)| name == "WEIR_TOKEN").map(|(_, token)| token);
        let auth = settings.auth();
        let proof = match self.token.as_ref().or(variable) {
            Some(token) => Proof::Token(token.trim().to_owned()),
            // What is made with the secret of this machine's gateway is for it alone.
            None if auth.signing.is_some() && place.is_near => Proof::Secret(Box::new(auth)),
            None => Proof::Nothing,
        };
        let permissions = permissions.map(|words| words.iter().map(|&word| word.to_owned()).collect());
        Ok(Caller { url, name: name.to_owned(), permissions, proof, roots: self.roots()? })
    }

    fn roots(&self) -> Result<Option<RootCerts>, AdminFailure> {
        let Some(path) = &self.ca else { return Ok(None) };
        let text = fs::read(path).map_err(|error| AdminFailure::Ca(path.clone(), error.to_string()))?;
        let certificates: Vec<_> = parse_pem(&text)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        match certificates.is_empty() {
            true => Err(AdminFailure::Ca(path.clone(), "it has no certificate".to_owned())),
            false => Ok(Some(RootCerts::Specific(Arc::new(certificates)))),
        }
    }
}

impl Caller {
    /// An agent whose answers may take as long as `limit` says, and end when nothing comes for a minute if they are
    /// `streams`. Connections are not kept, as one that the gateway has closed could not be told from one that has
    /// taken a request.
    pub(super) fn agent(&self, limit: Option<Duration>, streams: bool) -> Agent {
        let silence = streams.then_some(SILENCE);
        let config = Config::builder().timeout_connect(Some(CONNECT)).timeout_per_read(silence);
        self.trusting(config.timeout_global(limit)).build().new_agent()
    }

    fn trusting(&self, config: ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope> {
        let config = config
            .max_redirects(0)
            .max_idle_connections(0)
            .http_status_as_error(false)
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")));
        // A proxy has nothing to say about this machine.
        let config = if self.url.starts_with("https:") { config } else { config.proxy(None) };
        match &self.roots {
            Some(roots) => config.tls_config(TlsConfig::builder().root_certs(roots.clone()).build()),
            None => config,
        }
    }

    /// A request for `path`, with what proves the caller.
    ///
    /// # Errors
    /// No token can be made.
    pub(super) fn request(&self, method: Method, path: &str) -> Result<request::Builder, Failure> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        Ok(match self.bearer()? {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request.header("X-Client-ID", &self.name),
        })
    }

    fn bearer(&self) -> Result<Option<String>, Failure> {
        let auth = match &self.proof {
            Proof::Nothing => return Ok(None),
            Proof::Token(token) => return Ok(Some(token.clone())),
            Proof::Secret(auth) => auth,
        };
        let permissions = self.permissions.clone();
        let order = Order { sub: self.name.clone(), permissions, ..Order::default() };
        let claims = order.claims(auth, Clock::now().wall).map_err(super::token::TokenFailure::Order)?;
        Ok(auth.signing.as_ref().map(|signing| mint(&claims.grant(), signing)))
    }

    /// What `url` has answered, as JSON.
    ///
    /// # Errors
    /// It refuses.
    pub(super) fn json(&self, mut answer: Response<Body>) -> Result<serde_json::Value, AdminFailure> {
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let url = self.url.clone();
        let body = body.map_err(|error| AdminFailure::Unreachable { url: url.clone(), error })?;
        match read(&self.url, status, &body) {
            Err(AdminFailure::Refused { status: 401, message, .. }) => {
                Err(AdminFailure::TokenWanted { url, message })
            }
            other => other,
        }
    }

    /// That nobody answers.
    pub(super) fn unreachable(&self, error: ureq::Error) -> AdminFailure {
        AdminFailure::Unreachable { url: self.url.clone(), error }
    }
}
