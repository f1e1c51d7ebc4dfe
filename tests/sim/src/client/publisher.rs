//! A backend: posts messages to clients and topics over keep-alive HTTP, several requests at once, on
//! whatever shard accepted it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::{Phase, body, pace};
use crate::access;
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
    /// Requests without an answer, in order.
    asked: VecDeque<Asked>,
}

/// The publishes of a request.
#[derive(Debug)]
enum Asked {
    One(Uid),
    Batch(Vec<Uid>),
}

impl Asked {
    fn uids(&self) -> &[Uid] {
        match self {
            Asked::One(uid) => std::slice::from_ref(uid),
            Asked::Batch(uids) => uids,
        }
    }
}

/// A publish, as one request and as a line of a batch say it.
struct Content {
    uid: Uid,
    stream: Stream,
    /// Its fields, without the receiver's.
    fields: String,
    keyed: bool,
}

/// Most lines of a batch.
const LINES_MAX: u64 = 12;

impl Publisher {
    /// A backend that is not connected.
    pub fn new(id: usize, rng: Rng) -> Publisher {
        Publisher { id, rng, link: None, keyed: BTreeMap::new(), again: VecDeque::new() }
    }

    /// What it waits for.
    pub fn waits_for(&self) -> Option<String> {
        let link = self.link.as_ref()?;
        link.asked.front().map(|it| format!("publisher on conn {} waits for the answer to {it:?}", link.conn))
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
        let unanswered = link.asked.iter().flat_map(Asked::uids);
        self.again.extend(unanswered.filter(|uid| self.keyed.contains_key(uid)));
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
                None if self.foist(stage) => {}
                None if self.rng.chance(stage.options.cast.batches) => self.batch(stage),
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
        let content = self.content(stage);
        let request = self.single(stage, &content);
        let Some(link) = &mut self.link else { return };
        link.asked.push_back(Asked::One(content.uid));
        net::send(stage, link.conn, request.as_bytes());
    }

    /// Publishes what it may not, if it is not honest now.
    fn foist(&mut self, stage: &mut Stage) -> bool {
        let Some(proof) = access::of_impostor(stage) else { return false };
        let content = self.content(stage);
        let request = post(&content.path(), &content.body(), &proof);
        stage.history.bodies[content.uid].foisted = true;
        let Some(link) = &mut self.link else { return true };
        link.asked.push_back(Asked::One(content.uid));
        net::send(stage, link.conn, request.as_bytes());
        true
    }

    /// Several in one request.
    fn batch(&mut self, stage: &mut Stage) {
        let (mut uids, mut lines) = (Vec::new(), String::new());
        for _ in 0..self.rng.between(1, LINES_MAX) {
            let content = self.content(stage);
            // What is not answered is said again by itself.
            self.single(stage, &content);
            uids.push(content.uid);
            lines.push_str(&content.line());
        }
        let Some(link) = &mut self.link else { return };
        link.asked.push_back(Asked::Batch(uids));
        let request = post("batch", &lines, &access::of_backend(stage));
        net::send(stage, link.conn, request.as_bytes());
    }

    /// The request that a publish is by itself, which is kept if it may be said again.
    fn single(&mut self, stage: &mut Stage, content: &Content) -> String {
        let request = post(&content.path(), &content.body(), &access::of_backend(stage));
        if content.keyed {
            self.keyed.insert(content.uid, request.clone());
            stage.history.bodies[content.uid].keyed = true;
        }
        request
    }

    fn content(&mut self, stage: &mut Stage) -> Content {
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
        let mut more = match stream {
            Stream::Own(_) => self.rng.pick(&["", "", "", r#","transport":"all""#]).to_owned(),
            Stream::Topic(_) => String::new(),
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
        let (kind, data) = (serde_json::Value::from(it.kind.as_str()), String::from_utf8_lossy(&it.data));
        Content { uid, stream, fields: format!(r#""type":{kind},"data":{data}{more}"#), keyed }
    }

    /// Says the same again.
    fn repeat(&mut self, stage: &mut Stage, uid: Uid) {
        let (Some(link), Some(request)) = (&mut self.link, self.keyed.get(&uid)) else { return };
        stage.faults.count(Fault::Repeat);
        link.asked.push_back(Asked::One(uid));
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

impl Content {
    /// Where it is posted by itself.
    fn path(&self) -> String {
        match self.stream {
            Stream::Own(client) => format!("clients/{}/messages", body::escaped(&body::client_name(client))),
            Stream::Topic(topic) => format!("topics/{}/messages", body::escaped(&body::topic_name(topic))),
        }
    }

    /// What is posted then.
    fn body(&self) -> String {
        format!("{{{}}}", self.fields)
    }

    /// As a line of a batch.
    fn line(&self) -> String {
        let (field, name) = match self.stream {
            Stream::Own(client) => ("client", body::client_name(client)),
            Stream::Topic(topic) => ("topic", body::topic_name(topic)),
        };
        let name = serde_json::Value::from(&*name);
        format!("{{\"{field}\":{name},{}}}\n", self.fields)
    }
}

fn post(path: &str, content: &str, proof: &str) -> String {
    let length = content.len();
    format!(
        "POST /mcp/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{proof}\
         Content-Length: {length}\r\n\r\n{content}"
    )
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
        let Some(asked) = self.asked.pop_front() else {
            // Late with the first request, or one connection too many or too soon: told without having asked.
            return if matches!(status, 408 | 429 | 503) {
                Ok(true)
            } else {
                Err(format!("{status} without a request"))
            };
        };
        let each = match &asked {
            Asked::Batch(uids) if status == 200 => {
                let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
                if lines.len() != uids.len() {
                    return Err(format!("{} lines for a batch of {}", lines.len(), uids.len()));
                }
                lines
            }
            one => vec![&content[..]; one.uids().len()],
        };
        for (uid, content) in asked.uids().iter().zip(each) {
            keyed.remove(uid);
            result(stage, *uid, status, content)?;
        }
        Ok(true)
    }
}

/// What became of a publish.
fn result(stage: &mut Stage, uid: Uid, status: u16, content: &[u8]) -> Result<(), String> {
    let wrong = |e| format!("{status} with {:?}: {e}", String::from_utf8_lossy(content));
    let reason = reason_in(content);
    let fact = if status == 202 || status == 200 && reason.is_empty() {
        let receipt: Receipt = serde_json::from_slice(content).map_err(wrong)?;
        Fact::Accepted { uid, position: receipt.position(&mut stage.history)? }
    } else {
        if &*reason == "load_shed" {
            stage.faults.count(Fault::Shed);
        }
        Fact::Refused { uid, status, reason }
    };
    for fact in stage.saboteur.pass(fact) {
        stage.history.add(fact);
    }
    Ok(())
}
