//! What tells the cores apart: each has one shard, and the label `shard` names it. All else is the sum of all shards.

use weir_shard::metrics::{ControlView, Stats};

use super::Snapshot;
use super::page::Page;
use crate::control::intelligence::process::data_threads;

/// How strict admission is.
const ADMISSION: [&str; 3] = ["open", "soft", "hard"];

pub(super) fn write(page: &mut Page, snapshot: &Snapshot) {
    let mut family =
        page.gauge("weir_shard_up", "Whether the shard has answered; if not, it is stalled or ended.");
    for (number, up) in snapshot.up.iter().enumerate() {
        family.sample(&[("shard", &number.to_string())], u8::from(*up));
    }
    connections(page, snapshot);
    holdings(page, snapshot);
    turns(page, snapshot);
    load(page, snapshot);
    letters(page, snapshot);
    ring(page, snapshot);
}

fn connections(page: &mut Page, snapshot: &Snapshot) {
    let help = "Open connections by what they carry; longpoll: sessions, whose requests come over http.";
    let mut family = page.gauge("weir_connections", help);
    for shard in &snapshot.shards {
        for (transport, count) in open(&shard.stats) {
            family.sample(&[("transport", transport), ("shard", &shard.number)], count);
        }
    }
    let help = "Connections opened; one that moves to its home shard counts on both.";
    let mut family = page.counter("weir_connections_opened_total", help);
    for shard in &snapshot.shards {
        for (transport, of) in transports(&shard.stats) {
            family.sample(&[("transport", transport), ("shard", &shard.number)], of.opened);
        }
    }
    page.counter("weir_connections_accepted_total", "Connections accepted.")
        .each("shard", snapshot.each(|shard| shard.stats.accepted));
    page.counter("weir_connections_handed_over_total", "Connections handed over to another shard.")
        .each("shard", snapshot.each(|shard| shard.stats.handed_over));
    page.counter("weir_connections_emigrated_total", "Connections handed over to another process.")
        .each("shard", snapshot.each(|shard| shard.stats.emigrated));
    page.counter("weir_connections_taken_up_total", "Connections of another process that go on here.")
        .each("shard", snapshot.each(|shard| shard.stats.taken_up));
}

fn holdings(page: &mut Page, snapshot: &Snapshot) {
    page.gauge("weir_sessions", "Clients whose home the shard is, connected or not.")
        .each("shard", snapshot.each(|shard| shard.stats.sessions));
    page.gauge("weir_topics", "Topics whose home the shard is.")
        .each("shard", snapshot.each(|shard| shard.stats.topics));
    page.gauge("weir_outbox_bytes", "Bytes of messages that are kept for clients.")
        .each("shard", snapshot.each(|shard| shard.stats.outbox_bytes));
    page.gauge("weir_queued_bytes", "Bytes that wait for slow connections.")
        .each("shard", snapshot.each(|shard| shard.stats.queued_bytes));
    page.gauge("weir_queued_bytes_peak", "The most bytes that have waited for one connection so far.")
        .each("shard", snapshot.each(|shard| shard.stats.queue_bytes_peak));
}

fn turns(page: &mut Page, snapshot: &Snapshot) {
    let mut family = page.histogram(
        "weir_turn_seconds",
        "How long turns take, from the reading of the clock until their operations are handed over.",
    );
    for shard in &snapshot.shards {
        family.times(&[("shard", &shard.number)], &shard.stats.turn);
    }
    page.counter("weir_turns_spread_total", "Turns that left some of a topic's subscribers to the next.")
        .each("shard", snapshot.each(|shard| shard.stats.spread));
    let tick = rustix::param::clock_ticks_per_second() as f64;
    let mut family = page.counter(
        "weir_shard_cpu_seconds_total",
        "CPU time of the data thread, and the core where it is pinned.",
    );
    for (number, thread) in data_threads() {
        let (shard, core) = (number.to_string(), thread.core.to_string());
        family.sample(&[("shard", &shard), ("core", &core)], thread.ticks as f64 / tick);
    }
}

fn load(page: &mut Page, snapshot: &Snapshot) {
    let help = "How much there is to do; 1 is as much as there may be.";
    let mut family = page.gauge("weir_load_ratio", help);
    for shard in &snapshot.shards {
        let ControlView { load, .. } = &*shard.control;
        for (resource, value) in [
            ("connections", load.connections),
            ("turns", load.turns),
            ("queued", load.queued),
            ("outbox", load.outbox),
            ("calls", load.calls),
            ("memory", load.memory),
        ] {
            family.sample(&[("resource", resource), ("shard", &shard.number)], value);
        }
    }
    let level = |name: &str| ADMISSION.iter().position(|other| *other == name).unwrap_or_default();
    page.gauge("weir_admission_level", "Who may come in: 0 everybody, 1 some classes, 2 nobody.")
        .each("shard", snapshot.each(|shard| level(shard.control.admission)));
    page.gauge(
        "weir_shedding_level",
        "What is refused: 0 nothing, 1 publishes of priority low, 2 also normal ones, 3 also high ones.",
    )
    .each("shard", snapshot.each(|shard| shard.control.shedding));
}

fn letters(page: &mut Page, snapshot: &Snapshot) {
    page.counter("weir_letters_received_total", "Letters of other shards and of the control thread, read.")
        .each("shard", snapshot.each(|shard| shard.stats.letters_in));
    page.counter("weir_letters_sent_total", "Letters to other shards and to the control thread.")
        .each("shard", snapshot.each(|shard| shard.stats.letters_out));
    page.gauge("weir_letters_waiting", "Letters that a full queue did not take yet.")
        .each("shard", snapshot.each(|shard| shard.stats.letters_waiting));
}

fn ring(page: &mut Page, snapshot: &Snapshot) {
    page.counter("weir_ring_enters_total", "System calls of the driver that hand over requests or wait.")
        .each("shard", snapshot.each(|shard| shard.stats.driver.enters));
    page.counter("weir_ring_submissions_total", "Requests handed over to the kernel.")
        .each("shard", snapshot.each(|shard| shard.stats.driver.submitted));
    page.counter("weir_ring_completions_total", "Answers taken from the kernel.")
        .each("shard", snapshot.each(|shard| shard.stats.driver.completed));
    page.counter(
        "weir_ring_overflows_total",
        "Times there were more answers than the completion queue takes; none is lost.",
    )
    .each("shard", snapshot.each(|shard| shard.stats.driver.overflowed));
    page.counter("weir_ring_starved_total", "Times a socket found no receive buffer and had to wait.")
        .each("shard", snapshot.each(|shard| shard.stats.driver.starved));
    page.gauge("weir_ring_starving", "Sockets that wait for a receive buffer.")
        .each("shard", snapshot.each(|shard| shard.stats.driver.starving));
}

/// The transports of clients, by name.
pub(super) fn transports(stats: &Stats) -> [(&'static str, &weir_shard::metrics::Transport); 3] {
    [("websocket", &stats.websocket), ("http_sse", &stats.http_sse), ("longpoll", &stats.longpoll)]
}

/// Open connections by what they carry.
fn open(stats: &Stats) -> [(&'static str, u64); 5] {
    let Stats { websocket, http_sse, longpoll, mcp, connections, .. } = stats;
    let others = websocket.connections + http_sse.connections + mcp.connections;
    [
        ("websocket", websocket.connections),
        ("http_sse", http_sse.connections),
        ("longpoll", longpoll.connections),
        ("upstream", mcp.connections),
        ("http", connections.saturating_sub(others)),
    ]
}
