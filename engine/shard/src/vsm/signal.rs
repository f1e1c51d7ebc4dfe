//! Algedonic signals: pain and its end, which pass every queue. Who feels something names its cause; what there is to
//! say of it stands here.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};
use weir_ring::time::Wall;

use super::topic::Source;

/// Pain or pleasure. From a shard each is said once when it begins; the control thread says it once for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// When.
    pub at: Wall,
    /// Who feels it.
    pub source: Source,
    /// Which of the two.
    pub signal: Feeling,
    /// What from.
    pub cause: Cause,
    /// Of pleasure: how long the pain was, milliseconds. Known on the bus.
    pub recovery_time_ms: Option<u64>,
}

/// What is felt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Feeling {
    /// Something is wrong from now on.
    Pain,
    /// It is not any more.
    Pleasure,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nobody notices yet.
    Low,
    /// Some are served late or in another way.
    Medium,
    /// Some are refused.
    High,
    /// What the gateway is for does not work.
    Critical,
}

/// What may hurt, and be over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The system's descriptors, or its memory for sockets: nobody can be accepted.
    Descriptors,
    /// A shard's table of connections.
    Connections,
    /// The disk of the log.
    Storage,
    /// The memory that the process may use: no shard's, but found out by the control thread.
    Memory,
    /// The circuit breaker of that name is open.
    Breaker(Box<str>),
    /// All connections to an upstream are in use, and as many requests wait as may.
    Pool(Box<str>),
    /// A shard does not answer the control thread.
    ShardLate(u16),
}

impl Signal {
    /// The `data` of a record on the bus.
    pub fn data(&self) -> impl Serialize + use<> {
        #[derive(Serialize)]
        struct Data {
            signal_type: Feeling,
            severity: Severity,
            source: Source,
            message: Cow<'static, str>,
            suggested_action: &'static str,
            context: Value,
            #[serde(skip_serializing_if = "Option::is_none")]
            recovery_time_ms: Option<u64>,
        }
        Data {
            signal_type: self.signal,
            severity: self.cause.severity(),
            source: self.source,
            message: self.cause.message(self.signal),
            suggested_action: self.suggested_action(),
            context: self.cause.context(),
            recovery_time_ms: self.recovery_time_ms,
        }
    }

    /// What to do about it.
    pub fn suggested_action(&self) -> &'static str {
        match self.signal {
            Feeling::Pain => self.cause.suggested_action(),
            Feeling::Pleasure => "Nothing needs to be done.",
        }
    }
}

impl Feeling {
    /// The name on the bus.
    pub const fn name(self) -> &'static str {
        match self {
            Feeling::Pain => "pain",
            Feeling::Pleasure => "pleasure",
        }
    }
}

impl Cause {
    /// The name on the bus.
    pub const fn name(&self) -> &'static str {
        match self {
            Cause::Descriptors => "descriptors",
            Cause::Connections => "connections",
            Cause::Storage => "storage",
            Cause::Memory => "memory",
            Cause::Breaker(_) => "breaker",
            Cause::Pool(_) => "pool",
            Cause::ShardLate(_) => "shard_late",
        }
    }

    /// How bad it is.
    pub const fn severity(&self) -> Severity {
        match self {
            Cause::Descriptors | Cause::Storage | Cause::ShardLate(_) => Severity::Critical,
            Cause::Connections | Cause::Memory | Cause::Breaker(_) => Severity::High,
            Cause::Pool(_) => Severity::Medium,
        }
    }

    /// What is wrong, or not any more.
    pub fn message(&self, feeling: Feeling) -> Cow<'static, str> {
        match (self, feeling) {
            (Cause::Descriptors, Feeling::Pain) => "no connection can be accepted: the system has no file descriptor or \
                                                    no memory for a socket left; those that are open go on, and accepting \
                                                    is tried again by itself"
                .into(),
            (Cause::Descriptors, Feeling::Pleasure) => "connections are accepted again".into(),
            (Cause::Connections, Feeling::Pain) => {
                "a shard has as many connections as it may: new ones are answered 503".into()
            }
            (Cause::Connections, Feeling::Pleasure) => "there is room for connections again".into(),
            (Cause::Storage, Feeling::Pain) => "the disk of the data folder is full or fails: what must be kept is refused \
                                                with 503, and the disk is tried again every second"
                .into(),
            (Cause::Storage, Feeling::Pleasure) => "the disk of the data folder takes messages again".into(),
            (Cause::Memory, Feeling::Pain) => "more memory is in use than memory.budget: new connections are answered 503, \
                                               and the oldest messages of the largest streams are dropped, each with a gap"
                .into(),
            (Cause::Memory, Feeling::Pleasure) => "memory is within memory.budget again".into(),
            (Cause::Breaker(name), Feeling::Pain) => {
                format!("the circuit breaker of {name} is open: requests are refused without being tried").into()
            }
            (Cause::Breaker(name), Feeling::Pleasure) => format!("{name} answers again").into(),
            (Cause::Pool(upstream), Feeling::Pain) => {
                format!("all connections to {upstream} are in use, and as many requests wait as may").into()
            }
            (Cause::Pool(upstream), Feeling::Pleasure) => {
                format!("there are free connections to {upstream} again").into()
            }
            (Cause::ShardLate(shard), Feeling::Pain) => {
                format!("shard {shard} has not answered the control thread for 2 s: its clients wait").into()
            }
            (Cause::ShardLate(shard), Feeling::Pleasure) => format!("shard {shard} answers again").into(),
        }
    }

    const fn suggested_action(&self) -> &'static str {
        match self {
            Cause::Descriptors => "Raise fs.file-max or RLIMIT_NOFILE",
            Cause::Connections => "Raise server.connections_per_shard or RLIMIT_NOFILE, or add shards",
            Cause::Storage => "Make room on it, or move the data folder",
            Cause::Memory => "Raise memory.budget, or lower outbox.max_bytes",
            Cause::Breaker(_) => "Look at why it fails; it is tried again after circuit_breaker.timeout",
            Cause::Pool(_) => "Raise pool.size or pool.overflow, or look at why its answers take so long",
            Cause::ShardLate(_) => "Look at what uses its core, or add shards",
        }
    }

    fn context(&self) -> Value {
        let cause = self.name();
        match self {
            Cause::Descriptors | Cause::Connections | Cause::Storage | Cause::Memory => {
                json!({"cause": cause})
            }
            Cause::Breaker(name) => json!({"cause": cause, "name": name}),
            Cause::Pool(upstream) => json!({"cause": cause, "upstream": upstream}),
            Cause::ShardLate(shard) => json!({"cause": cause, "shard": shard}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_says_what_to_do_and_its_end_how_long_it_took() {
        let cause = Cause::Breaker("tools".into());
        let (at, source) = (Wall(0), Source::Shard(1));
        let pain = Signal { at, source, signal: Feeling::Pain, cause, recovery_time_ms: None };
        let pleasure = Signal { signal: Feeling::Pleasure, recovery_time_ms: Some(1_500), ..pain.clone() };
        let data = |signal: &Signal| serde_json::to_value(signal.data()).expect("JSON");
        let said = data(&pain);
        assert_eq!((&said["signal_type"], &said["severity"]), (&json!("pain"), &json!("high")));
        assert_eq!((&said["source"], &said["context"]["name"]), (&json!("shard 1"), &json!("tools")));
        assert_eq!(said.get("recovery_time_ms"), None);
        assert!(
            said["suggested_action"].as_str().is_some_and(|text| text.contains("circuit_breaker.timeout"))
        );
        let said = data(&pleasure);
        assert_eq!((&said["signal_type"], &said["recovery_time_ms"]), (&json!("pleasure"), &json!(1_500)));
    }
}
