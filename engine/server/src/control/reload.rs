//! The configuration while the gateway runs: read again with SIGHUP or when the operator says so, certificates and
//! rules included, as a whole or not at all. Every shard is given the same value, which it takes between two turns.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::signal::unix::Signal;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task;
use tracing::{error, info, warn};
use weir_ring::clock::Clock;
use weir_ring::token::Member;
use weir_shard::error::Error;
use weir_shard::limits::{Auth, Browser, Config};
use weir_shard::mail::{Mail, Renewal};
use weir_shard::message::timestamp;
use weir_shard::policy::rules::Rules;
use weir_shard::tls::Credentials;
use weir_shard::vsm::{Event, Source};

use super::api::{Admin, refuse};
use super::bus::{Bus, Published};
use super::current::Current;
use super::features::Features;
use super::intelligence::Intelligence;
use super::jwks::NewKeys;
use super::listed::Listed;
use super::mailbox::Mailbox;
use super::notify::Manager;
use super::pages;
use super::rules::Rulebook;
use crate::config::{Changed, Changes, Configuration, Live, Settings, Sources, Waiting};
use crate::tls::{self, Loaded};

/// What a gateway began with.
pub(crate) struct Beginning {
    pub(crate) sources: Sources,
    /// What they said.
    pub(crate) configuration: Configuration,
    /// Where data is served.
    pub(crate) ports: Vec<u16>,
}

/// Those who are told beside the shards.
pub(super) struct Parts {
    pub(super) mailbox: Mailbox,
    pub(super) bus: Bus,
    pub(super) rules: Arc<Rulebook>,
    /// The keeper of keys.
    pub(super) keys: UnboundedSender<NewKeys>,
    /// What tokens are made with.
    pub(super) auth: Current<Auth>,
    /// Which pages may use the admin port.
    pub(super) pages: Current<Browser>,
    pub(super) blacklist: Arc<Listed>,
    pub(super) intelligence: Intelligence,
    pub(super) features: Features,
}

/// Reads the configuration again.
pub(super) struct Reloader {
    sources: Sources,
    ports: Vec<u16>,
    /// Locked while it is replaced: all shards get what is read in the same order.
    held: Mutex<Held>,
    parts: Parts,
}

/// What holds.
struct Held {
    configuration: Configuration,
    /// What the shards have of it.
    config: Arc<Config>,
    /// What came of the last reload, as it is shown.
    last: Value,
}

impl Reloader {
    pub(super) fn new(beginning: Beginning, config: Arc<Config>, parts: Parts) -> Reloader {
        let Beginning { sources, configuration, ports } = beginning;
        let held = Mutex::new(Held { configuration, config, last: Value::Null });
        Reloader { sources, ports, held, parts }
    }

    /// Reads everything again, because `whose` asks for it. When this returns each shard has what is new, or none has.
    ///
    /// # Errors
    /// All that is wrong, or the first of what cannot be used; nothing has changed.
    pub(super) async fn reload(&self, whose: &str) -> Result<Value, String> {
        let mut held = self.held.lock().await;
        let outcome = self.renew(&mut held).await;
        let at = timestamp(Clock::now().wall);
        match outcome {
            Ok(changes) => {
                log(whose, &changes);
                let (changed, needs_restart) =
                    (changes.changed.len() as u64, changes.needs_restart.len() as u64);
                self.say(Event::ConfigReloaded { changed, needs_restart });
                held.last = report(&changes);
                held.last["at"] = at.into();
                Ok(held.last.clone())
            }
            Err(message) => {
                error!("{whose}: configuration, rules and certificates stay as they are: {message}");
                self.say(Event::ConfigRejected { message: message.as_str().into() });
                held.last = json!({ "at": at, "refused": message });
                Err(message)
            }
        }
    }

    async fn renew(&self, held: &mut Held) -> Result<Changes, String> {
        let sources = self.sources.clone();
        let newer = blocking(move || sources.read()).await?;
        let (configuration, changes) =
            held.configuration.renewed(newer).map_err(|error| error.to_string())?;
        let Config { shards, connections_max, listeners, .. } = *held.config;
        let live = configuration.settings.live(shards, connections_max, listeners);
        let files = live.tls.clone();
        let Loaded { credentials, warnings } = blocking(move || tls::load(&files)).await?;
        warnings.iter().for_each(|warning| warn!("{warning}"));
        configuration.idle().iter().for_each(|idle| warn!("{idle}"));
        let config = Arc::new(self.completed(&live, &held.config, &configuration.settings));
        let adopted = self.parts.rules.adopt(live.rules_file.clone(), &config).await;
        let (rules, lock) = adopted.map_err(|error: io::Error| error.to_string())?;
        self.tell_shards(&config, rules, credentials).await;
        drop(lock);
        self.parts.renew(&held.config, &config, &live).await;
        (held.configuration, held.config) = (configuration, config);
        Ok(changes)
    }

    /// The bounds of a shard, with what is there since the start.
    fn completed(&self, live: &Live, old: &Config, settings: &Settings) -> Config {
        let mut config = live.shard.clone();
        config.secret = old.secret;
        config.auth.revoked.clone_from(&old.auth.revoked);
        config.auth.audiences = settings.audiences(&self.ports);
        for (upstream, old) in config.upstreams.iter_mut().zip(&old.upstreams) {
            upstream.targets.clone_from(&old.targets);
        }
        config
    }

    async fn tell_shards(&self, config: &Arc<Config>, rules: Option<Rules>, credentials: Credentials) {
        let (mailbox, credentials) = (&self.parts.mailbox, Arc::new(credentials));
        for shard in (0..mailbox.shards()).map(Member) {
            mailbox.send(shard, Mail::Credentials(credentials.clone())).await;
            let renewal = Renewal { config: config.clone(), rules: rules.clone() };
            mailbox.send(shard, Mail::Reconfigure(Box::new(renewal))).await;
        }
    }

    fn say(&self, event: Event) {
        self.parts.bus.publish(Published::event(Clock::now().wall, Source::Control, event));
    }
}

impl Parts {
    /// Tells what the control thread does itself.
    async fn renew(&self, old: &Config, new: &Config, live: &Live) {
        for change in self.blacklist.renew(&new.blacklist) {
            for shard in (0..self.mailbox.shards()).map(Member) {
                self.mailbox.send(shard, Mail::Blacklist(Box::new(change.clone()))).await;
            }
        }
        self.auth.set(new.auth.clone());
        self.pages.set(pages::rules(&new.browser));
        self.intelligence.renew(&live.alerts);
        self.features.renew(old, new, &live.alerts);
        // The keeper ends with the process.
        let _ = self.keys.send(NewKeys { auth: new.auth.clone(), refresh: live.public_key_refresh });
    }
}

/// Reads the configuration again with each signal.
pub(super) async fn on_hangup(mut hangup: Signal, reloader: Arc<Reloader>, manager: Manager) {
    while hangup.recv().await.is_some() {
        manager.reloading();
        // It says itself what has become of it.
        let _ = reloader.reload("SIGHUP").await;
        manager.ready();
    }
}

/// Files and name servers may take their time.
async fn blocking<T: Send + 'static, E: ToString + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, String> {
    match task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn log(whose: &str, changes: &Changes) {
    let Changes { changed, needs_restart, .. } = changes;
    for Changed { key, values } in changed {
        match values {
            Some([from, to]) => info!("{whose}: {key} was {from} and is {to}"),
            None => info!("{whose}: {key} has changed"),
        }
    }
    for Waiting { key, why } in needs_restart {
        warn!("{whose}: {key} needs a restart, as {why}");
    }
    let (changed, waiting) = (changed.len(), needs_restart.len());
    info!(changed, needs_restart = waiting, "{whose}: configuration, rules and certificates are read again");
}

/// What has changed, what waits, and what has not, as JSON.
fn report(changes: &Changes) -> Value {
    let changed = changes.changed.iter().map(|Changed { key, values }| match values {
        Some([from, to]) => json!({ "key": key, "from": from, "to": to }),
        None => json!({ "key": key }),
    });
    let waiting = changes.needs_restart.iter().map(|Waiting { key, why }| json!({ "key": key, "why": why }));
    json!({
        "changed": changed.collect::<Vec<_>>(),
        "needs_restart": waiting.collect::<Vec<_>>(),
        "unchanged": changes.unchanged,
    })
}

/// All endpoints.
pub(super) fn router() -> Router<Arc<Admin>> {
    let others = async || refuse(&Error::MethodNotAllowed { allow: "GET, POST" });
    Router::new().route("/mcp/admin/reload", get(last).post(reload).fallback(others))
}

/// What came of the last reload; null: there was none.
async fn last(State(admin): State<Arc<Admin>>) -> Response {
    Json(&admin.reloader().held.lock().await.last).into_response()
}

async fn reload(State(admin): State<Arc<Admin>>) -> Response {
    match admin.reloader().reload("reload").await {
        Ok(report) => Json(report).into_response(),
        Err(message) => {
            let body = json!({ "error": "invalid_message", "reason": "malformed", "message": message, "retry_after": null });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}
