//! What is watched.

/// A metric, with a value each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// The busiest data thread, percent of its core.
    Cpu,
    /// Percent of the memory budget.
    Memory,
    /// The fullest shard, percent of the connections that it serves.
    Connections,
    /// The busier direction, percent of the link.
    Bandwidth,
    /// The file system of the data folder, percent.
    Disk,
    /// Open connections.
    ActiveConnections,
    /// Messages received and sent by clients, a second.
    MessageRate,
    /// HTTP requests answered, a second.
    RequestRate,
    /// Bytes received and sent, a second.
    ByteRate,
    /// What 99 % of the second's deliveries did not exceed, milliseconds.
    LatencyP99,
    /// The same for turns.
    TurnP99,
    /// Connections lost to an error and requests to MCP servers that failed, a second.
    ErrorRate,
    /// Requests refused by a limit, a rule or for who sends them, a second.
    RefusalRate,
    /// Bytes that clients have not been sent or have not acknowledged.
    OutboxBytes,
}

impl Metric {
    pub(crate) const ALL: [Metric; 14] = [
        Metric::Cpu,
        Metric::Memory,
        Metric::Connections,
        Metric::Bandwidth,
        Metric::Disk,
        Metric::ActiveConnections,
        Metric::MessageRate,
        Metric::RequestRate,
        Metric::ByteRate,
        Metric::LatencyP99,
        Metric::TurnP99,
        Metric::ErrorRate,
        Metric::RefusalRate,
        Metric::OutboxBytes,
    ];

    /// Those that fill up: their trend is followed to its end.
    pub(super) const FILLING: [Metric; 3] = [Metric::Memory, Metric::Connections, Metric::Disk];

    /// Those that are watched for what is odd.
    pub(super) const WATCHED: [Metric; 9] = [
        Metric::Cpu,
        Metric::ActiveConnections,
        Metric::MessageRate,
        Metric::RequestRate,
        Metric::ByteRate,
        Metric::LatencyP99,
        Metric::TurnP99,
        Metric::ErrorRate,
        Metric::RefusalRate,
    ];

    /// Its name in answers and events.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Metric::Cpu => "cpu",
            Metric::Memory => "memory",
            Metric::Connections => "connections",
            Metric::Bandwidth => "bandwidth",
            Metric::Disk => "disk",
            Metric::ActiveConnections => "active_connections",
            Metric::MessageRate => "message_rate",
            Metric::RequestRate => "request_rate",
            Metric::ByteRate => "byte_rate",
            Metric::LatencyP99 => "latency_p99",
            Metric::TurnP99 => "turn_p99",
            Metric::ErrorRate => "error_rate",
            Metric::RefusalRate => "refusal_rate",
            Metric::OutboxBytes => "outbox_bytes",
        }
    }

    /// What its values are.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Metric::Cpu | Metric::Memory | Metric::Connections | Metric::Bandwidth | Metric::Disk => "%",
            Metric::ActiveConnections => "connections",
            Metric::MessageRate | Metric::RequestRate | Metric::ErrorRate | Metric::RefusalRate => {
                "per second"
            }
            Metric::ByteRate => "bytes per second",
            Metric::LatencyP99 | Metric::TurnP99 => "ms",
            Metric::OutboxBytes => "bytes",
        }
    }

    /// The metric of that name.
    pub(crate) fn named(name: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// A deviation below this is taken for this: six times as much is what somebody wants to be told of.
    pub(super) const fn floor(self) -> f32 {
        match self {
            Metric::Cpu | Metric::Bandwidth => 4.0,
            Metric::Memory | Metric::Connections | Metric::Disk => 2.0,
            Metric::ActiveConnections => 10.0,
            Metric::MessageRate | Metric::RequestRate => 50.0,
            Metric::ByteRate => 500_000.0,
            Metric::LatencyP99 | Metric::TurnP99 => 2.0,
            Metric::ErrorRate | Metric::RefusalRate => 2.0,
            Metric::OutboxBytes => 2_000_000.0,
        }
    }

    /// What is full when a capacity is, as a sentence begins.
    pub(super) const fn subject(self) -> &'static str {
        match self {
            Metric::Cpu => "the busiest core",
            Metric::Memory => "memory",
            Metric::Connections => "connections",
            Metric::Bandwidth => "the network link",
            Metric::Disk => "the disk of the data folder",
            other => other.name(),
        }
    }

    /// What to do about it.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Metric::Cpu => {
                "Add cores or shards, move clients to another gateway, or lower rate_limiting.default.limit."
            }
            Metric::Memory => "Raise memory.budget, or lower outbox.max_bytes and outbox.max_messages.",
            Metric::Connections => {
                "Raise server.connections_per_shard or RLIMIT_NOFILE, add shards, or move clients to another gateway."
            }
            Metric::Bandwidth => {
                "Add a link, compress (websocket.compression), or move clients to another gateway."
            }
            Metric::Disk => "Free space, or lower durability.max_bytes.",
            Metric::ErrorRate => "Look at the transports in /mcp/stats and at the upstreams.",
            Metric::RefusalRate => "Look at who is refused: weir analyze, and the audit log.",
            Metric::LatencyP99 | Metric::TurnP99 => "Look at cpu, and at what clients send: weir stats.",
            _ => "Look at what clients do: weir analyze.",
        }
    }
}
