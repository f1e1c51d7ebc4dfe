//! One application SSE stream, as an EventSource keeps it.

use super::body::escaped;
use super::{Heard, Over};
use crate::access;
use crate::fault::Fault;
use crate::history::{Cursor, Fact, Pass, Stream};
use crate::net;
use crate::place::Place;
use crate::stage::Stage;
use crate::wire::phoenix::{Gap, Joined, envelopes};
use crate::wire::{http, sse};

/// A connection.
#[derive(Debug)]
pub struct Link {
    /// Its number in the network.
    pub conn: usize,
    /// `connected` has come.
    pub attached: bool,
    cursor: Option<Cursor>,
    /// The lineage of its token, and whether that was made up.
    takes: Option<(usize, bool)>,
    /// Its lineage, and the token that another may take its place with.
    pub token: Option<(usize, String)>,
    client: usize,
    name: String,
    head: http::Reader,
    events: Option<sse::Reader>,
}

impl Link {
    /// Connects and asks for the stream from `cursor` on.
    pub fn open(
        stage: &mut Stage,
        owner: usize,
        (client, name): (usize, &str),
        cursor: Option<Cursor>,
        pass: Option<Pass>,
    ) -> Link {
        let conn = net::connect(stage, owner);
        stage.history.add(Fact::Opened { conn, client, sse: true });
        let id = cursor.map(|Cursor { place, .. }| place.written(&stage.history));
        let (mut query, mut field) = (String::new(), String::new());
        if let Some(id) = id {
            if stage.rng.chance(300) {
                query = format!("&last_event_id={id}");
            } else {
                field = format!("Last-Event-ID: {id}\r\n");
            }
        }
        if let Some(Pass { text, .. }) = &pass {
            query.push_str(&format!("&recovery_token={}", escaped(text)));
        }
        field.push_str(&access::bring(stage, conn, name));
        let request = format!(
            "GET /mcp/sse?client_id={}{query} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{field}\r\n",
            escaped(name)
        );
        net::send(stage, conn, request.as_bytes());
        let head = http::Reader::default();
        let takes = pass.map(|pass| (pass.lineage, pass.forged));
        Link {
            conn,
            attached: false,
            cursor,
            takes,
            token: None,
            client,
            name: name.to_owned(),
            head,
            events: None,
        }
    }

    /// Reads `bytes`.
    pub fn read(&mut self, stage: &mut Stage, bytes: &[u8]) -> Heard {
        let mut facts = Vec::new();
        let outcome = self.read_all(stage, bytes, &mut facts);
        Heard::new(stage, self.conn, facts, outcome)
    }

    fn read_all(&mut self, stage: &mut Stage, bytes: &[u8], facts: &mut Vec<Fact>) -> Result<(), Over> {
        self.head.push(bytes);
        if self.events.is_none() {
            let Some(head) = self.head.head()? else { return Ok(()) };
            stage.history.note(|| format!("conn {} < {head:?}", self.conn));
            if head.status != 200 {
                return Err(None);
            }
            if head.field("content-type").is_none_or(|kind| !kind.starts_with("text/event-stream")) {
                return Err(Some(format!("event stream answered with {head:?}")));
            }
            self.events = Some(sse::Reader::default());
        }
        let rest = self.head.rest()?;
        let Some(events) = &mut self.events else { return Ok(()) };
        events.push(&rest);
        while let Some(event) = self.events.as_mut().map_or(Ok(None), sse::Reader::read)? {
            stage
                .history
                .note(|| format!("conn {} < {event:?} {}", self.conn, String::from_utf8_lossy(&event.data)));
            self.event(stage, &event, facts)?;
        }
        Ok(())
    }

    fn event(&mut self, stage: &mut Stage, event: &sse::Event, facts: &mut Vec<Fact>) -> Result<(), String> {
        let (conn, client, stream) = (self.conn, self.client, Stream::Own(self.client));
        let data = std::str::from_utf8(&event.data).map_err(|e| e.to_string())?;
        match event.name.as_str() {
            "connected" => {
                let joined: Joined =
                    serde_json::from_str(data).map_err(|e| format!("connected {data}: {e}"))?;
                if joined.client_id.as_ref() != Some(&self.name) {
                    return Err(format!("{} is told it is {:?}", self.name, joined.client_id));
                }
                let attachment = joined.attachment(&mut stage.history)?;
                self.attached = true;
                let cursor = self.cursor;
                facts.push(Fact::Attached { conn, client, stream, cursor, attachment });
                if let Some((_, true)) = self.takes {
                    stage.history.violation(7, format!("conn {conn}: a token that was made up is taken"));
                }
                let fresh = || stage.history.next_lineage();
                let lineage = self.takes.map_or_else(fresh, |(lineage, _)| lineage);
                facts.push(Fact::Lineage { conn, lineage, taken: self.takes.is_some() });
                self.token = joined.recovery_token.map(|token| (lineage, token));
            }
            "gap" => {
                let gap: Gap = serde_json::from_str(data).map_err(|e| format!("gap {data}: {e}"))?;
                let gap = gap.told(&mut stage.history)?;
                facts.push(Fact::Gap { conn, client, stream, gap });
            }
            "message" => {
                let messages = envelopes(data, &mut stage.history)?;
                // What is sent again for want of an acknowledgement moves no cursor.
                let place = match event.id.as_deref() {
                    None if messages.iter().all(|(_, delivery)| delivery.again) => None,
                    id => Some(Place::read(id.unwrap_or_default(), &mut stage.history)?),
                };
                let many = data.starts_with(r#"{"type":"bundle""#);
                for (position, delivery) in messages {
                    let sequence = position.sequence;
                    let stands = |place: Place| {
                        let at = place.at(position.lane);
                        place.epoch == position.epoch && (at == sequence || many && at > sequence)
                    };
                    if place.is_some_and(|place| !stands(place)) {
                        return Err(format!("event {:?} carries {position:?}", event.id));
                    }
                    facts.push(Fact::Delivered { conn, client, stream, position, delivery });
                }
            }
            // An EventSource has no way to bring another.
            "connection_status" if data.contains("token_expiring") => {}
            "connection_status" => facts.push(Fact::Paced { client }),
            "error" if data.contains("token_expired") => {
                stage.faults.count(Fault::Disproved);
                facts.push(Fact::Disproved { conn });
            }
            "transport_switched" => facts.push(Fact::Switched { conn, stream }),
            "shutdown_pending" => facts.push(Fact::Warned { conn }),
            "heartbeat" | "error" | "weir_error" => {}
            other => return Err(format!("event {other:?} that nobody published")),
        }
        Ok(())
    }
}
