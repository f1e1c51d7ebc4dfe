//! `weir features`: what can be switched while the gateway runs, with what it costs.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::admin::{Admin, AdminFailure, Target};
use crate::cli::style::{cell, table};

/// Where it is asked and switched.
const PATH: &str = "/mcp/admin/features";

#[derive(Debug, Args)]
pub(in crate::cli) struct Features {
    /// The feature to switch
    #[arg(requires = "state")]
    name: Option<String>,
    /// What it is to be
    #[arg(value_parser = ["on", "off"])]
    state: Option<String>,
    #[command(flatten)]
    pub(super) at: Target,
}

impl Features {
    /// Switches a feature, if one is named; answers what all are then.
    ///
    /// # Errors
    /// The gateway is not there, or there is nothing of that name to switch.
    pub(super) fn ask(&self, caller: &Admin) -> Result<Value, AdminFailure> {
        match (&self.name, &self.state) {
            (Some(name), Some(state)) => caller.put(PATH, &json!({ name: state == "on" })),
            _ => caller.get(PATH),
        }
    }
}

/// A row for each feature.
pub(super) fn show(answer: &Value) -> String {
    let features = answer["features"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |feature: &Value| {
        let cost = &feature["cost"];
        let share = cost["share"].as_f64().map(|share| format!("{:.3} %", share * 100.0));
        vec![
            cell(&feature["name"]),
            cell(&feature["on"]),
            share.unwrap_or_else(|| "-".to_owned()),
            cell(&cost["ns_per_piece"]),
            cell(&feature["counted"]),
            cell(&feature["what"]),
        ]
    };
    let rows: Vec<_> = features.iter().map(row).collect();
    table(&["feature", "on", "takes", "ns each", "counted", "what it is"], &rows)
}
