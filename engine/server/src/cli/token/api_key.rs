//! `weir token key` and `weir token hash`.

use clap::Args;
use serde_json::json;
use weir_shard::policy::auth::{API_KEY_PREFIX, is_subject};

use super::{TokenFailure, hash_text, input, say};
use crate::gateway::random;
use crate::minting::{OrderError, hex};

/// A key to be made.
#[derive(Debug, Args)]
pub(in crate::cli) struct Make {
    /// Who gets it: the client's name
    name: String,
    /// Its role [default: user]
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// What it may do, with commas between [default: what its role may]
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    permissions: Option<Vec<String>>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A key that is there.
#[derive(Debug, Args)]
pub(in crate::cli) struct Hash {
    /// The key [default: read from standard input, where nobody else sees it]
    key: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Make {
    pub(super) fn run(self) -> Result<(), TokenFailure> {
        if !is_subject(&self.name) {
            return Err(TokenFailure::Order(OrderError::Subject));
        }
        let random: [u8; 32] = random().map_err(TokenFailure::Random)?;
        let key = format!("{API_KEY_PREFIX}{}", hex(&random));
        let hash = hash_text(&key);
        if self.json {
            say(&json!({"name": self.name, "key": key, "hash": hash}).to_string());
            return Ok(());
        }
        say(&format!("# The key, which is shown only now: {key}"));
        say("[[auth.api_key]]");
        say(&format!("name = {}", json!(self.name)));
        say(&format!("hash = \"{hash}\""));
        if let Some(role) = &self.role {
            say(&format!("role = {}", json!(role)));
        }
        if let Some(permissions) = &self.permissions {
            say(&format!("permissions = {}", json!(permissions)));
        }
        Ok(())
    }
}

impl Hash {
    pub(super) fn run(self) -> Result<(), TokenFailure> {
        let key = match self.key {
            Some(key) if key != "-" => key,
            _ => input()?,
        };
        let hash = hash_text(&key);
        if self.json {
            say(&json!({ "hash": hash }).to_string());
        } else {
            say(&hash);
        }
        Ok(())
    }
}
