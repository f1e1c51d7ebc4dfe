//! `weir token revoke`: a running gateway does not take a token any more.

use clap::Args;
use serde_json::{Value, json};
use weir_ring::time::Wall;
use weir_shard::message::timestamp;

use super::input;
use crate::cli::Failure;
use crate::cli::admin::{AdminFailure, Target};
use crate::cli::style::cell;
use crate::config::duration;

/// Which token.
#[derive(Debug, Args)]
pub(in crate::cli) struct Revoke {
    /// The token [default: read from standard input, where nobody else sees it]
    #[arg(conflicts_with = "jti")]
    token: Option<String>,
    /// The one of this name (`weir token verify` says it)
    #[arg(long, value_name = "NAME")]
    jti: Option<String>,
    /// With --jti: for how long, such as 1h or 720h [default: as long as any token lives]
    #[arg(long = "for", value_name = "TIME", requires = "jti")]
    lasts: Option<String>,
    #[command(flatten)]
    at: Target,
}

impl Revoke {
    pub(super) fn run(&self, environment: &[(String, String)]) -> Result<(), Failure> {
        let answer = self.at.admin(environment)?.post("/mcp/admin/revoke", &self.order()?)?;
        self.at.show(&answer, |answer| {
            let until = answer["until"].as_u64().unwrap_or_default();
            format!("{} is refused until {}", cell(&answer["revoked"]), timestamp(Wall(until * 1_000)))
        });
        Ok(())
    }

    fn order(&self) -> Result<Value, Failure> {
        let Some(jti) = &self.jti else {
            let token = match &self.token {
                Some(token) if token != "-" => token.trim().to_owned(),
                _ => input()?,
            };
            return Ok(json!({ "token": token }));
        };
        let mut order = json!({ "jti": jti });
        if let Some(text) = &self.lasts {
            let time = duration(text).filter(|time| time.as_secs() > 0);
            let time = time.ok_or_else(|| AdminFailure::Time { flag: "--for", text: text.clone() })?;
            order["expires_in"] = time.as_secs().into();
        }
        Ok(order)
    }
}
