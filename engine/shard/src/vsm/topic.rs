//! Where on the bus something is said, and by whom.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::route;

/// What stands before the client's name in the topic of its own events.
const CLIENT: &str = "client:";

/// What stands before a topic's name where clients watch it.
const CHANNEL: &str = "vsm:";

/// What an event is about: the systems of Beer's viable system model, and what stands beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// S1: what the gateway does.
    Operations,
    /// S2: what keeps its parts from disturbing each other.
    Coordination,
    /// S3: what its parts may use.
    Control,
    /// S4: what is coming.
    Intelligence,
    /// S5: what is allowed.
    Policy,
    /// Pain and pleasure.
    Algedonic,
    /// What happens to one client that is traced.
    Client(Box<str>),
    /// Which transports come, go and take each other's place.
    Transport,
}

impl Topic {
    /// Those that are not about one client.
    pub const SYSTEMS: [Topic; 7] = [
        Topic::Operations,
        Topic::Coordination,
        Topic::Control,
        Topic::Intelligence,
        Topic::Policy,
        Topic::Algedonic,
        Topic::Transport,
    ];

    /// The topic of that name.
    pub fn named(name: &str) -> Option<Topic> {
        match name.strip_prefix(CLIENT) {
            Some(client) => route::check_client_id(client).ok().map(|client| Topic::Client(client.into())),
            None if name == "algedonic_channel" => Some(Topic::Algedonic),
            None => Topic::SYSTEMS.into_iter().find(|topic| topic.system() == name),
        }
    }

    /// What clients join to watch the topic of that name, if there is one.
    pub(crate) fn channel(name: &str) -> Option<String> {
        Topic::named(name).map(|_| format!("{CHANNEL}{name}"))
    }

    /// What shows what happens to `client`; none: it is nobody's name.
    pub(crate) fn channel_of(client: &str) -> Option<String> {
        Topic::channel(&format!("{CLIENT}{client}"))
    }

    /// The topic that clients watch who join `channel`.
    pub fn of_channel(channel: &str) -> Option<Topic> {
        channel.strip_prefix(CHANNEL).and_then(Topic::named)
    }

    /// Its name, that of a client's without the client's: what an event's `system` says.
    pub const fn system(&self) -> &'static str {
        match self {
            Topic::Operations => "s1_operations",
            Topic::Coordination => "s2_coordination",
            Topic::Control => "s3_control",
            Topic::Intelligence => "s4_intelligence",
            Topic::Policy => "s5_policy",
            Topic::Algedonic => "algedonic",
            Topic::Client(_) => "client",
            Topic::Transport => "transport",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Client(client) => write!(f, "{CLIENT}{client}"),
            topic => f.write_str(topic.system()),
        }
    }
}

/// Topics that somebody wants to hear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    /// Those by name.
    named: Vec<Topic>,
    /// All that are not about one client.
    systems: bool,
    /// All that are.
    clients: bool,
}

impl Topics {
    /// All that are not about one client.
    pub const fn all() -> Topics {
        Topics { named: Vec::new(), systems: true, clients: false }
    }

    /// All there are.
    pub const fn everything() -> Topics {
        Topics { named: Vec::new(), systems: true, clients: true }
    }

    /// Those that `names` names. Beside topics' names there are `*`, all but those of clients, and `client:*`. Nothing
    /// is `*`.
    ///
    /// # Errors
    /// The name that no topic has.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Topics, &'a str> {
        let mut topics = Topics::default();
        for name in names {
            match name {
                "*" => topics.systems = true,
                "client:*" => topics.clients = true,
                name => topics.named.push(Topic::named(name).ok_or(name)?),
            }
        }
        topics.systems |= topics.named.is_empty() && !topics.clients;
        Ok(topics)
    }

    /// Whether it is one of them.
    pub fn has(&self, topic: &Topic) -> bool {
        let all = if matches!(topic, Topic::Client(_)) { self.clients } else { self.systems };
        all || self.named.contains(topic)
    }
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The shard of that number.
    Shard(u16),
    /// The control thread.
    Control,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Shard(shard) => write!(f, "shard {shard}"),
            Source::Control => f.write_str("control"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_no_topic_hears_all_that_is_not_about_one_client() {
        let all = |names: &[&'static str]| {
            let topics = Topics::of(names.iter().copied())?;
            Ok([Topic::Control, Topic::Algedonic, Topic::Client("a".into())].map(|topic| topics.has(&topic)))
        };
        assert_eq!(all(&[]), Ok([true, true, false]));
        assert_eq!(all(&["*", "client:a"]), Ok([true, true, true]));
        assert_eq!(all(&["client:*"]), Ok([false, false, true]));
        assert_eq!(all(&["client:b", "s3_control"]), Ok([true, false, false]));
        assert_eq!(all(&["s3_control", "s7"]), Err("s7"));
    }

    #[test]
    fn topics_are_read_as_they_are_written() {
        for topic in Topic::SYSTEMS.into_iter().chain([Topic::Client("a:b".into())]) {
            assert_eq!(Topic::named(&topic.to_string()), Some(topic));
        }
        assert_eq!(Topic::named("algedonic_channel"), Some(Topic::Algedonic));
        let long = format!("client:{}", "x".repeat(129));
        for name in ["", "client", "client:", "client:\n", "client:mcp:events", &long, "s6", "S3_control"] {
            assert_eq!(Topic::named(name), None, "{name}");
        }
    }
}
