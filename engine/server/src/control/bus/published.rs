//! What is on the bus.

use std::sync::OnceLock;

use serde::Serialize;
use weir_ring::time::Wall;
use weir_shard::message::timestamp;
use weir_shard::vsm::{Event, Signal, Source, Topic};

/// An event or a signal, as it was said.
#[derive(Debug)]
pub(crate) struct Published {
    /// When it happened.
    pub(crate) at: Wall,
    /// Where.
    pub(crate) source: Source,
    /// What.
    pub(crate) matter: Matter,
    topic: Topic,
    /// As JSON, once somebody wanted it.
    text: OnceLock<Box<str>>,
}

/// What may be on the bus.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Matter {
    Event(Event),
    Signal(Signal),
}

/// As subscribers read it.
#[derive(Serialize)]
struct Record<'a, D> {
    system: &'static str,
    event: &'static str,
    timestamp: &'a str,
    source: Source,
    data: D,
}

impl Published {
    pub(crate) fn event(at: Wall, source: Source, event: Event) -> Published {
        let (topic, text) = (event.topic(), OnceLock::new());
        Published { at, source, matter: Matter::Event(event), topic, text }
    }

    pub(crate) fn signal(signal: Signal) -> Published {
        let Signal { at, source, .. } = signal;
        Published {
            at,
            source,
            matter: Matter::Signal(signal),
            topic: Topic::Algedonic,
            text: OnceLock::new(),
        }
    }

    /// Where it was said.
    pub(crate) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        match &self.matter {
            Matter::Event(event) => event.name(),
            Matter::Signal(signal) => signal.signal.name(),
        }
    }

    /// `{system, event, timestamp, source, data}`, without a line break.
    pub(crate) fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let timestamp = timestamp(self.at);
            match &self.matter {
                Matter::Event(event) => self.record(&timestamp, event),
                Matter::Signal(signal) => self.record(&timestamp, signal.data()),
            }
        })
    }

    fn record(&self, timestamp: &str, data: impl Serialize) -> Box<str> {
        let (system, event, source) = (self.topic.system(), self.name(), self.source);
        // Plain structs of texts and numbers always serialize.
        serde_json::to_string(&Record { system, event, timestamp, source, data }).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use weir_shard::vsm::{Cause, Feeling};

    use super::*;

    const AT: Wall = Wall(1_750_000_000_123);

    #[test]
    fn an_event_says_its_system_its_name_when_and_where_it_happened() {
        let event = Event::BreakerOpened { name: "tools".into() };
        assert_eq!(
            Published::event(AT, Source::Shard(3), event).text(),
            r#"{"system":"s3_control","event":"breaker_opened","timestamp":"2025-06-15T15:06:40.123Z","source":"shard 3","data":{"name":"tools"}}"#
        );
    }

    #[test]
    fn a_signal_is_on_a_topic_of_its_own() {
        let signal = Signal {
            at: AT,
            source: Source::Control,
            signal: Feeling::Pleasure,
            cause: Cause::Memory,
            recovery_time_ms: Some(7),
        };
        let published = Published::signal(signal);
        assert_eq!(published.topic(), &Topic::Algedonic);
        let start = r#"{"system":"algedonic","event":"pleasure","timestamp":"2025-06-15T15:06:40.123Z","source":"control","data":{"signal_type":"pleasure","#;
        assert!(published.text().starts_with(start), "{}", published.text());
    }
}
