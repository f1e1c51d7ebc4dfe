//! What is switched while the gateway runs, each with what it costs: `/mcp/admin/features`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::json;
use tracing::info;
use weir_shard::error::Error;
use weir_shard::limits::{Config, Switches};
use weir_shard::mail::{Answer, Mail, Question};
use weir_shard::metrics::Costs;

use super::api::{Admin, no_answer, refuse};
use super::intelligence::Item;
use crate::config::Alerts;

/// What can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    Events,
    Compression,
    Timing,
    Intelligence,
    Alerts,
    LogConnections,
    LogMessages,
    TraceRouting,
}

/// What is on. Clones share it; the lock is only ever taken on the control thread.
#[derive(Clone)]
pub(super) struct Features(Arc<Mutex<On>>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct On {
    shard: Switches,
    intelligence: bool,
    alerts: bool,
    /// What the configuration leaves nothing to switch of.
    absent: [Option<Feature>; 2],
}

/// A feature as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'static str,
    on: bool,
    /// False: the configuration leaves nothing to switch.
    available: bool,
    what: &'static str,
    /// What is known of it; null: nothing is.
    cost: Option<&'a Item>,
    /// Where it is counted, or why it is not.
    counted: &'static str,
}

impl Feature {
    const ALL: [Feature; 8] = [
        Feature::Events,
        Feature::Compression,
        Feature::Timing,
        Feature::Intelligence,
        Feature::Alerts,
        Feature::LogConnections,
        Feature::LogMessages,
        Feature::TraceRouting,
    ];

    const fn name(self) -> &'static str {
        match self {
            Feature::Events => "events",
            Feature::Compression => "compression",
            Feature::Timing => "timing",
            Feature::Intelligence => "intelligence",
            Feature::Alerts => "alerts",
            Feature::LogConnections => "debug.log_connections",
            Feature::LogMessages => "debug.log_messages",
            Feature::TraceRouting => "debug.trace_routing",
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Feature::Events => "the bus is told what happens; what hurts is told in any case",
            Feature::Compression => "messages are deflated on WebSockets that agreed to it",
            Feature::Timing => {
                "features are timed in one turn of intelligence.timed_turns, which is where costs come from"
            }
            Feature::Intelligence => "figures are taken each second: trends, forecasts, rates of transports",
            Feature::Alerts => "what is found in them is told",
            Feature::LogConnections => "the log has each connection of a client, opened and closed",
            Feature::LogMessages => {
                "the log has what each client's messages go through, at most 1000 lines a second"
            }
            Feature::TraceRouting => "the log has where messages are passed on to, and changes of transports",
        }
    }

    /// By what name its cost is measured, and what there is to know about that.
    const fn cost(self) -> (Option<&'static str>, &'static str) {
        match self {
            Feature::Events => (Some("events"), "in the shards' turns"),
            Feature::Compression => (Some("compression"), "in the shards' turns"),
            Feature::Timing => (Some("timing"), "in the shards' turns"),
            Feature::Intelligence => (Some("intelligence"), "on the control thread"),
            Feature::Alerts => (Some("intelligence"), "on the control thread, with intelligence"),
            Feature::LogConnections => (Some("events"), "in the shards' turns, with events"),
            Feature::LogMessages | Feature::TraceRouting => {
                (Some("tracing"), "in the shards' turns, with all messages that are followed")
            }
        }
    }

    fn named(name: &str) -> Option<Feature> {
        Feature::ALL.into_iter().find(|feature| feature.name() == name)
    }
}

impl On {
    fn configured(config: &Config, alerts: &Alerts) -> On {
        let absent = [
            (!config.websocket.compression).then_some(Feature::Compression),
            (config.timed_turns == 0).then_some(Feature::Timing),
        ];
        let (intelligence, alerts) = (alerts.samples, alerts.enabled);
        On { shard: Switches::of(config), intelligence, alerts, absent }
    }

    fn get(&self, feature: Feature) -> bool {
        let mut copy = *self;
        *copy.place(feature)
    }

    fn place(&mut self, feature: Feature) -> &mut bool {
        match feature {
            Feature::Events => &mut self.shard.events,
            Feature::Compression => &mut self.shard.compression,
            Feature::Timing => &mut self.shard.timing,
            Feature::Intelligence => &mut self.intelligence,
            Feature::Alerts => &mut self.alerts,
            Feature::LogConnections => &mut self.shard.debug.connections,
            Feature::LogMessages => &mut self.shard.debug.messages,
            Feature::TraceRouting => &mut self.shard.debug.routing,
        }
    }

    fn has(&self, feature: Feature) -> bool {
        !self.absent.contains(&Some(feature))
    }

    /// As `order` says, a name and a state each.
    fn ordered(&self, order: &BTreeMap<Box<str>, bool>) -> Result<On, Error> {
        let mut to = *self;
        if order.is_empty() {
            return Err(Error::malformed(
                "the body is an object of names and states, such as {\"events\": false}",
            ));
        }
        for (name, state) in order {
            let Some(feature) = Feature::named(name) else {
                let names = Feature::ALL.map(Feature::name).join(", ");
                return Err(Error::malformed(format!("{name:?} is none of what can be switched: {names}")));
            };
            if *state && !self.has(feature) {
                let why = "is off in the configuration, which leaves nothing to switch on";
                return Err(Error::malformed(format!("{name} {why}; change it there and start again")));
            }
            *to.place(feature) = *state;
        }
        Ok(to)
    }
}

impl Features {
    /// As configured.
    pub(super) fn new(config: &Config, alerts: &Alerts) -> Features {
        Features(Arc::new(Mutex::new(On::configured(config, alerts))))
    }

    /// The configuration was read again. What an operator switched stays where it was not configured otherwise.
    pub(super) fn renew(&self, old: &Config, new: &Config, alerts: &Alerts) {
        let mut on = self.lock();
        let configured = On::configured(new, alerts);
        let switched = if Switches::of(old) == Switches::of(new) { on.shard } else { configured.shard };
        *on = On { shard: switched, ..configured };
    }

    /// What the shards were told.
    pub(super) fn switches(&self) -> Switches {
        self.lock().shard
    }

    /// Whether figures are taken, and whether what is found in them is told.
    pub(super) fn watches(&self) -> (bool, bool) {
        let on = self.lock();
        (on.intelligence, on.alerts)
    }

    /// Each feature's name and whether it is on.
    pub(super) fn states(&self) -> impl Iterator<Item = (&'static str, u8)> {
        let on = *self.lock();
        Feature::ALL.into_iter().map(move |feature| (feature.name(), u8::from(on.get(feature))))
    }

    fn lock(&self) -> MutexGuard<'_, On> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The endpoint.
pub(super) fn router() -> Router<Arc<Admin>> {
    let refused = async || refuse(&Error::MethodNotAllowed { allow: "GET, PUT" });
    Router::new().route("/mcp/admin/features", get(show).put(switch).fallback(refused))
}

async fn show(State(admin): State<Arc<Admin>>) -> Response {
    let mut costs = Costs::default();
    for shard in admin.shards() {
        match admin.ask(shard, Question::Costs).await {
            Ok(Answer::Costs(more)) => costs.add(&more),
            _ => return no_answer(shard),
        }
    }
    let on = *admin.features().lock();
    let items = admin.intelligence().costs(&costs);
    let shown = |feature: Feature| {
        let (cost, counted) = feature.cost();
        Shown {
            name: feature.name(),
            on: on.get(feature),
            available: on.has(feature),
            what: feature.what(),
            cost: cost.and_then(|name| items.iter().find(|item| item.feature == name)),
            counted,
        }
    };
    Json(json!({ "features": Feature::ALL.map(shown) })).into_response()
}

async fn switch(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let order = serde_json::from_slice(&body).map_err(|error| Error::malformed(error.to_string()));
    let before = *admin.features().lock();
    let to = match order.and_then(|order| before.ordered(&order)) {
        Ok(to) => to,
        Err(error) => return refuse(&error),
    };
    *admin.features().lock() = to;
    for feature in Feature::ALL.into_iter().filter(|feature| before.get(*feature) != to.get(*feature)) {
        info!("the feature {} is {} now", feature.name(), if to.get(feature) { "on" } else { "off" });
    }
    for shard in admin.shards() {
        admin.send(shard, Mail::Switch(to.shard)).await;
    }
    show(State(admin)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_name_features_and_say_what_is_wrong() {
        let config = Config { timed_turns: 0, ..Config::default() };
        let features = Features::new(&config, &Alerts::default());
        let on = *features.lock();
        let ordered = |text: &str| on.ordered(&serde_json::from_str(text).expect("an order"));
        let to = ordered(r#"{"events": false, "debug.log_messages": true}"#).expect("an order");
        assert!(!to.shard.events && to.shard.debug.messages && to.shard.compression);
        assert_eq!(ordered(r#"{"timing": false}"#), Ok(on), "it is off already");
        for (wrong, why) in [
            ("{}", "names and states"),
            (r#"{"limits": false}"#, "none of what"),
            (r#"{"timing": true}"#, "in the configuration"),
        ] {
            let error = ordered(wrong).expect_err(wrong);
            assert!(error.message().contains(why), "{error:?}");
        }
    }

    #[test]
    fn features_have_places_of_their_own() {
        let features = Features::new(&Config::default(), &Alerts::default());
        let on = *features.lock();
        for feature in Feature::ALL {
            assert_eq!(Feature::named(feature.name()), Some(feature));
            let mut other = on;
            *other.place(feature) = !on.get(feature);
            let changed = Feature::ALL.into_iter().filter(|it| other.get(*it) != on.get(*it));
            assert_eq!(changed.collect::<Vec<_>>(), [feature]);
        }
    }
}
