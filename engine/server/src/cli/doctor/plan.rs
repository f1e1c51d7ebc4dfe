//! `weir doctor --plan`: the machine that so many clients and messages take, by what a running gateway measures of itself,
//! or else by the benches.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::admin::{AdminFailure, Target};
use crate::cli::style::{head, table};

/// RSS of an idle client: `bench/run idle`, 18,000 joined WebSockets, 492 bytes and 333 of the ring's slab, rounded up.
const BENCH_CLIENT_BYTES: f64 = 900.0;

/// CPU of a message that is delivered: `bench/run echo`, one in flight, 185,000 exchanges per server-CPU-second.
const BENCH_MESSAGE_MICROS: f64 = 5.4;

/// What a process takes before its first client.
const BASE_BYTES: f64 = (32 << 20) as f64;

/// A gateway that has had fewer measures its start, not its work.
const MESSAGES_MIN: f64 = 100_000.0;
const CLIENTS_MIN: f64 = 1_000.0;

/// How busy a core may be, and how full memory: what is left is for bursts and reconnects.
const CORE_PART: f64 = 0.7;
const MEMORY_PART: f64 = 0.7;

/// Descriptors beside connections.
const DESCRIPTORS: u64 = 64;

/// What is to be served.
#[derive(Debug, Args)]
pub(super) struct Load {
    /// With --plan: clients connected at a time
    #[arg(long, value_name = "N", default_value_t = 10_000, requires = "plan")]
    clients: u64,
    /// With --plan: messages a second, of all clients together; a message to many counts once for each
    #[arg(long, value_name = "R", default_value_t = 10_000, requires = "plan")]
    rate: u64,
    /// With --plan: bytes of a message
    #[arg(long, value_name = "BYTES", default_value_t = 256, requires = "plan")]
    size: u64,
}

/// What one client and one message cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Cost {
    client_bytes: f64,
    message_cpu_us: f64,
    /// `gateway` or `bench`.
    client_bytes_from: &'static str,
    message_cpu_from: &'static str,
}

/// What it takes.
#[derive(Debug, PartialEq, Serialize)]
struct Plan {
    clients: u64,
    rate: u64,
    cores: u64,
    memory_bytes: u64,
    /// What nofile must be at least: the table of the fullest shard.
    descriptors: u64,
    bits_per_second: u64,
    cost: Cost,
}

pub(super) fn run(
    load: &Load,
    target: &Target,
    environment: &[(String, String)],
) -> Result<ExitCode, Failure> {
    let stats = match target.admin(environment)?.get("/mcp/stats") {
        Ok(stats) => stats,
        Err(AdminFailure::Unreachable { .. }) if !target.is_named() => Value::Null,
        Err(failure) => return Err(failure.into()),
    };
    let plan = load.plan(Cost::of(&stats));
    target.show(&json!(plan), |_| plan.text());
    Ok(ExitCode::SUCCESS)
}

impl Cost {
    /// By the figures of a gateway, where it has served enough to tell.
    fn of(stats: &Value) -> Cost {
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let process = &stats["process"];
        let transports = ["websocket", "http_sse", "longpoll"].map(|name| &stats[name]);
        let messages =
            transports.iter().flat_map(|it| [number(&it["messages_in"]), number(&it["messages_out"])]);
        let messages = messages.sum::<f64>() + number(&stats["http_requests"]);
        let clients: f64 = transports.iter().map(|it| number(&it["connections"])).sum();
        let cpu = number(&process["cpu_seconds"]);
        let grown = number(&process["resident_bytes"]) - number(&process["resident_bytes_at_start"]);
        let tells_cpu = messages >= MESSAGES_MIN && cpu > 0.0;
        let tells_bytes = clients >= CLIENTS_MIN && grown > 0.0;
        let from = |tells: bool| if tells { "gateway" } else { "bench" };
        Cost {
            client_bytes: if tells_bytes { grown / clients } else { BENCH_CLIENT_BYTES },
            message_cpu_us: if tells_cpu { cpu * 1e6 / messages } else { BENCH_MESSAGE_MICROS },
            client_bytes_from: from(tells_bytes),
            message_cpu_from: from(tells_cpu),
        }
    }
}

impl Load {
    fn plan(&self, cost: Cost) -> Plan {
        let busy = self.rate as f64 * cost.message_cpu_us / 1e6;
        let cores = (busy / CORE_PART).ceil().max(1.0) as u64;
        let memory = (BASE_BYTES + self.clients as f64 * cost.client_bytes) / MEMORY_PART;
        // Clients are spread by a hash; the fullest shard has a tenth more than its share.
        let fullest = (self.clients as f64 / cores as f64 * 1.1).ceil() as u64;
        Plan {
            clients: self.clients,
            rate: self.rate,
            cores,
            memory_bytes: memory.ceil() as u64,
            descriptors: fullest.saturating_add(DESCRIPTORS),
            bits_per_second: self.rate.saturating_mul(self.size).saturating_mul(8),
            cost,
        }
    }
}

impl Plan {
    fn text(&self) -> String {
        let Plan { clients, rate, cores, descriptors, cost, .. } = self;
        let of = |from: &str| match from {
            "gateway" => "measured by the gateway that runs",
            _ => "measured by the benches: no gateway runs that has served enough",
        };
        let mib = self.memory_bytes.div_ceil(1 << 20);
        let megabits = self.bits_per_second as f64 / 1e6;
        let rows = [
            (
                "cores",
                format!("{cores}"),
                format!("for {rate} messages/s at {:.1} us each, a core 70 % busy", cost.message_cpu_us),
            ),
            (
                "memory",
                format!("{mib} MiB"),
                format!(
                    "at {:.0} bytes for each of {clients} clients, 70 % used; the kernel's sockets, and what is kept for replay (outbox.max_bytes for each client that is sent much), come on top",
                    cost.client_bytes
                ),
            ),
            ("nofile", format!("{descriptors}"), "the table of the fullest shard".to_owned()),
            ("network", format!("{megabits:.1} Mbit/s"), "payload, without heads and TLS".to_owned()),
        ];
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|(name, much, why)| vec![head(name), much, why]).collect();
        format!(
            "{}\nCPU per message: {}\nbytes per client: {}\n",
            table(&[], &rows),
            of(cost.message_cpu_from),
            of(cost.client_bytes_from)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(clients: u64, rate: u64) -> Load {
        Load { clients, rate, size: 100 }
    }

    #[test]
    fn a_gateway_that_has_served_enough_says_what_it_costs() {
        let stats = |messages: u64, clients: u64| {
            json!({
                "websocket": {"messages_in": messages, "messages_out": messages, "connections": clients},
                "process": {"cpu_seconds": 4.0, "resident_bytes": 12_000_000, "resident_bytes_at_start": 10_000_000},
            })
        };
        let cost = Cost::of(&stats(200_000, 2_000));
        assert_eq!((cost.message_cpu_us, cost.client_bytes), (10.0, 1_000.0));
        let cost = Cost::of(&stats(200, 20));
        assert_eq!((cost.message_cpu_us, cost.client_bytes), (BENCH_MESSAGE_MICROS, BENCH_CLIENT_BYTES));
        assert_eq!(Cost::of(&Value::Null), cost);
    }

    #[test]
    fn a_plan_grows_with_the_load() {
        let cost = Cost::of(&Value::Null);
        let small = load(100, 100).plan(cost);
        assert_eq!((small.cores, small.bits_per_second), (1, 80_000));
        let large = load(1_000_000, 1_000_000).plan(cost);
        assert_eq!(large.cores, 8, "5.4 cores' work at 70 %");
        assert!(large.memory_bytes > 1_200_000_000 && large.descriptors > 130_000);
        assert!(large.text().contains("cores"));
    }
}
