//! `weir check-config` and `weir config-doc`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, Serve, say};
use crate::config;
use crate::tls::Loaded;

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 it can be used, perhaps with warnings; 2 it cannot, and why is said.")]
pub(super) struct Check {
    /// As JSON: whether it is fine, what is wrong, warnings
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Args)]
pub(super) struct ConfigDoc {
    /// A key or a section, such as http_sse or http_sse.retry [default: all]
    name: Option<String>,
    /// A JSON Schema of the file, for editors
    #[arg(long, conflicts_with = "name")]
    json_schema: bool,
}

impl Check {
    /// Says what serve would make of its configuration.
    ///
    /// # Errors
    /// It would not start with it.
    pub(super) fn run(&self, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
        let checked = self.checked(environment);
        if !self.json {
            let warnings = checked?;
            warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
            say("the configuration is fine");
            return Ok(ExitCode::SUCCESS);
        }
        let (problems, warnings, code) = match checked {
            Ok(warnings) => (Vec::new(), warnings, ExitCode::SUCCESS),
            Err(failure) => (problems(&failure), Vec::new(), failure.code()),
        };
        let fine = problems.is_empty();
        say(&format!("{:#}", json!({ "fine": fine, "problems": problems, "warnings": warnings })));
        Ok(code)
    }

    /// What works, and somebody should look at.
    fn checked(&self, environment: &[(String, String)]) -> Result<Vec<String>, Failure> {
        let configuration = self.serve.sources(environment).read().map_err(Failure::Config)?;
        let Loaded { warnings, .. } = super::credentials(&configuration.settings)?;
        Ok(configuration.idle().iter().cloned().chain(warnings).collect())
    }
}

impl ConfigDoc {
    /// Prints what is asked for.
    ///
    /// # Errors
    /// There is no such key.
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        if self.json_schema {
            say(&format!("{:#}", config::schema()));
            return Ok(ExitCode::SUCCESS);
        }
        let name = self.name.as_deref();
        let page =
            config::page(name).ok_or_else(|| Failure::NoKey(config::no_key(name.unwrap_or_default())))?;
        say(&page);
        Ok(ExitCode::SUCCESS)
    }
}

/// What is wrong, each with where and what.
fn problems(failure: &Failure) -> Vec<Value> {
    match failure {
        Failure::Config(error) => error.problems(),
        other => vec![json!({ "message": other.to_string() })],
    }
}
