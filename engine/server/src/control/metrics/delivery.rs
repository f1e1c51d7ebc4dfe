//! Messages, bytes and times; what was refused, and what was not delivered.

use weir_shard::metrics::{Delivery, LogStats, Stats, Tls};

use super::Snapshot;
use super::page::Page;
use super::shards::transports;

pub(super) fn write(page: &mut Page, Snapshot { total, .. }: &Snapshot) {
    traffic(page, total);
    times(page, total);
    refusals(page, total);
    losses(page, total);
    acknowledgements(page, &total.delivery);
    log(page, total);
    security(page, total);
}

fn traffic(page: &mut Page, total: &Stats) {
    page.counter("weir_messages_received_total", "Messages of clients and backends, by what they are.")
        .each("type", total.messages.all_received());
    page.counter("weir_messages_sent_total", "Messages to clients, by what they are.")
        .each("type", total.messages.all_sent());
    page.counter("weir_transport_messages_received_total", "Messages received over each transport.")
        .each("transport", transports(total).map(|(name, of)| (name, of.messages_in)));
    page.counter("weir_transport_messages_sent_total", "Messages sent over each transport.")
        .each("transport", transports(total).map(|(name, of)| (name, of.messages_out)));
    page.counter("weir_bytes_received_total", "Bytes received, TLS included, by what carries them.")
        .each("transport", total.bytes.all_received());
    page.counter("weir_bytes_sent_total", "Bytes handed to the kernel, TLS included, by what carries them.")
        .each("transport", total.bytes.all_sent());
    page.counter(
        "weir_http_requests_total",
        "HTTP requests answered, upgrades and streams of clients not counted.",
    )
    .sample(&[], total.http_requests);
    page.counter("weir_messages_appended_total", "Messages that got a place in a stream.")
        .sample(&[], total.appended);
    page.counter("weir_operations_total", "Messages that came to be dealt with, of any kind.")
        .sample(&[], total.operations);
    page.counter(
        "weir_publish_duplicates_total",
        "Publishes and pushes not done again, as their idempotency key was known.",
    )
    .sample(&[], total.duplicates);
    page.gauge("weir_idempotency_keys", "Idempotency keys that are remembered.")
        .sample(&[], total.idempotency_keys);
    page.gauge("weir_presences", "Joins that are shown on topics.").sample(&[], total.present);
}

fn times(page: &mut Page, total: &Stats) {
    let help = "How long messages take from their place in a stream to the kernel; replays are left out.";
    let mut family = page.histogram("weir_delivery_seconds", help);
    for (name, transport) in transports(total) {
        family.times(&[("transport", name)], &transport.delivery);
    }
}

fn refusals(page: &mut Page, total: &Stats) {
    let mut family = page.counter(
        "weir_refusals_total",
        "Errors that somebody was told, by their names in the table of errors.",
    );
    for (error, reason, count) in total.refused.all() {
        family.sample(&[("error", error), ("reason", reason)], count);
    }
    let causes = [
        ("limit", total.limited),
        ("identity", total.denied),
        ("rule", total.forbidden),
        ("blacklist_or_suspicion", total.kept_out),
        ("address", total.turned_away),
    ];
    let help = "Requests, messages and connections that a policy refused, those that got no answer included.";
    page.counter("weir_denials_total", help).each("policy", causes);
    page.counter("weir_newcomers_refused_total", "Connections refused for want of room.")
        .sample(&[], total.control.newcomers_refused);
    let shed = [
        ("high", total.control.shed_high),
        ("normal", total.control.shed_normal),
        ("low", total.control.shed_low),
    ];
    page.counter(
        "weir_publishes_shed_total",
        "Publishes refused for load, by priority; urgent ones never are.",
    )
    .each("priority", shed);
}

fn losses(page: &mut Page, total: &Stats) {
    let gaps = || total.missed.all();
    page.counter("weir_gaps_total", "Gaps that clients were told, by reason.")
        .each("reason", gaps().map(|(reason, told, _)| (reason, told)));
    let help = "Messages that a gap told a client it will not get, by reason; acknowledged: it had them.";
    page.counter("weir_messages_dropped_total", help)
        .each("reason", gaps().map(|(reason, _, messages)| (reason, messages)));
    let lost = transports(total).map(|(name, of)| (name, of.errors));
    page.counter(
        "weir_connections_lost_total",
        "Connections that ended for an error of the peer or the network.",
    )
    .each("transport", lost);
    page.counter(
        "weir_connections_overflowed_total",
        "Connections closed because their peer could not keep up.",
    )
    .sample(&[], total.overflowed);
    page.counter(
        "weir_connections_fenced_total",
        "Connections ended because their client resumed on another.",
    )
    .sample(&[], total.fenced);
    page.counter("weir_squeezed_bytes_total", "Bytes of messages dropped to stay within the memory budget.")
        .sample(&[], total.squeezed_bytes);
}

fn acknowledgements(page: &mut Page, delivery: &Delivery) {
    let Delivery { pending, retried, dead, refused, redriven, letters, letter_bytes } = *delivery;
    page.gauge("weir_acknowledgements_pending", "Messages written and not acknowledged.")
        .sample(&[], pending);
    page.counter(
        "weir_redeliveries_total",
        "Messages written again because they were not acknowledged in time.",
    )
    .sample(&[], retried);
    page.gauge("weir_dead_letters_held", "Dead letters that are kept.").sample(&[], letters);
    page.gauge("weir_dead_letters_held_bytes", "Bytes of the dead letters that are kept.")
        .sample(&[], letter_bytes);
    page.counter("weir_dead_letters_total", "Messages that became dead letters.").sample(&[], dead);
    page.counter("weir_dead_letters_refused_total", "Times a message could not become one for want of room.")
        .sample(&[], refused);
    page.counter(
        "weir_dead_letters_redriven_total",
        "Dead letters sent again because somebody asked for it.",
    )
    .sample(&[], redriven);
}

fn log(page: &mut Page, total: &Stats) {
    let LogStats { bytes, batches, refused } = total.log;
    page.gauge("weir_log_bytes", "Bytes of the log on the disk.").sample(&[], bytes);
    page.counter("weir_log_appends_total", "Appends to the log.").sample(&[], batches);
    page.counter("weir_log_appends_refused_total", "Appends that the disk refused.").sample(&[], refused);
    page.histogram(
        "weir_log_append_seconds",
        "How long appends take until they are on the disk, to within a turn.",
    )
    .times(&[], &total.appends);
}

fn security(page: &mut Page, total: &Stats) {
    let Tls { handshakes, resumed, failed, plaintext } = total.tls;
    page.counter("weir_tls_handshakes_total", "TLS handshakes that came to an end.")
        .each("kind", [("full", handshakes.saturating_sub(resumed)), ("resumed", resumed)]);
    page.counter("weir_tls_failures_total", "TLS connections that failed.").sample(&[], failed);
    page.counter("weir_tls_plaintext_total", "Connections that spoke plain HTTP where TLS is spoken.")
        .sample(&[], plaintext);
    page.counter("weir_audit_records_total", "Records of the audit log.").sample(&[], total.audit.records);
    page.counter(
        "weir_audit_records_dropped_total",
        "Records left out, as there were too many or nobody took them.",
    )
    .sample(&[], total.audit.dropped);
}
