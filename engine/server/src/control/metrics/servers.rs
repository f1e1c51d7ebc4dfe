//! MCP: what clients ask, and the servers behind.

use weir_shard::metrics::{McpStats, PoolView, Stats};

use super::Snapshot;
use super::page::Page;

/// The states of a circuit breaker.
const STATES: [&str; 3] = ["closed", "half_open", "open"];

pub(super) fn write(page: &mut Page, snapshot: &Snapshot) {
    calls(page, &snapshot.total);
    servers(page, &snapshot.total, &snapshot.control.pools);
    pools(page, snapshot);
    breakers(page, snapshot);
}

fn calls(page: &mut Page, total: &Stats) {
    page.counter("weir_mcp_requests_total", "Requests of MCP clients, by method.")
        .each("method", total.methods.iter().copied());
    let McpStats { sessions, calls, legs, holds, leases, .. } = total.mcp;
    page.gauge("weir_mcp_sessions", "Sessions of MCP clients of revisions that have them.")
        .sample(&[], sessions);
    page.gauge("weir_mcp_calls", "Requests of MCP clients under way.").sample(&[], calls);
    page.gauge("weir_mcp_legs", "Their parts at servers behind.").sample(&[], legs);
    page.gauge("weir_mcp_holds", "Requests whose server waits for a client to come back.").sample(&[], holds);
    page.gauge("weir_mcp_leases", "Conversations that serve one stateless request.").sample(&[], leases);
}

fn servers(page: &mut Page, total: &Stats, pools: &[PoolView]) {
    let help = "How long requests to a server behind take until they are answered, to within a turn; streams are left out.";
    let mut family = page.histogram("weir_upstream_request_seconds", help);
    for pool in pools {
        family.times(&[("upstream", &pool.name)], &pool.answers);
    }
    page.counter("weir_upstream_requests_total", "Requests of clients to servers behind.")
        .sample(&[], total.upstream.asks);
    page.counter(
        "weir_upstream_failures_total",
        "Requests to a server behind that failed, to initialize included.",
    )
    .each("upstream", pools.iter().map(|pool| (&*pool.name, pool.failures)));
    page.counter(
        "weir_upstream_retries_total",
        "Requests sent again, to the same server or another like it.",
    )
    .sample(&[], total.upstream.retries);
    page.counter(
        "weir_upstream_garbage_total",
        "Messages of servers that cannot be read, or that nobody waits for.",
    )
    .sample(&[], total.upstream.garbage);
}

fn pools(page: &mut Page, snapshot: &Snapshot) {
    let pools = &snapshot.control.pools;
    let mut family =
        page.gauge("weir_pool_connections", "Connections to a server behind, or its children, by state.");
    for pool in pools {
        family.sample(&[("upstream", &pool.name), ("state", "in_use")], pool.in_use);
        family.sample(&[("upstream", &pool.name), ("state", "idle")], pool.available);
    }
    let of = |number: fn(&PoolView) -> u32| pools.iter().map(move |pool| (&*pool.name, number(pool)));
    page.gauge("weir_pool_size", "Connections that a pool keeps.").each("upstream", of(|pool| pool.size));
    page.gauge("weir_pool_overflow", "Connections open beyond the size of their pool.")
        .each("upstream", of(|pool| pool.overflow));
    page.gauge("weir_pool_waiting", "Requests that wait for a connection.")
        .each("upstream", of(|pool| pool.queue_length));
    let mut family = page
        .histogram("weir_pool_wait_seconds", "How long requests waited that had to wait for a connection.");
    for pool in pools {
        family.times(&[("upstream", &pool.name)], &pool.waits);
    }
    page.counter(
        "weir_pool_exhausted_total",
        "Times a pool began to refuse requests for want of connections.",
    )
    .sample(&[], snapshot.total.control.pool_exhausted);
}

fn breakers(page: &mut Page, snapshot: &Snapshot) {
    let help = "1 in the state that the circuit breaker is in; the strictest of all shards counts.";
    let mut family = page.gauge("weir_breaker_state", help);
    for breaker in &snapshot.control.breakers {
        for state in STATES {
            let labels = [("breaker", &*breaker.name), ("state", state)];
            family.sample(&labels, u8::from(breaker.state == state));
        }
    }
    let Stats { upstream, control, .. } = &snapshot.total;
    page.counter("weir_breaker_opened_total", "Times a circuit breaker opened.")
        .each("of", [("upstream", upstream.breaker_opened), ("transport", control.breaker_opened)]);
    page.counter(
        "weir_breaker_refused_total",
        "Connections and publishes refused by the breaker of a transport or of the router.",
    )
    .sample(&[], control.breaker_refused);
}
