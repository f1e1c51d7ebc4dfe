//! A backend: posts messages to clients and topics over keep-alive HTTP, several requests at once, on
//! whatever shard accepted it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::{Phase, body, pace};
use crate::fault::Fault;
use crate::history::{Fact, Stream, Uid};
use crate::net::{self, Taken};
use crate::options::Cast;
use crate::place::Lane;
use crate::rng::Rng;
use crate::stage::Stage;
use crate::wire::http;
use crate::wire::phoenix::Receipt;

/// A backend.
#[derive(Debug)]
pub struct Publisher {
    /// Place among the agents.
    pub id: usize,
    rng: Rng,
    link: Option<Link>,
    /// Requests with an idempotency key that have no answer.
    keyed: BTreeMap<Uid, String>,
    /// Those of them that are to be sent again.
    again: VecDeque<Uid>,
}

#[derive(Debug)]
struct Link {
    conn: usize,
    reader: http::Reader,
    head: Option<http::Head>,
    /// Publishes without an answer, in the order of their requests.
    asked: VecDeque<Uid>,
}

impl Publisher {
    /// A backend that is not connected.
    pub fn new(id: usize, rng: Rng) -> Publisher {
        Publisher { id, rng, link: None, keyed: BTreeMap::new(), again: VecDeque::new() }
    }

    /// What it waits for.
    pub fn waits_for(&self) -> Option<String> {
        let link = self.link.as_ref()?;
        link.asked.front().map(|uid| format!("publisher on conn {} waits for the answer to {uid}", link.conn))
    }

    /// Closes.
    pub fn leave(&mut self, stage: &mut Stage) {
        if let Some(conn) = self.lose() {
            net::close(stage, conn);
        }
    }

    /// Forgets its connection. Whether what was not answered was done is not known; with a key it can be asked
    /// for again.
    fn lose(&mut self) -> Option<usize> {
        let link = self.link.take()?;
        self.again.extend(link.asked.iter().filter(|uid| self.keyed.contains_key(uid)));
        Some(link.conn)
    }

    /// Publishes some; the time of the next.
    pub fn act(&mut self, stage: &mut Stage, phase: Phase) -> Option<u64> {
        if phase != Phase::Storm {
            return None;
        }
        if self.link.is_none() {
            let conn = net::connect(stage, self.id);
            let reader = http::Reader::default();
            self.link = Some(Link { conn, reader, head: None, asked: VecDeque::new() });
        }
        let room = stage.options.cast.pipeline - self.link.as_ref().map_or(0, |link| link.asked.len());
        for _ in 0..self.rng.below(room as u64 + 1) {
            match self.again.pop_front() {
                Some(uid) => self.repeat(stage, uid),
                None => self.publish(stage),
            }
        }
        let cast = &stage.options.cast;
        if self.rng.chance(cast.reset / 2)
            && let Some(conn) = self.lose()
        {
            net::reset(stage, conn);
        } else if self.rng.chance(cast.close / 4) {
            self.leave(stage);
        }
        pace(stage)
    }

    fn publish(&mut self, stage: &mut Stage) {
        let cast = stage.options.cast.clone();
        let stream = if self.rng.chance(cast.favourite) {
            Stream::Own(0)
        } else if self.rng.chance(400) {
            Stream::Topic(self.rng.index(cast.topics))
        } else {
            Stream::Own(self.rng.index(cast.receivers))
        };
        let (lane, ttl_ms) = self.urgency(&cast, stream);
        let uid = body::attempt(&mut stage.history, &mut self.rng, cast.padding, (stream, lane, ttl_ms));
        let (path, mut more) = match stream {
            Stream::Own(client) => {
                let transport = self.rng.pick(&["", "", "", r#","transport":"all""#]);
                (format!("clients/{}", body::escaped(&body::client_name(client))), transport.to_owned())
            }
            Stream::Topic(topic) => {
                (format!("topics/{}", body::escaped(&body::topic_name(topic))), String::new())
            }
        };
        if lane != Lane::Normal {
            more.push_str(&format!(r#","priority":"{}""#, lane.name()));
        }
        let keyed = self.rng.chance(cast.keyed);
        if keyed {
            more.push_str(&format!(r#","idempotency_key":"key {uid}""#));
        }
        if ttl_ms > 0 {
            more.push_str(&format!(r#","ttl_ms":{ttl_ms}"#));
        }
        let it = &stage.history.bodies[uid];
        let data = String::from_utf8_lossy(&it.data);
        let content =
            format!(r#"{{"type":{},"data":{data}{more}}}"#, serde_json::Value::from(it.kind.as_str()));
        let request = format!(
            "POST /mcp/{path}/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{content}",
            content.len()
        );
        let Some(link) = &mut self.link else { return };
        link.asked.push_back(uid);
        net::send(stage, link.conn, request.as_bytes());
        if keyed {
            self.keyed.insert(uid, request);
            stage.history.bodies[uid].keyed = true;
        }
    }

    /// Says the same again.
    fn repeat(&mut self, stage: &mut Stage, uid: Uid) {
        let (Some(link), Some(request)) = (&mut self.link, self.keyed.get(&uid)) else { return };
        stage.faults.count(Fault::Repeat);
        link.asked.push_back(uid);
        net::send(stage, link.conn, request.as_bytes());
    }

    /// The lane and the time to live of a message; only a client's own stream has such things.
    fn urgency(&mut self, cast: &Cast, stream: Stream) -> (Lane, u64) {
        if matches!(stream, Stream::Topic(_)) {
            return (Lane::Normal, 0);
        }
        let lane = if self.rng.chance(cast.lanes) { self.rng.pick(&Lane::ALL) } else { Lane::Normal };
        let ttl = if self.rng.chance(cast.ttl) { self.rng.pick(&[1, 30, 300, 3_000, 60_000]) } else { 0 };
        (lane, ttl)
    }

    /// Answers came.
    pub fn input(&mut self, stage: &mut Stage, conn: usize, taken: &Taken) {
        let Some(link) = self.link.as_mut().filter(|link| link.conn == conn) else { return };
        link.reader.push(&taken.bytes);
        loop {
            match link.answer(stage, &mut self.keyed) {
                Ok(true) => {}
                Ok(false) => break,
                Err(wrong) => {
                    stage.history.violation(0, format!("conn {conn}: {wrong}"));
                    return self.leave(stage);
                }
            }
        }
        if taken.ended {
            self.leave(stage);
        }
    }
}

/// The reason that an error body has.
pub(super) fn reason_in(content: &[u8]) -> Rc<str> {
    let body: serde_json::Value = serde_json::from_slice(content).unwrap_or_default();
    body["reason"].as_str().unwrap_or_default().into()
}

impl Link {
    /// Takes one answer; `false` when none is whole.
    fn answer(&mut self, stage: &mut Stage, keyed: &mut BTreeMap<Uid, String>) -> Result<bool, String> {
        if self.head.is_none() {
            self.head = self.reader.head()?;
        }
        let Some(head) = &self.head else { return Ok(false) };
        let Some(content) = self.reader.body()? else { return Ok(false) };
        let status = head.status;
        self.head = None;
        stage.history.note(|| format!("conn {} < {status} {}", self.conn, String::from_utf8_lossy(&content)));
        let Some(uid) = self.asked.pop_front() else {
            // Late with the first request, or one connection too many or too soon: told without having asked.
            return if matches!(status, 408 | 429 | 503) {
                Ok(true)
            } else {
                Err(format!("{status} without a request"))
            };
        };
        keyed.remove(&uid);
        let fact = if status == 202 {
            let receipt: Receipt =
                serde_json::from_slice(&content).map_err(|e| format!("202 with {content:?}: {e}"))?;
            Fact::Accepted { uid, position: receipt.position(&mut stage.history)? }
        } else {
            let reason = reason_in(&content);
            if &*reason == "load_shed" {
                stage.faults.count(Fault::Shed);
            }
            Fact::Refused { uid, status, reason }
        };
        for fact in stage.saboteur.pass(fact) {
            stage.history.add(fact);
        }
        Ok(true)
    }
}
