//! Who is kept out, and what of it is written down.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use weir_ring::time::Wall;

use crate::limits::Rate;

/// Why those are listed that the configuration names.
const CONFIGURED: &str = "security.blacklist";

/// What stands before a client's name where it is written.
const CLIENT: &str = "client:";

/// Who is on the blacklist. Written as an address, a network (`10.0.0.0/8`), or a client's name after `client:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Everybody from these addresses.
    Network(IpNet),
    /// A client by its name.
    Client(Box<str>),
}

/// How long somebody may not come in, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Until when; `None`: for good.
    pub until: Option<Wall>,
    /// What the operator said; may be empty.
    pub reason: Box<str>,
}

/// An entry of the blacklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Who may not come in.
    pub subject: Subject,
    /// How long, and why.
    pub terms: Terms,
}

impl Terms {
    /// Whether they hold now.
    pub fn hold(&self, now: Wall) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Listing {
    /// For good, because the configuration says so.
    pub fn configured(subject: Subject) -> Listing {
        Listing { subject, terms: Terms { until: None, reason: CONFIGURED.into() } }
    }
}

/// When somebody who behaves oddly is kept out for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspicion {
    /// The score from which on a client or an address is refused. 0: nobody is. Default 10.
    pub threshold: f32,
    /// For how long. Default 60 s.
    pub refused_for: Duration,
}

impl Default for Suspicion {
    fn default() -> Self {
        Suspicion { threshold: 10.0, refused_for: Duration::from_secs(60) }
    }
}

/// Bounds of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Records of one shard; more are counted and left out. Default 100 per second, burst 1,000.
    pub rate: Rate,
}

impl Default for Audit {
    fn default() -> Self {
        Audit { rate: Rate::new(100.0, 1_000) }
    }
}

impl FromStr for Subject {
    type Err = ();

    /// Bits beyond a network's prefix do not count.
    fn from_str(text: &str) -> Result<Subject, ()> {
        if let Some(client) = text.strip_prefix(CLIENT) {
            return if client.is_empty() { Err(()) } else { Ok(Subject::Client(client.into())) };
        }
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => text.parse::<IpNet>().map_err(|_| ())?,
        };
        Ok(Subject::Network(network.trunc()))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Client(client) => write!(f, "{CLIENT}{client}"),
            // One address alone is written as one.
            Subject::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                write!(f, "{}", network.addr())
            }
            Subject::Network(network) => write!(f, "{network}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_written_as_they_are_read() {
        let written = |text: &str| text.parse::<Subject>().map(|subject| subject.to_string());
        for text in ["10.0.0.0/8", "127.0.0.1", "2001:db8::/32", "::1", "client:a b:c", "0.0.0.0/0"] {
            assert_eq!(written(text).as_deref(), Ok(text));
        }
        assert_eq!(written("10.1.2.3/8").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(written("::ffff:10.1.2.3").as_deref(), Ok("10.1.2.3"));
        for text in ["", "client:", "10.0.0.0/33", "10.0.0", "host.example", "::/129"] {
            assert_eq!(written(text), Err(()), "{text}");
        }
    }
}
