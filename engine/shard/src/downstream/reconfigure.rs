//! The configuration was read again: what a shard is given of it, and what becomes of what is there already.

use std::sync::Arc;

use weir_ring::token::Token;

use crate::downstream::connection::Stage;
use crate::encryption::Encryption;
use crate::limits::{Config, Switches};
use crate::policy::Methods;
use crate::policy::auth::Principal;
use crate::policy::rules::Rules;
use crate::turn::{Cx, Shard};

/// What holds from the next message on. All shards share the bounds. Their number, their tables, their secret and the
/// targets of upstreams are those of the start: these a shard cannot change.
#[derive(Debug)]
pub struct Renewal {
    /// All bounds.
    pub config: Arc<Config>,
    /// The rules, if they are others; they count from nothing.
    pub rules: Option<Rules>,
}

impl Shard {
    /// Takes it as a whole. Connections, sessions, streams and buckets stay: buckets refill at the new rates, what is
    /// too much is taken back as it would have been refused, and times that run are those of now.
    pub(crate) fn reconfigure(&mut self, renewal: Renewal, cx: &mut Cx<'_>) {
        let Renewal { config, rules } = renewal;
        let old = std::mem::replace(&mut self.config, Arc::clone(&config));
        if let Some(rules) = rules {
            self.rules = rules;
        }
        self.keys.renew(&config.idempotency);
        self.rosters.renew(&config.presence, config.queue_bytes_max / 2);
        // What an operator switched stays, unless it is configured otherwise now.
        if Switches::of(&old) != Switches::of(&config) || old.timed_turns != config.timed_turns {
            self.switch(Switches::of(&config));
        }
        if old.method_limits != config.method_limits {
            self.methods = Methods::new(&config.method_limits, self.random.next());
        }
        if old.encryption != config.encryption {
            self.encryption = Encryption::new(&config.encryption, self.random.next());
        }
        if old.network.connections_per_ip_max != config.network.connections_per_ip_max {
            self.addresses.empty_all();
            self.census.recount();
        }
        if old.auth != config.auth {
            self.auth.renew(&config.auth);
            self.guest = Arc::new(Principal::guest(&config.auth));
        }
        let timed = old.http != config.http || old.websocket != config.websocket || old.sse != config.sse;
        if timed || old.longpoll != config.longpoll || old.auth != config.auth {
            self.look_at_all(cx);
        }
    }

    /// Looks at every client's connection: it may be due earlier than it was, or nobody may stand for it any more. All
    /// of them in one turn, once.
    fn look_at_all(&mut self, cx: &Cx<'_>) {
        let now = cx.now.mono;
        let heartbeat = now.plus(self.config.sse.heartbeat_interval);
        let tokens: Vec<Token> = self.conns.iter().map(|(token, _)| token).collect();
        for token in tokens {
            let Some(conn) = self.conns.get_mut(token) else { continue };
            match &mut conn.stage {
                Stage::Sse(feed) => feed.heartbeat = feed.heartbeat.min(heartbeat),
                Stage::WebSocket(_) | Stage::Http(_) | Stage::Poll(_) => {}
                _ => continue,
            }
            self.wake_by(token, now);
        }
    }
}

#[cfg(test)]
mod tests;
