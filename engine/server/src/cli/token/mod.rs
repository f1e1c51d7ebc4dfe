//! `weir token`: making, checking and refreshing access tokens, and keys for backends.

mod api_key;
mod revoke;
mod sign;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;
use weir_ring::clock::Clock;
use weir_ring::time::Now;
use weir_shard::limits::{Auth, KeySet};
use weir_shard::policy::auth::{self, Authenticator, Credential, Denied, Principal};

use self::sign::{SignError, Signer};
use super::{Failure, say};
use crate::config;
use crate::control::jwks::{self, FetchError};
use crate::minting::{Order, OrderError};

/// Most bytes of what is read from standard input.
const INPUT_BYTES_MAX: u64 = 64 << 10;

/// Where the keys come from.
#[derive(Debug, Default, Args)]
pub(super) struct Source {
    /// Configuration file; the secret also comes from the variable JWT_SECRET
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an access token, which is printed
    Mint(Mint),
    /// Check an access token or API key as the gateway would, and print what it says
    Verify(Presented),
    /// Print a token that is good for longer: the same while more than 20 % of its life is left
    Refresh(Presented),
    /// Have a running gateway refuse a token, and those it was refreshed to
    Revoke(revoke::Revoke),
    /// Make an API key, and print it with the section of the configuration that lets it in
    Key(api_key::Make),
    /// Print the hash of an API key, for the configuration
    Hash(api_key::Hash),
}

/// What the token is to say.
#[derive(Debug, Args)]
pub(super) struct Mint {
    /// Whose token it is: the client's name
    #[arg(long, value_name = "NAME", visible_aliases = ["subject", "client-id"])]
    sub: String,
    /// Its role [default: user]
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// What it may do, with commas between [default: read for a user, else what its role may]
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    permissions: Option<Vec<String>>,
    /// How long it is good, such as 30s, 5m or 1h, at most 720h [default: 1h]
    #[arg(long, value_name = "TIME", visible_alias = "ttl")]
    expires: Option<String>,
    /// Its `iss` [default: the first of auth.jwt.issuer]
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// Its `aud` [default: the first of auth.jwt.audience]
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,
    /// Sign with this private key (PEM: RSA, EC on P-256, Ed25519) instead of the secret
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// The key's name, for the token's header
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
    #[command(flatten)]
    source: Source,
}

/// A token that is there.
#[derive(Debug, Args)]
pub(super) struct Presented {
    /// The token [default: read from standard input, where nobody else sees it]
    token: Option<String>,
    #[command(flatten)]
    source: Source,
}

/// Why there is nothing to print.
#[derive(Debug)]
pub(super) enum TokenFailure {
    /// The token is not to be made.
    Order(OrderError),
    /// `--expires` is no time.
    Expires(String),
    /// There is nothing to sign with.
    NoSecret,
    /// The private key does not sign.
    Sign(SignError),
    /// There is nothing to check tokens with.
    NoKeys,
    /// Keys cannot be fetched.
    Fetch { url: Box<str>, error: FetchError },
    /// The token is not accepted.
    Denied(Denied),
    /// Standard input cannot be read, or holds nothing.
    Input(io::Error),
    /// The system gives no random number.
    Random(io::Error),
}

/// Runs the command.
///
/// # Errors
/// It comes to nothing; the reason says what to do.
pub(super) fn run(command: Command, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    match command {
        Command::Mint(mint) => {
            let auth = mint.source.auth(environment)?;
            mint.run(&auth)?;
        }
        Command::Verify(presented) => {
            let auth = presented.source.auth(environment)?;
            presented.verify(&auth)?;
        }
        Command::Refresh(presented) => {
            let auth = presented.source.auth(environment)?;
            presented.refresh(&auth)?;
        }
        Command::Revoke(revoke) => revoke.run(environment)?,
        Command::Key(make) => make.run()?,
        Command::Hash(hash) => hash.run()?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Source {
    fn auth(&self, environment: &[(String, String)]) -> Result<Auth, Failure> {
        let settings = config::load(self.config.as_deref(), environment, &[]).map_err(Failure::Config)?;
        Ok(settings.auth())
    }
}

impl Mint {
    fn run(self, auth: &Auth) -> Result<(), TokenFailure> {
        let signer = match &self.private_key {
            Some(path) => Signer::of_file(path).map_err(TokenFailure::Sign)?,
            None => Signer::Secret(auth.signing.clone().ok_or(TokenFailure::NoSecret)?),
        };
        let expires_in = self.expires.map(|text| match config::duration(&text) {
            Some(life) => Ok(life.as_secs()),
            None => Err(TokenFailure::Expires(text)),
        });
        let order = Order {
            sub: self.sub,
            role: self.role,
            permissions: self.permissions,
            expires_in: expires_in.transpose()?,
            issuer: self.issuer,
            audience: self.audience,
        };
        let claims = order.claims(auth, Clock::now().wall).map_err(TokenFailure::Order)?;
        let token = signer.token(&claims.grant(), self.kid.as_deref()).map_err(TokenFailure::Sign)?;
        if self.source.json {
            say(&claims.answer(&token).to_string());
        } else {
            say(&token);
        }
        Ok(())
    }
}

impl Presented {
    fn verify(self, auth: &Auth) -> Result<(), TokenFailure> {
        let (token, json) = (self.token()?, self.source.json);
        let now = Clock::now();
        let found = checker(auth, &token, now)?.authenticate(Credential::Bearer(&token), auth, now);
        let principal = found.map_err(|denied| deny(denied, json))?;
        if json {
            say(&facts(&principal, auth, now).to_string());
        } else {
            say_facts(&principal, auth, now);
        }
        Ok(())
    }

    fn refresh(self, auth: &Auth) -> Result<(), TokenFailure> {
        let (token, json) = (self.token()?, self.source.json);
        let now = Clock::now();
        let refreshed = checker(auth, &token, now)?.refresh(&token, auth, now);
        let refreshed = refreshed.map_err(|denied| deny(denied, json))?;
        let new = refreshed.token.is_some();
        let token = refreshed.token.unwrap_or(token);
        if json {
            let (expires_at, now) = (refreshed.expires.0 / 1_000, now.wall.0 / 1_000);
            let expires_in = expires_at.saturating_sub(now);
            say(&json!({"token": token, "token_type": "Bearer", "refreshed": new, "expires_in": expires_in,
                "expires_at": expires_at})
            .to_string());
        } else {
            say(&token);
        }
        Ok(())
    }

    fn token(&self) -> Result<String, TokenFailure> {
        match &self.token {
            Some(token) if token != "-" => Ok(token.trim().to_owned()),
            _ => input(),
        }
    }
}

/// A line of standard input.
fn input() -> Result<String, TokenFailure> {
    let mut text = String::new();
    io::stdin().take(INPUT_BYTES_MAX).read_to_string(&mut text).map_err(TokenFailure::Input)?;
    match text.trim() {
        "" => Err(TokenFailure::Input(io::ErrorKind::UnexpectedEof.into())),
        text => Ok(text.to_owned()),
    }
}

/// What checks tokens. Keys are fetched if `token` names one that is not known without.
fn checker(auth: &Auth, token: &str, now: Now) -> Result<Authenticator, TokenFailure> {
    if auth.keys.is_empty() && auth.key_urls.is_empty() && auth.api_keys.is_empty() {
        return Err(TokenFailure::NoKeys);
    }
    let mut checker = Authenticator::new(auth, 0);
    if let Err(Denied::UnknownKey) = checker.authenticate(Credential::Bearer(token), auth, now) {
        let mut keys: Vec<_> = auth.keys.iter().cloned().collect();
        for from in &auth.key_urls {
            let fetched = jwks::fetch(from);
            keys.extend(fetched.map_err(|error| TokenFailure::Fetch { url: from.url.clone(), error })?);
        }
        checker.replace_keys(Arc::new(KeySet::new(keys)));
    }
    Ok(checker)
}

fn deny(denied: Denied, json: bool) -> TokenFailure {
    if json {
        let error = denied.error();
        let answer = json!({"valid": false, "error": error.error(), "reason": error.reason(),
            "message": error.message()});
        say(&answer.to_string());
    }
    TokenFailure::Denied(denied)
}

fn facts(principal: &Principal, auth: &Auth, now: Now) -> serde_json::Value {
    let expires_at = expires_at(principal, auth);
    json!({
        "valid": true,
        "sub": principal.subject,
        "role": auth.rules(principal.role).name,
        "permissions": principal.permissions.words().collect::<Vec<_>>(),
        "issuer": principal.issuer,
        "audience": principal.audience,
        "jti": principal.token_id,
        "expires_at": expires_at,
        "expires_in": expires_at.map(|at| at.saturating_sub(now.wall.0 / 1_000)),
    })
}

fn say_facts(principal: &Principal, auth: &Auth, now: Now) {
    let permissions: Vec<&str> = principal.permissions.words().collect();
    say(&format!("accepted: {}", principal.subject));
    say(&format!("role: {}", auth.rules(principal.role).name));
    say(&format!("permissions: {}", permissions.join(", ")));
    if let Some(issuer) = &principal.issuer {
        say(&format!("issuer: {issuer}"));
    }
    if let Some(token_id) = &principal.token_id {
        say(&format!("jti: {token_id}"));
    }
    match expires_at(principal, auth) {
        Some(at) => say(&format!("expires in: {} s", at.saturating_sub(now.wall.0 / 1_000))),
        None => say("expires: never"),
    }
}

/// `exp`: the end without the leeway.
fn expires_at(principal: &Principal, auth: &Auth) -> Option<u64> {
    let leeway = auth.leeway.as_millis() as u64;
    principal.expires.map(|expires| expires.0.saturating_sub(leeway) / 1_000)
}

impl fmt::Display for TokenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenFailure::Order(error) => write!(f, "{error}"),
            TokenFailure::Expires(text) => {
                write!(f, "--expires: {text:?} is no time; write a whole number of s, m or h, such as 30s or 1h")
            }
            TokenFailure::NoSecret => f.write_str(
                "there is nothing to sign with: set JWT_SECRET to 32 bytes or more (openssl rand -base64 48 makes one) or \
                 auth.jwt.secret in the file of -c, or name a --private-key",
            ),
            TokenFailure::Sign(error) => write!(f, "{error}"),
            TokenFailure::NoKeys => f.write_str(
                "there is no key to check it with: set JWT_SECRET, or name the gateway's configuration with -c",
            ),
            TokenFailure::Fetch { url, error } => write!(f, "the keys cannot be fetched from {url}: {error}"),
            TokenFailure::Denied(denied) => write!(f, "{}", denied.error().message()),
            TokenFailure::Input(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("standard input holds nothing; give it there, or as an argument")
            }
            TokenFailure::Input(error) => write!(f, "standard input cannot be read: {error}"),
            TokenFailure::Random(error) => write!(f, "the system gives no random number: {error}"),
        }
    }
}

impl From<TokenFailure> for Failure {
    fn from(failure: TokenFailure) -> Failure {
        Failure::Token(failure)
    }
}

/// What an API key's hash is, as the configuration has it.
fn hash_text(key: &str) -> String {
    format!("sha256:{}", crate::minting::hex(&auth::hash_api_key(key)))
}
