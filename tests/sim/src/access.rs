//! Who may come in, where the gateway asks: what clients and backends bring to prove who they are, honestly or not.

use std::sync::Arc;
use std::time::Duration;

use weir_shard::limits::{
    ApiKey, Auth, Config, Key, KeySet, Material, Mode, Role, RoleRules, Secret, Signing,
};
use weir_shard::policy::auth::{API_KEY_PREFIX, Grant, hash_api_key, mint};

use crate::fault::Fault;
use crate::history::Fact;
use crate::options::MS;
use crate::stage::Stage;

/// Habits of those who must prove who they are.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Longest life of a client's token in the storm, s.
    life_max: u64,
    /// What is brought proves nothing, per mille.
    dishonest: u32,
    /// A client that is told that its token ends brings a newer one, per mille.
    renews: u32,
}

/// What a connection stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It proves who brings it until then, ns.
    Good { until: u64 },
    /// It proves that it is somebody else.
    Foreign,
    /// It proves nothing.
    Void,
}

/// How long a token lasts that is not to end in a run, s.
const LONG: u64 = 30 * 24 * 3_600;

/// What the gateway knows tokens by.
const SECRET: &[u8] = b"the gateway and its issuer know it";

/// What somebody else signs with.
const OTHER_SECRET: &[u8] = b"neither gateway nor issuer know it";

const ISSUER: &str = "weir";
const AUDIENCE: &str = "mcp-gateway";

impl Access {
    /// In one of four runs, which the number of `turns` says: runs in which nobody is asked are what they were.
    pub fn of(turns: u64, config: &mut Config) -> Option<Access> {
        if turns % 4 != 1 {
            return None;
        }
        config.auth = asking(config);
        let pick = |of: u64, choices: [u64; 3]| choices[(turns / of % 3) as usize];
        Some(Access {
            life_max: pick(4, [2, 4, 8]),
            dishonest: pick(12, [30, 100, 300]) as u32,
            renews: pick(36, [0, 500, 1_000]) as u32,
        })
    }
}

/// Everybody must prove who he is, and may ask as often as where nobody must.
fn asking(config: &Config) -> Auth {
    let key = Key { issuer: None, kid: None, material: Material::Secret(Secret::new(SECRET)) };
    let admin = Role(0);
    let backend =
        ApiKey { name: "backend".into(), hash: hash_api_key(&backend_key()), role: admin, permissions: None };
    let rate = |role: usize| if role == 0 { config.backend_rate } else { config.client_rate };
    let roles = RoleRules::shipped().into_iter().enumerate();
    Auth {
        mode: Mode::Required,
        keys: Arc::new(KeySet::new([key])),
        leeway: Duration::ZERO,
        api_keys: [backend].into(),
        roles: roles.map(|(place, rules)| RoleRules { rate: rate(place), ..rules }).collect(),
        ..Auth::default()
    }
}

fn backend_key() -> String {
    format!("{API_KEY_PREFIX}of_all_backends")
}

/// The header line by which the client called `name` says on `conn` who it is; nothing where nobody asks.
pub fn bring(stage: &mut Stage, conn: usize, name: &str) -> String {
    let Some(access) = stage.options.access else { return String::new() };
    let life = life(stage, access);
    let ruse = if lies(stage) { 1 + stage.rng.below(4) } else { 0 };
    let (proof, token) = match ruse {
        0 => (good(stage, life), Some(token(stage, name, life as i64, SECRET))),
        1 => (Proof::Void, None),
        2 => (Proof::Void, Some(token(stage, name, life as i64, OTHER_SECRET))),
        3 => (Proof::Void, Some(token(stage, name, -(LONG as i64), SECRET))),
        _ => (Proof::Foreign, Some(token(stage, "somebody else", life as i64, SECRET))),
    };
    brought(stage, conn, proof);
    token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"))
}

/// The next token of a client whose own ends, if it wants to stay, and what that will prove.
pub fn renewal(stage: &mut Stage, name: &str) -> Option<(Proof, String)> {
    let access = stage.options.access?;
    if !stage.rng.chance(access.renews) {
        return None;
    }
    let life = life(stage, access);
    Some(if lies(stage) {
        (Proof::Void, token(stage, name, life as i64, OTHER_SECRET))
    } else {
        (good(stage, life), token(stage, name, life as i64, SECRET))
    })
}

/// A connection stands on `proof` from now on.
pub fn brought(stage: &mut Stage, conn: usize, proof: Proof) {
    for fact in stage.saboteur.pass(Fact::Brought { conn, proof }) {
        stage.history.add(fact);
    }
}

/// The header line of one whose token does not end.
pub fn lasting(stage: &mut Stage, name: &str) -> String {
    if stage.options.access.is_none() {
        return String::new();
    }
    format!("Authorization: Bearer {}\r\n", token(stage, name, LONG as i64, SECRET))
}

/// The header line of a backend.
pub fn of_backend(stage: &Stage) -> String {
    stage.options.access.map_or_else(String::new, |_| format!("X-API-Key: {}\r\n", backend_key()))
}

/// The header line of one who wants to be taken for a backend, if there is one now.
pub fn of_impostor(stage: &mut Stage) -> Option<String> {
    stage.options.access.filter(|_| lies(stage))?;
    Some(match stage.rng.below(3) {
        0 => String::new(),
        1 => format!("X-API-Key: {}\r\n", backend_key().replace('b', "d")),
        _ => lasting(stage, "c0"),
    })
}

/// How long the next token of a client lasts, s.
fn life(stage: &mut Stage, access: Access) -> u64 {
    if stage.healed { LONG } else { stage.rng.between(1, access.life_max) }
}

fn lies(stage: &mut Stage) -> bool {
    let dishonest = stage.options.access.map_or(0, |access| access.dishonest);
    let lies = !stage.healed && stage.rng.chance(dishonest);
    if lies {
        stage.faults.count(Fault::Impostor);
    }
    lies
}

/// What a token proves that is good for `life` seconds. Where the wall clock jumps, nobody can say until when.
fn good(stage: &Stage, life: u64) -> Proof {
    let ends = (stage.wall().0 / 1_000 + life) * 1_000;
    let left = ends.saturating_sub(stage.wall().0) * MS;
    let steady = stage.options.weather.clock_jump == 0;
    Proof::Good { until: if steady { stage.now + left } else { u64::MAX } }
}

/// A token that ends in so many seconds, or ended so many ago.
fn token(stage: &mut Stage, subject: &str, life: i64, secret: &[u8]) -> String {
    let now = stage.wall().0 / 1_000;
    let jti = format!("{:x}", stage.rng.draw());
    let grant = Grant {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: subject,
        role: "user",
        permissions: None,
        iat: now,
        exp: now.saturating_add_signed(life),
        jti: &jti,
    };
    let signing = Signing { secret: Secret::new(secret), issuer: ISSUER.into(), audience: AUDIENCE.into() };
    mint(&grant, &signing)
}
