//! Who may come in: keys, issuers, API keys, and what each role may do.

use std::sync::Arc;
use std::time::Duration;

use weir_ring::time::Wall;

use super::Rate;
use super::keys::{Algorithm, KeySet};
use super::pattern::Pattern;
use super::permissions::Permissions;
use super::secret::Secret;

/// Whether clients must prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nobody is asked; who a client says it is, it is.
    #[default]
    Off,
    /// Who proves nothing is a guest; who proves it wrongly is refused.
    Optional,
    /// Who proves nothing is refused.
    Required,
}

/// Authentication and authorisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// Default off.
    pub mode: Mode,
    /// Tokens may stand in the query of SSE, WebSocket and LongPoll requests. Default true.
    pub query_token: bool,
    /// A socket may be opened without a credential, which its first join then brings. Default false.
    pub join_token: bool,
    /// The keys at start, without those that are fetched.
    pub keys: Arc<KeySet>,
    /// Where keys are fetched. Default none.
    pub key_urls: Box<[KeyUrl]>,
    /// Whose tokens are taken (`iss`), beside the issuers of `key_urls`. Default `weir`.
    pub issuers: Box<[Box<str>]>,
    /// Whom tokens must be meant for (`aud`): one of these. Default `mcp-gateway`.
    pub audiences: Box<[Box<str>]>,
    /// Which signatures are taken. Default all.
    pub algorithms: Box<[Algorithm]>,
    /// By how much clocks may differ. Default 5 s.
    pub leeway: Duration,
    /// Keys that are no tokens.
    pub api_keys: Box<[ApiKey]>,
    /// The roles; the first four are always `admin`, `premium`, `user` and `guest`.
    pub roles: Box<[RoleRules]>,
    /// How long a signature counts as checked. Default 300 s.
    pub cache_ttl: Duration,
    /// How long a ticket is good. Default 30 s, which is also the most.
    pub ticket_ttl: Duration,
    /// What tokens are made with here. None: none are.
    pub signing: Option<Signing>,
    /// Tokens are kept beside what they prove, to be exchanged for those of upstreams. Default false.
    pub keeps_tokens: bool,
    /// Tokens that were withdrawn before the start.
    pub revoked: Box<[Revocation]>,
}

impl Auth {
    /// The role of that name; a name that nobody knows is a guest's.
    pub fn role(&self, name: &str) -> Role {
        let place = self.roles.iter().position(|rules| *rules.name == *name);
        place.and_then(|place| u8::try_from(place).ok()).map_or(Role::GUEST, Role)
    }

    /// How often a client of this role may ask; `otherwise` where nobody is asked who he is.
    pub fn rate<'a>(&'a self, role: Option<Role>, otherwise: &'a Rate) -> &'a Rate {
        role.map_or(otherwise, |role| &self.rules(role).rate)
    }

    /// What a role may do.
    pub fn rules(&self, role: Role) -> &RoleRules {
        // The shipped four are always there.
        self.roles.get(usize::from(role.0)).unwrap_or(&self.roles[usize::from(Role::GUEST.0)])
    }
}

impl Default for Auth {
    fn default() -> Auth {
        Auth {
            mode: Mode::Off,
            query_token: true,
            join_token: false,
            keys: Arc::default(),
            key_urls: Box::default(),
            issuers: ["weir".into()].into(),
            audiences: ["mcp-gateway".into()].into(),
            algorithms: Algorithm::ALL.into(),
            leeway: Duration::from_secs(5),
            api_keys: Box::default(),
            roles: RoleRules::shipped(),
            cache_ttl: Duration::from_secs(300),
            ticket_ttl: Duration::from_secs(30),
            signing: None,
            keeps_tokens: false,
            revoked: Box::default(),
        }
    }
}

/// A JWK Set (RFC 7517, 5) and whose keys are in it. Only this issuer's tokens are checked with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUrl {
    /// `iss` of its tokens.
    pub issuer: Box<str>,
    /// https, or http to this machine.
    pub url: Box<str>,
}

/// A token that was withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its `jti`.
    pub token_id: Box<str>,
    /// It has expired then anyway.
    pub until: Wall,
}

/// A role, by its place in [`Auth::roles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Role(pub u8);

impl Role {
    /// Whose clients come before those of other roles.
    pub const PREMIUM: Role = Role(1);
    /// Whose token names no role.
    pub const USER: Role = Role(2);
    /// Who proves nothing, or has a role that nobody knows.
    pub const GUEST: Role = Role(3);
    /// Most roles.
    pub const MAX: usize = 64;
}

/// What a role may do, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleRules {
    /// As tokens say it.
    pub name: Box<str>,
    /// Requests of each of its clients.
    pub rate: Rate,
    /// What who has it may do, if his token does not say.
    pub permissions: Permissions,
    /// What of MCP may be used: methods, and `METHOD:NAME` of tools, prompts and resources that match one of these and
    /// none of `mcp_deny`.
    pub mcp_allow: Box<[Pattern]>,
    /// What of it is refused all the same.
    pub mcp_deny: Box<[Pattern]>,
    /// Topics to join: what matches one of these, and none of `topics_deny`.
    pub topics_allow: Box<[Pattern]>,
    /// What of it is refused all the same.
    pub topics_deny: Box<[Pattern]>,
}

impl RoleRules {
    /// A role with these permissions and no narrower rules.
    pub fn new(name: &str, per_second: u32, permissions: Permissions) -> RoleRules {
        let everything: Box<[Pattern]> = Pattern::parse("*").into_iter().collect();
        RoleRules {
            name: name.into(),
            rate: Rate::new(f64::from(per_second), per_second.max(1)),
            permissions,
            mcp_allow: everything.clone(),
            mcp_deny: Box::default(),
            topics_allow: everything,
            topics_deny: Box::default(),
        }
    }

    /// The four that are always there.
    pub fn shipped() -> Box<[RoleRules]> {
        let both = Permissions::READ | Permissions::WRITE;
        [
            RoleRules::new("admin", 10_000, Permissions::ADMIN),
            RoleRules::new("premium", 1_000, both),
            RoleRules::new("user", 100, both),
            RoleRules::new("guest", 10, Permissions::READ),
        ]
        .into()
    }

    /// Whether nothing of MCP is kept from who has the role.
    pub fn permits_all_mcp(&self) -> bool {
        // Only what is all stars is also the name of nothing.
        self.mcp_deny.is_empty() && any(&self.mcp_allow, "", "-")
    }

    /// Whether `subject`, who has the role, may use what has this name, unless it is denied: `METHOD:NAME` of a tool,
    /// prompt or resource, or a method.
    pub fn allows_mcp(&self, name: &str, subject: &str) -> bool {
        any(&self.mcp_allow, name, subject)
    }

    /// Whether he may not, though it may be allowed.
    pub fn denies_mcp(&self, name: &str, subject: &str) -> bool {
        any(&self.mcp_deny, name, subject)
    }

    /// Whether `subject`, who has the role, may join `topic`.
    pub fn permits_topic(&self, topic: &str, subject: &str) -> bool {
        any(&self.topics_allow, topic, subject) && !any(&self.topics_deny, topic, subject)
    }
}

fn any(patterns: &[Pattern], name: &str, subject: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name, subject))
}

/// A key that a backend sends instead of a token. The key itself is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Who has it: its `sub`.
    pub name: Box<str>,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// What he is.
    pub role: Role,
    /// What he may do. None: what his role may.
    pub permissions: Option<Permissions>,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ApiKey { name, role, permissions, .. } = self;
        let mut debug = f.debug_struct("ApiKey");
        debug.field("name", name).field("role", role).field("permissions", permissions);
        debug.finish_non_exhaustive()
    }
}

/// What tokens are made with: HS256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// Also in [`Auth::keys`], or nobody would take the tokens.
    pub secret: Secret,
    /// Their `iss`.
    pub issuer: Box<str>,
    /// Their `aud`.
    pub audience: Box<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_nobody_knows_is_a_guests() {
        let auth = Auth::default();
        let names = ["admin", "premium", "user", "guest", "root", "Admin", ""];
        assert_eq!(names.map(|name| auth.role(name).0), [0, 1, 2, 3, 3, 3, 3]);
        assert_eq!(&*auth.rules(Role(200)).name, "guest");
    }

    #[test]
    fn what_is_denied_is_denied_though_it_is_allowed() {
        let mut rules = RoleRules::new("user", 1, Permissions::READ);
        assert!(rules.permits_all_mcp() && rules.permits_topic("room:1", "u1"));
        rules.mcp_deny = Pattern::parse("*__delete*").into_iter().collect();
        rules.topics_allow = Pattern::parse("topic:{sub}:*").into_iter().collect();
        assert!(!rules.permits_all_mcp() && rules.allows_mcp("tools/call:files__delete", "u1"));
        assert!(rules.denies_mcp("tools/call:files__delete", "u1"));
        assert!(!rules.denies_mcp("tools/call:files__read", "u1"));
        assert!(rules.permits_topic("topic:u1:a", "u1") && !rules.permits_topic("topic:u2:a", "u1"));
        rules.mcp_allow = Box::default();
        assert!(!rules.allows_mcp("tools/call:files__read", "u1"), "what nothing allows is denied");
        rules.mcp_deny = Box::default();
        assert!(!rules.permits_all_mcp());
        rules.mcp_allow = ["tools/*", "**"].iter().filter_map(|text| Pattern::parse(text)).collect();
        assert!(rules.permits_all_mcp());
    }
}
