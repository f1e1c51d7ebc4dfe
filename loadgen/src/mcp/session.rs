//! The handshake of the revisions that have sessions (2025-11-25, basic, lifecycle).

use crate::{error::Error, http, net::Target};

use super::{Era, Exchange, request};

const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Initializes; the session's id, when the server gives one.
///
/// # Errors
/// [`Error::Status`] when the server refuses, [`Error::Check`] when its answer is no result.
pub(super) async fn open(exchange: &mut Exchange, target: &Target) -> Result<Option<String>, Error> {
    let version = Era::Legacy.version();
    let initialize = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"weir-loadgen","version":"{}"}}}}}}"#,
        env!("CARGO_PKG_VERSION")
    );
    queue(exchange, target, "", &initialize);
    let (head, body, _) = exchange.run().await?;
    http::expect_status("initialize", 200, &head, &body)?;
    if memchr::memmem::find(&body, br#""protocolVersion""#).is_none() {
        return Err(Error::Check(format!("initialize was answered {}", String::from_utf8_lossy(&body))));
    }
    let session = head.header("mcp-session-id").map(str::to_owned);
    let mut headers = format!("MCP-Protocol-Version: {version}\r\n");
    if let Some(id) = &session {
        headers.push_str(&format!("Mcp-Session-Id: {id}\r\n"));
    }
    queue(exchange, target, &headers, INITIALIZED);
    let (head, body, _) = exchange.run().await?;
    http::expect_status("notifications/initialized", 202, &head, &body)?;
    Ok(session)
}

fn queue(exchange: &mut Exchange, target: &Target, headers: &str, body: &str) {
    let out = exchange.outbox.queue();
    out.extend_from_slice(request::head(target, headers, body.len()).as_bytes());
    out.extend_from_slice(body.as_bytes());
}
