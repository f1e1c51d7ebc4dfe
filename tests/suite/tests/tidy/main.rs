//! Rules about the whole repository that the compiler does not hold: layers, sizes, banned names,
//! manifests and documents. Each finding says where, what, and what to do instead.

mod banned;
mod documents;
mod layers;
mod manifests;
mod sizes;
mod unsafety;

/// Fails with everything that was found.
#[track_caller]
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "{} findings:\n{}\n", findings.len(), findings.join("\n"));
}
