//! Phoenix Channels V2 as phoenix.js speaks it: `[join_ref, ref, topic, event, payload]`.

use serde_json::Value;

use crate::{error::Error, frame::Opcode, net::Target, ws::Socket};

/// The join's reference, and so its reply's.
const JOIN_REF: &str = "1";

/// Opens a socket as `client_id` under the target's path and joins `topic`.
///
/// # Errors
/// [`Error::Check`] when the join is refused.
pub(crate) async fn join(target: &Target, user: u32, client_id: &str, topic: &str) -> Result<Socket, Error> {
    let path = format!("{}/websocket?client_id={client_id}&vsn=2.0.0", target.path);
    let mut socket = Socket::open(target, user, &path, None).await?;
    let join = format!(r#"["{JOIN_REF}","{JOIN_REF}","{topic}","phx_join",{{}}]"#);
    socket.outbox.queue(Opcode::Text, join.as_bytes());
    socket.fill().await?;
    loop {
        let text = socket.text().await?;
        let frame = parse(&text)?;
        if frame[1] != JOIN_REF {
            continue;
        }
        return match frame[4]["status"].as_str() {
            Some("ok") => Ok(socket),
            _ => Err(Error::Check(format!("the join of {topic} was answered {text}"))),
        };
    }
}

/// The five parts of a V2 frame. A sixth, which phoenix.js does not read either, is left out.
pub(crate) fn parse(text: &str) -> Result<[Value; 5], Error> {
    let parts: Option<Vec<Value>> = serde_json::from_str(text).ok();
    let parts = parts.and_then(|mut parts| {
        parts.truncate(5);
        <[Value; 5]>::try_from(parts).ok()
    });
    parts.ok_or_else(|| Error::Protocol(format!("not a Phoenix V2 frame: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_has_five_parts_or_more() {
        assert_eq!(parse(r#"[null,"1","t","phx_reply",{"status":"ok"}]"#).unwrap()[4]["status"], "ok");
        assert_eq!(parse(r#"[null,null,"t","e",{"n":1},{"sequence":1}]"#).unwrap()[4]["n"], 1);
        assert!(parse(r#"[null,"1","t","phx_reply"]"#).is_err());
        assert!(parse("{}").is_err());
    }
}
