//! What the control thread knows: the bus, webhooks, rules, alerts, what features cost.

use super::Snapshot;
use super::page::Page;
use crate::control::api::Admin;
use crate::control::intelligence::shares;

pub(super) async fn write(page: &mut Page, snapshot: &Snapshot, admin: &Admin) {
    page.info("weir_build_info", "The version that runs.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.gauge("weir_draining", "1 from the moment on that the gateway is to stop.")
        .sample(&[], u8::from(admin.is_draining()));
    let (budget, alerts) = admin.intelligence().brief();
    page.gauge("weir_memory_budget_bytes", "Memory that the process may use.").sample(&[], budget);
    page.gauge("weir_alerts_active", "Alerts, forecasts and anomalies that were raised and are not over.")
        .sample(&[], alerts);
    spans(page, snapshot, admin);
    bus(page, admin);
    webhooks(page, admin);
    rules(page, snapshot, admin).await;
    page.gauge("weir_feature_enabled", "Whether a feature that can be switched is on.")
        .each("feature", admin.features().states());
    let help = "The part of the timed turns that a feature takes, as /mcp/stats/features explains.";
    page.gauge("weir_feature_cost_ratio", help).each("feature", shares(&snapshot.costs));
    page.counter("weir_timed_turns_total", "Turns whose features were timed.")
        .sample(&[], snapshot.costs.turns);
}

fn spans(page: &mut Page, snapshot: &Snapshot, admin: &Admin) {
    let spans = admin.telemetry().figures();
    page.counter("weir_spans_total", "Spans that were recorded, by what became of them.").each(
        "outcome",
        [("exported", spans.exported), ("dropped", spans.dropped), ("failed", spans.failed)],
    );
    page.gauge("weir_spans_waiting", "Spans that the collector has not taken yet.")
        .sample(&[], spans.waiting);
    page.counter(
        "weir_traces_left_out_total",
        "Messages that no span is recorded of only because too many are sampled (tracing.max_per_second).",
    )
    .sample(&[], snapshot.total.traces_left_out);
}

fn bus(page: &mut Page, admin: &Admin) {
    let flow = admin.bus().flow();
    let mut family =
        page.counter("weir_bus_events_total", "Events and signals on the bus, by topic and name.");
    for ((system, event), count) in &flow.published {
        family.sample(&[("system", system), ("event", event)], count);
    }
    page.gauge("weir_bus_subscribers", "Those who read the bus: a stream of an operator is one, and so are all clients that watch it together.")
        .sample(&[], admin.bus().subscribers());
    page.counter("weir_bus_missed_total", "Events that subscribers lost, as they did not keep up.")
        .sample(&[], flow.missed);
    page.counter("weir_bus_dropped_total", "Events that shards left out, as there were too many.")
        .sample(&[], flow.dropped);
}

fn webhooks(page: &mut Page, admin: &Admin) {
    let desks: Vec<_> = admin.desks().iter().map(|desk| (desk.name(), desk.counts())).collect();
    let mut family =
        page.counter("weir_webhook_events_total", "Events for webhooks, by what became of them.");
    for (name, counts) in &desks {
        for (outcome, count) in
            [("delivered", counts.delivered), ("lost", counts.lost), ("dropped", counts.dropped)]
        {
            family.sample(&[("webhook", name), ("outcome", outcome)], count);
        }
    }
    page.counter("weir_webhook_retries_total", "Requests to webhooks that were sent again.")
        .each("webhook", desks.iter().map(|(name, counts)| (*name, counts.retried)));
    page.gauge("weir_webhook_waiting", "Events that were not sent to their webhook yet.")
        .each("webhook", desks.iter().map(|(name, counts)| (*name, counts.waiting)));
}

async fn rules(page: &mut Page, snapshot: &Snapshot, admin: &Admin) {
    let names = admin.rules().names().await;
    let help = "What each rule has decided since the rules were read; there may be many rules, so those that have are shown.";
    let mut family = page.counter("weir_rule_decisions_total", help);
    for (name, counts) in names.iter().zip(&snapshot.rules) {
        let decided =
            [("allowed", counts.allowed), ("refused", counts.refused), ("reported", counts.reported)];
        for (decision, count) in decided.into_iter().filter(|(_, count)| *count > 0) {
            family.sample(&[("rule", name), ("decision", decision)], count);
        }
    }
}
