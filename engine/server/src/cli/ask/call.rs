//! One request to the admin port: where it is, who asks, and what may go wrong.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use form_urlencoded::byte_serialize;
use serde_json::Value;
use weir_shard::limits::Secret;

use crate::admin_token;
use crate::cli::Failure;
use crate::config;
use crate::control::https;

/// Largest answer, bytes.
const BYTES_MAX: u64 = 64 << 20;

/// Which gateway is asked.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct Where {
    /// Admin port [default: that of the configuration on this machine]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Configuration file of the gateway [default: none]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its data folder, where the admin token is [default: that of the configuration]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::cli) enum AskFailure {
    /// A flag's time is none.
    Time { flag: &'static str, text: String },
    /// Nobody answers there.
    Unreached { url: String, error: ureq::Error },
    /// The gateway refuses.
    Refused { status: u16, message: String },
    /// The answer is not a gateway's.
    Strange { url: String },
}

/// Who asks.
pub(super) struct Caller {
    url: String,
    token: Option<Secret>,
}

impl Caller {
    /// What asks the gateway that `at` names. The admin token is the configured one (`WEIR_ADMIN_TOKEN`), or that of the
    /// file which a gateway without one writes.
    pub(super) fn new(at: &Where, environment: &[(String, String)]) -> Result<Caller, Failure> {
        let settings = config::load(at.config.as_deref(), environment, &[]).map_err(Failure::Config)?;
        let port = settings.server.admin_port;
        let url = at.url.clone().unwrap_or_else(|| format!("http://127.0.0.1:{port}"));
        let url = url.trim_end_matches('/').to_owned();
        let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(port);
        let data_dir = at.data_dir.as_deref().or(settings.data_dir.as_deref());
        let of_file = || fs::read(admin_token::place(data_dir, port)).ok().map(Secret::new);
        Ok(Caller { url, token: settings.admin_token.clone().or_else(of_file) })
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, AskFailure> {
        let url = format!("{}{path}", self.url);
        let request = https::agent(&url).get(&url);
        self.answer(&url, self.prove(request).call())
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, AskFailure> {
        let url = format!("{}{path}", self.url);
        let request = https::agent(&url).post(&url);
        self.answer(&url, self.prove(request).send(body.to_string()))
    }

    pub(super) fn put(&self, path: &str, body: &Value) -> Result<Value, AskFailure> {
        let url = format!("{}{path}", self.url);
        let request = https::agent(&url).put(&url);
        self.answer(&url, self.prove(request).send(body.to_string()))
    }

    fn prove<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => {
                let token = String::from_utf8_lossy(token.expose());
                request.header("Authorization", format!("Bearer {}", token.trim()))
            }
            None => request,
        }
    }

    fn answer(
        &self,
        url: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, AskFailure> {
        let unreached = |error| AskFailure::Unreached { url: self.url.clone(), error };
        let mut answer = answer.map_err(unreached)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(BYTES_MAX).read_to_vec().map_err(unreached)?;
        let body: Value =
            serde_json::from_slice(&body).map_err(|_| AskFailure::Strange { url: url.to_owned() })?;
        if status < 300 {
            return Ok(body);
        }
        let message = body["message"].as_str().unwrap_or("It says no more.").to_owned();
        Err(AskFailure::Refused { status, message })
    }
}

/// A name as a part of a path.
pub(super) fn segment(name: &str) -> String {
    byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

impl From<AskFailure> for Failure {
    fn from(failure: AskFailure) -> Failure {
        Failure::Ask(failure)
    }
}

impl fmt::Display for AskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskFailure::Time { flag, text } => {
                write!(f, "{flag} {text} is no time of at least a second; write 30s, 5m or 1h")
            }
            AskFailure::Unreached { url, error } => {
                write!(
                    f,
                    "no gateway answers at {url}: {error}; is it running, and is that its admin port? See --url"
                )
            }
            AskFailure::Refused { status: 401, message } => write!(
                f,
                "the gateway refuses: {message} The admin token is in WEIR_ADMIN_TOKEN, in the configuration (-c), or in \
                 a file that the gateway's log names; in a data folder see --data-dir"
            ),
            AskFailure::Refused { message, .. } => write!(f, "the gateway refuses: {message}"),
            AskFailure::Strange { url } => {
                write!(f, "what answers at {url} is no gateway's admin port; see --url")
            }
        }
    }
}
