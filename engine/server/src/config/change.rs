//! From one configuration to the next while the gateway runs: what changes, and what waits for a restart.

use weir_shard::limits::{Mode, Role, RoleRules};

use super::auth::{Auth, RoleSettings};
use super::keys::{KEYS, Key, Kind, UPSTREAM_SECTIONS};
use super::manual::MANUAL;
use super::schema::toml_value;
use super::settings::{Limit, Settings};
use super::upstream::Upstream;
use super::value::Value;
use super::{Configuration, problem::ConfigError};

const AUTH: &str = "authentication is switched on and off at start, with who may use the admin port";
const SERVERS: &str = "servers are met, and children started, when the gateway is";
const HOOKS: &str = "its queue is made at start";
const PEERS: &str = "this process does not ask who connects, as nothing depended on it at start";

/// Keys that need to know who connects.
const OF_PEERS: [&str; 5] = [
    "security.exempt_loopback",
    "security.trusted_proxies",
    "security.max_connections_per_ip",
    "security.handshakes_per_second",
    "rate_limiting.ip.limit",
];

/// What a reload has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// What holds from now on.
    pub(crate) changed: Vec<Changed>,
    /// What holds from the next start on.
    pub(crate) needs_restart: Vec<Waiting>,
    /// Keys of which the file says what holds already.
    pub(crate) unchanged: Vec<&'static str>,
}

/// A key, or a list, that says something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) key: &'static str,
    /// Its values before and now, as TOML has them. None: of a list, or nobody is shown them.
    pub(crate) values: Option<[String; 2]>,
}

/// A key, or a list, that would say something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) key: &'static str,
    pub(crate) why: &'static str,
}

/// Whether two settings say the same of a list.
type Same = fn(&Settings, &Settings) -> bool;

/// Lists that a reload applies.
const LISTS: [(&str, Same); 8] = [
    ("auth.roles", |a, b| rules(&a.auth).eq(rules(&b.auth))),
    ("rate_limiting.roles", |a, b| limits(a).eq(limits(b))),
    ("auth.api_key", |a, b| a.auth.api_keys == b.auth.api_keys),
    ("auth.jwt.public_keys", |a, b| a.auth.public_keys == b.auth.public_keys),
    ("auth.jwt.jwks", |a, b| a.auth.jwks == b.auth.jwks),
    ("rate_limiting.methods", |a, b| a.methods == b.methods),
    ("tls.certificate", |a, b| a.tls.certificates == b.tls.certificates),
    ("rule", |a, b| a.shard.rules.set == b.shard.rules.set),
];

/// Lists that it does not, and why.
const FIXED_LISTS: [(&str, Same, &str); 3] = [
    ("webhook", |a, b| a.webhooks == b.webhooks, HOOKS),
    ("handler", |a, b| a.handlers == b.handlers, HOOKS),
    ("upstream", |a, b| same_servers(&a.upstreams, &b.upstreams), SERVERS),
];

impl Configuration {
    /// What holds when `newer` has been read while this holds: of what needs a restart, what there is.
    ///
    /// # Errors
    /// What is new does not go together with what needs a restart; nothing changes.
    pub(crate) fn renewed(&self, mut newer: Configuration) -> Result<(Configuration, Changes), ConfigError> {
        keep_places(&self.settings.auth.roles, &mut newer.settings.auth)?;
        let switched = is_off(&self.settings) != is_off(&newer.settings);
        let servers = same_servers(&self.settings.upstreams, &newer.settings.upstreams);
        let unasked = newer.settings.asks_for_peers() && !self.settings.asks_for_peers();
        let waits = |name: &str| match name {
            _ if switched && (name.starts_with("auth.") || name == "rate_limiting.roles") => Some(AUTH),
            _ if !servers && UPSTREAM_SECTIONS.contains(&name.split('.').next().unwrap_or_default()) => {
                Some(SERVERS)
            }
            _ if unasked && OF_PEERS.contains(&name) => Some(PEERS),
            _ => None,
        };
        let mut changes = self.compared(&newer, waits);
        for Waiting { key, .. } in &changes.needs_restart {
            if let Some(key) = KEYS.iter().find(|other| other.name == *key) {
                newer.take_back(key, self);
            }
        }
        newer.settings.keep_lists(&self.settings, switched, servers);
        changes.changed.sort_by_key(|changed| changed.key);
        let contradictions = newer.settings.contradictions();
        if contradictions.is_empty() {
            return Ok((newer, changes));
        }
        let waiting: Vec<&str> = changes.needs_restart.iter().map(|waiting| waiting.key).collect();
        let waiting = format!(
            "These hold from the next start on, and until then the rest does not go: {}",
            waiting.join(", ")
        );
        Err(ConfigError::Contradictions(contradictions.into_iter().chain([waiting]).collect()))
    }

    fn compared(&self, newer: &Configuration, waits: impl Fn(&str) -> Option<&'static str>) -> Changes {
        let mut changes = Changes::default();
        for key in KEYS {
            if self.same(key, newer) {
                changes.unchanged.push(key.name);
            } else if let Some(why) = key.fixed.or_else(|| waits(key.name)) {
                changes.needs_restart.push(Waiting { key: key.name, why });
            } else {
                let values = [self.shown(key), newer.shown(key)];
                let values = (!key.is_hidden()).then_some(values);
                changes.changed.push(Changed { key: key.name, values });
            }
        }
        for (list, _) in LISTS.into_iter().filter(|(_, same)| !same(&self.settings, &newer.settings)) {
            match waits(list) {
                Some(why) => changes.needs_restart.push(Waiting { key: list, why }),
                None => changes.changed.push(Changed { key: list, values: None }),
            }
        }
        let fixed = FIXED_LISTS.into_iter().filter(|(_, same, _)| !same(&self.settings, &newer.settings));
        changes.needs_restart.extend(fixed.map(|(key, _, why)| Waiting { key, why }));
        changes
    }

    /// Whether both say the same of a key, in whatever words.
    fn same(&self, key: &Key, other: &Configuration) -> bool {
        if let Kind::PublicKey(_) = key.kind {
            // The file that it names may have another key by now.
            return self.settings.auth.public_key == other.settings.auth.public_key;
        }
        let of = |said: &Configuration| {
            let mut settings = Settings::default();
            if let Some(value) = said.said.values.get(key.name) {
                // It was taken before.
                let _ = key.set(&mut settings, value.clone());
            }
            settings
        };
        of(self) == of(other)
    }

    /// Says of a key what `older` says.
    fn take_back(&mut self, key: &'static Key, older: &Configuration) {
        let before = older.said.values.get(key.name).cloned();
        match &before {
            Some(value) => self.said.values.insert(key.name, value.clone()),
            None => self.said.values.remove(key.name),
        };
        if let Some(value) = before.or_else(|| default_of(key)) {
            // It was taken before.
            let _ = key.set(&mut self.settings, value);
        }
    }

    /// A key's value as TOML has it.
    fn shown(&self, key: &Key) -> String {
        let value = self.said.values.get(key.name).cloned().or_else(|| default_of(key));
        value.map_or_else(String::new, |value| written(&value))
    }
}

impl Key {
    /// Whether nobody is shown what it is set to.
    fn is_hidden(&self) -> bool {
        matches!(self.kind, Kind::Secret { .. } | Kind::PayloadKeys { .. } | Kind::PublicKey(_))
    }
}

impl Settings {
    /// Takes from `older` the lists that need a restart.
    fn keep_lists(&mut self, older: &Settings, switched: bool, servers: bool) {
        self.webhooks.clone_from(&older.webhooks);
        self.handlers.clone_from(&older.handlers);
        if servers {
            // Where a host's name led then, its server still is.
            for (new, old) in self.upstreams.iter_mut().zip(&older.upstreams) {
                new.bounds.targets.clone_from(&old.bounds.targets);
            }
        } else {
            self.upstreams.clone_from(&older.upstreams);
        }
        if switched {
            self.auth = Auth { per_client: self.auth.per_client, ..older.auth.clone() };
        }
    }
}

/// A value as TOML has it.
fn written(value: &Value) -> String {
    match value {
        Value::List(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        value => value.to_string(),
    }
}

fn default_of(key: &Key) -> Option<Value> {
    let entry = MANUAL.entries().find(|entry| entry.key.name == key.name)?;
    toml_value(&entry.default)
}

fn is_off(settings: &Settings) -> bool {
    settings.auth_mode() == Mode::Off
}

fn rules(auth: &Auth) -> impl Iterator<Item = &RoleRules> {
    auth.roles.iter().map(|role| &role.rules)
}

/// The limits of roles that have one of their own, by their names.
fn limits(settings: &Settings) -> impl Iterator<Item = (&str, Option<Limit>)> {
    settings.auth.roles.iter().map(|role| (&*role.rules.name, role.limit))
}

/// Whether both are the same servers, reached in the same way; their bounds may differ, and where names of hosts lead.
fn same_servers(old: &[Upstream], new: &[Upstream]) -> bool {
    let same = |(old, new): (&Upstream, &Upstream)| {
        let mut like = old.clone();
        let (bounds, other) = (&mut like.bounds, &new.bounds);
        (bounds.pool, bounds.weight, bounds.failover_threshold) =
            (other.pool, other.weight, other.failover_threshold);
        (bounds.timeout, bounds.timeout_max) = (other.timeout, other.timeout_max);
        bounds.health_check_interval = other.health_check_interval;
        bounds.breaker.clone_from(&other.breaker);
        for (target, other) in bounds.targets.iter_mut().zip(&other.targets) {
            target.address.clone_from(&other.address);
        }
        like == *new
    };
    old.len() == new.len() && old.iter().zip(new).all(same)
}

/// Gives roles the places that they had, which connections know them by. One that is gone leaves its place to a guest
/// without a name.
fn keep_places(old: &[RoleSettings], new: &mut Auth) -> Result<(), ConfigError> {
    let guest = &new.roles[usize::from(Role::GUEST.0)];
    let gone =
        RoleSettings { rules: RoleRules { name: "".into(), ..guest.rules.clone() }, limit: guest.limit };
    let find = |roles: &[RoleSettings], name: &str| roles.iter().position(|role| *role.rules.name == *name);
    let placed = old.iter().map(|was| {
        let at = find(&new.roles, &was.rules.name).filter(|_| !was.rules.name.is_empty());
        at.map_or_else(|| gone.clone(), |at| new.roles[at].clone())
    });
    let mut placed: Vec<RoleSettings> = placed.collect();
    placed.extend(new.roles.iter().filter(|role| find(old, &role.rules.name).is_none()).cloned());
    if placed.len() > Role::MAX {
        let what =
            "there have been more than 64 roles since the start, those that are gone included: restart";
        return Err(ConfigError::Contradictions(vec![what.to_owned()]));
    }
    for key in &mut new.api_keys {
        let name = new.roles.get(usize::from(key.role.0)).map_or("", |role| &role.rules.name);
        key.role = find(&placed, name).and_then(|at| u8::try_from(at).ok()).map_or(Role::GUEST, Role);
    }
    new.roles = placed;
    Ok(())
}

#[cfg(test)]
mod tests;
