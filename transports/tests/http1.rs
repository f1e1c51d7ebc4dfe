//! HTTP/1.1: refusals by name, and properties that hold for any bytes and any cut of them.

#[path = "http1/bodies.rs"]
mod bodies;
#[path = "http1/cuts.rs"]
mod cuts;
#[path = "http1/forwarded.rs"]
mod forwarded;
#[path = "http1/heads.rs"]
mod heads;
#[path = "http1/refusals.rs"]
mod refusals;
#[path = "http1/requests.rs"]
mod requests;
#[path = "http1/response_cuts.rs"]
mod response_cuts;
#[path = "http1/response_heads.rs"]
mod response_heads;
#[path = "http1/responses.rs"]
mod responses;

use weir_transports::http1::Limits;

const LIMITS: Limits = Limits { head_bytes_max: 16 << 10, line_bytes_max: 8 << 10 };
