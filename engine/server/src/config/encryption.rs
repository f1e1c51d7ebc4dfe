//! `[encryption]`: keys of payloads.

use weir_shard::limits::{self, PayloadKey};

use super::settings::QUEUE_OVERHEAD_BYTES;

/// What `[encryption]` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Encryption {
    /// The one that encrypts.
    pub(super) key: Option<PayloadKey>,
    /// Those that still decrypt.
    pub(super) old_keys: Vec<PayloadKey>,
    pub(super) required: bool,
}

impl Encryption {
    /// Gives a shard its keys. What is encrypted is a third longer, and must still fit what may wait for a client.
    pub(super) fn apply(&self, config: &mut limits::Config) {
        let keys: Vec<PayloadKey> = self.keys().cloned().collect();
        if !keys.is_empty() {
            let largest = config.message_bytes_max + config.message_bytes_max / 3 + 2 * QUEUE_OVERHEAD_BYTES;
            config.queue_bytes_max = config.queue_bytes_max.max(largest);
            config.queue_bytes_total_max = config.queue_bytes_total_max.max(config.queue_bytes_max);
        }
        config.encryption = limits::Encryption { keys, required: self.required };
    }

    /// What of it does not go together.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.key.is_none() && (self.required || !self.old_keys.is_empty()) {
            let what = "encryption.keys and encryption.required are of no use without encryption.key, which encrypts";
            found.push(format!("{what}: set it"));
        }
        let keys: Vec<&PayloadKey> = self.keys().collect();
        let twice =
            keys.iter().enumerate().filter(|(at, key)| keys[..*at].iter().any(|other| other.id == key.id));
        found.extend(twice.map(|(_, key)| {
            format!("encryption has two keys that are called {}: give each a name of its own", key.id)
        }));
        found
    }

    fn keys(&self) -> impl Iterator<Item = &PayloadKey> {
        self.key.iter().chain(&self.old_keys)
    }
}

#[cfg(test)]
mod tests {
    use weir_shard::limits::Secret;

    use super::*;

    fn key(id: &str) -> PayloadKey {
        PayloadKey { id: id.into(), secret: Secret::new([1; 32]) }
    }

    #[test]
    fn the_key_that_encrypts_comes_first_and_what_is_encrypted_fits() {
        let encryption = Encryption { key: Some(key("new")), old_keys: vec![key("old")], required: true };
        let mut config = limits::Config::default();
        encryption.apply(&mut config);
        assert_eq!(config.encryption.keys, [key("new"), key("old")]);
        assert!(config.encryption.required && config.queue_bytes_max > config.message_bytes_max * 4 / 3);
        let mut config = limits::Config::default();
        Encryption::default().apply(&mut config);
        assert_eq!(config, limits::Config::default());
    }

    #[test]
    fn keys_that_do_not_go_together_are_named() {
        let old_keys = vec![key("a"), key("b")];
        let said =
            Encryption { key: Some(key("b")), old_keys: old_keys.clone(), required: false }.contradictions();
        assert_eq!(said, ["encryption has two keys that are called b: give each a name of its own"]);
        let said = Encryption { key: None, old_keys, required: false }.contradictions();
        assert!(said.len() == 1 && said[0].ends_with("set it"), "{said:?}");
        assert_eq!(Encryption::default().contradictions(), [""; 0]);
    }
}
