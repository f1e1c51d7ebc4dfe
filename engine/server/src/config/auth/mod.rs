//! `[auth]`, the limits of roles, and what a shard is given of them.

mod lists;
mod sources;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use weir_shard::limits::{
    self, Algorithm, ApiKey, Key, KeySet, KeyUrl, Material, Mode, Pattern, Permissions, Role, RoleRules,
    Secret, Signing,
};

use super::settings::Limit;

pub(super) use self::lists::{KEYS as LISTS, apply};
pub(super) use self::sources::{URL, is_resource, is_url_of_keys, pem};

/// Bytes of the shortest secret (RFC 7518, 3.2: as long as the hash).
pub(super) const SECRET_BYTES_MIN: usize = 32;

/// Where MCP is served: over Streamable HTTP, and over HTTP+SSE.
const PATHS: [&str; 2] = ["/mcp", "/sse"];

/// What `[auth]` says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Auth {
    /// None: `required` if there is any key.
    pub(super) mode: Option<Mode>,
    pub(super) query_token: bool,
    pub(super) join_token: bool,
    pub(super) ticket_ttl: Duration,
    /// The URL of `/mcp` as clients have it.
    pub(super) resource: Option<Box<str>>,
    /// Who gives out tokens. Empty: the issuers that are URLs.
    pub(super) authorization_servers: Vec<Box<str>>,
    pub(super) secret: Option<Secret>,
    pub(super) public_key: Option<Material>,
    /// Of `auth.jwt.public_keys`.
    pub(super) public_keys: Vec<Key>,
    /// Of the first issuer.
    pub(super) jwks_url: Option<Box<str>>,
    /// Of `auth.jwt.jwks`.
    pub(super) jwks: Vec<KeyUrl>,
    pub(super) issuers: Vec<Box<str>>,
    pub(super) audiences: Vec<Box<str>>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) leeway: Duration,
    pub(super) cache_ttl: Duration,
    pub(super) public_key_refresh: Duration,
    pub(super) api_keys: Vec<ApiKey>,
    /// The shipped four, then those of the file, in its order.
    pub(super) roles: Vec<RoleSettings>,
    /// Requests a second that no client may exceed; 0: no cap.
    pub(super) per_client: u32,
}

/// What is said of a role.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RoleSettings {
    /// Its rate does not count.
    pub(super) rules: RoleRules,
    /// None: as for clients without a role.
    pub(super) limit: Option<Limit>,
}

impl Default for Auth {
    fn default() -> Auth {
        let auth = limits::Auth::default();
        let shipped = RoleRules::shipped().into_vec().into_iter().map(|rules| {
            let limit = Limit { limit: rules.rate.per_second as u32, per: Duration::from_secs(1), burst: 0 };
            RoleSettings { rules, limit: Some(limit) }
        });
        Auth {
            mode: None,
            query_token: auth.query_token,
            join_token: auth.join_token,
            ticket_ttl: auth.ticket_ttl,
            resource: None,
            authorization_servers: Vec::new(),
            secret: None,
            public_key: None,
            public_keys: Vec::new(),
            jwks_url: None,
            jwks: Vec::new(),
            issuers: auth.issuers.into(),
            audiences: auth.audiences.into(),
            algorithms: auth.algorithms.into(),
            leeway: auth.leeway,
            cache_ttl: auth.cache_ttl,
            public_key_refresh: Duration::from_secs(3_600),
            api_keys: Vec::new(),
            roles: shipped.collect(),
            per_client: 0,
        }
    }
}

impl Auth {
    /// Whether clients must prove who they are.
    pub(super) fn mode(&self) -> Mode {
        self.mode.unwrap_or(if self.has_keys() { Mode::Required } else { Mode::Off })
    }

    /// What a shard is given; `default` holds for roles without a limit of their own.
    pub(super) fn limits(&self, default: Limit) -> limits::Auth {
        let one = |material: Material| Key { issuer: None, kid: None, material };
        let secret = self.secret.clone().map(Material::Secret);
        let keys = secret.into_iter().chain(self.public_key.clone()).map(one);
        let roles = self.roles.iter().map(|role| RoleRules {
            rate: self.capped(role.limit.unwrap_or(default).rate()),
            ..role.rules.clone()
        });
        limits::Auth {
            mode: self.mode(),
            query_token: self.query_token,
            join_token: self.join_token,
            keys: KeySet::new(keys.chain(self.public_keys.iter().cloned())).into(),
            key_urls: self.key_urls().collect(),
            issuers: self.issuers.as_slice().into(),
            audiences: self.audiences.as_slice().into(),
            algorithms: self.algorithms.as_slice().into(),
            leeway: self.leeway,
            api_keys: self.api_keys.as_slice().into(),
            roles: roles.collect(),
            cache_ttl: self.cache_ttl,
            ticket_ttl: self.ticket_ttl,
            signing: self.signing(),
            keeps_tokens: false,
            revoked: Box::default(),
        }
    }

    /// What the gateway is to OAuth.
    pub(super) fn resource(&self) -> limits::Resource {
        let issuers = self.issuers.iter().chain(self.jwks.iter().map(|jwks| &jwks.issuer));
        let urls = issuers.filter(|issuer| is_url_of_keys(issuer)).cloned();
        let named = &self.authorization_servers;
        limits::Resource {
            url: self.resource.clone(),
            authorization_servers: if named.is_empty() { urls.collect() } else { named.as_slice().into() },
        }
    }

    /// Whom tokens may be meant for: those that are configured, and the gateway's own URLs. Without one that is
    /// configured these are known only where no other machine can have the same.
    pub(super) fn audiences(&self, scheme: &str, bind: IpAddr, ports: &[u16]) -> Box<[Box<str>]> {
        let own: Vec<String> = match &self.resource {
            Some(url) => vec![url.strip_suffix(PATHS[0]).unwrap_or(url).to_owned()],
            None if bind.to_canonical().is_loopback() => {
                let hosts =
                    ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into_iter().chain([host(bind)]);
                hosts
                    .flat_map(|host| ports.iter().map(move |port| format!("{scheme}://{host}:{port}")))
                    .collect()
            }
            None => Vec::new(),
        };
        let own = own.iter().flat_map(|base| PATHS.map(|path| format!("{base}{path}").into()));
        self.audiences.iter().cloned().chain(own).collect()
    }

    /// No more than any client may.
    pub(super) fn capped(&self, rate: limits::Rate) -> limits::Rate {
        let cap = f64::from(self.per_client);
        let unlimited = rate.per_second <= 0.0;
        match self.per_client {
            0 => rate,
            _ if unlimited => limits::Rate::new(cap, self.per_client),
            _ => limits::Rate::new(rate.per_second.min(cap), rate.burst.min(self.per_client)),
        }
    }

    fn has_keys(&self) -> bool {
        let public = self.public_key.is_some() || !self.public_keys.is_empty();
        let fetched = self.jwks_url.is_some() || !self.jwks.is_empty();
        self.secret.is_some() || public || fetched || !self.api_keys.is_empty()
    }

    fn key_urls(&self) -> impl Iterator<Item = KeyUrl> {
        let of_first = self.jwks_url.iter().zip(&self.issuers);
        let of_first = of_first.map(|(url, issuer)| KeyUrl { issuer: issuer.clone(), url: url.clone() });
        of_first.chain(self.jwks.iter().cloned())
    }

    fn signing(&self) -> Option<Signing> {
        Some(Signing {
            secret: self.secret.clone()?,
            issuer: self.issuers.first()?.clone(),
            audience: self.audiences.first()?.clone(),
        })
    }

    /// Values that are fine alone and not together.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.mode() != Mode::Off && !self.has_keys() {
            found.push(
                "auth.mode asks for authentication, and there is nothing to check it with: set auth.jwt.secret (the \
                 variable JWT_SECRET, 32 bytes or more), auth.jwt.public_key, auth.jwt.jwks_url or an [[auth.api_key]], or \
                 set auth.mode = \"off\""
                    .into(),
            );
        }
        if self.secret.is_some() && !self.algorithms.contains(&Algorithm::Hs256) {
            found.push(
                "auth.jwt.secret is set, and auth.jwt.algorithms lacks HS256, the only algorithm that it serves: add it or \
                 take the secret away"
                    .into(),
            );
        }
        found
    }
}

/// An address as URLs have it.
fn host(address: IpAddr) -> String {
    if address.is_ipv6() { format!("[{address}]") } else { address.to_string() }
}

/// A role that no list has named before.
pub(super) fn role(name: &str) -> RoleSettings {
    RoleSettings { rules: RoleRules::new(name, 0, Permissions::READ), limit: None }
}

/// The place of the role of that name.
pub(super) fn find_role(roles: &[RoleSettings], name: &str) -> Option<Role> {
    let place = roles.iter().position(|role| *role.rules.name == *name)?;
    u8::try_from(place).ok().map(Role)
}

/// Patterns of names, if each is one.
pub(super) fn patterns(texts: &[Box<str>]) -> Option<Box<[Pattern]>> {
    texts.iter().map(|text| Pattern::parse(text)).collect()
}
