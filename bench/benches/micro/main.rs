//! What single parts cost, down to one turn of a shard. `cargo bench -p weir-bench` measures them;
//! `cargo test -p weir-bench --bench micro` runs each once.

mod http1;
mod injection;
mod json;
mod mesh;
mod policy;
mod scan;
mod turn;
mod websocket;

criterion::criterion_group!(
    benches,
    http1::benches,
    websocket::benches,
    json::benches,
    scan::benches,
    mesh::benches,
    policy::benches,
    injection::benches,
    turn::benches
);
criterion::criterion_main!(benches);
