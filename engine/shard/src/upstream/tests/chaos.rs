//! Whatever happens in whatever order: every request gets one answer, and nothing is left over.

use proptest::prelude::*;

use super::*;
use crate::downstream::{Drain, DrainOrder};
use crate::limits;
use crate::upstream::errand::Purpose;

/// What the script does next; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Open,
    Ask { backing: usize, idempotent: bool, long: bool },
    Tell(usize),
    Cancel(usize),
    CloseBacking(usize),
    Accept,
    Refuse,
    Answer { wire: usize, how: How },
    End(usize),
    Pass(u64),
}

/// How a server answers what it was asked.
#[derive(Clone, Copy, Debug)]
enum How {
    Well,
    Streaming,
    Half,
    Forgetful,
    Busy,
    Nonsense,
}

fn step() -> impl Strategy<Value = Step> {
    let one = 0_usize..100;
    let how = prop_oneof![
        6 => Just(How::Well),
        3 => Just(How::Streaming),
        1 => Just(How::Half),
        1 => Just(How::Forgetful),
        1 => Just(How::Busy),
        1 => Just(How::Nonsense),
    ];
    prop_oneof![
        2 => Just(Step::Open),
        6 => (one.clone(), any::<bool>(), 0..8)
            .prop_map(|(backing, idempotent, long)| Step::Ask { backing, idempotent, long: long == 0 }),
        1 => one.clone().prop_map(Step::Tell),
        1 => one.clone().prop_map(Step::Cancel),
        1 => one.clone().prop_map(Step::CloseBacking),
        8 => Just(Step::Accept),
        1 => Just(Step::Refuse),
        10 => (one.clone(), how).prop_map(|(wire, how)| Step::Answer { wire, how }),
        1 => one.prop_map(Step::End),
        1 => prop_oneof![0_u64..2_000, 0_u64..40_000].prop_map(Step::Pass),
    ]
}

/// What becomes of the legs.
#[derive(Default)]
struct Ledger {
    backings: Vec<Token>,
    /// Legs that are owed an end, with their conversation.
    owed: Vec<(Token, Token)>,
}

impl Ledger {
    fn take(&mut self, heard: Vec<Heard>) {
        for heard in heard {
            match heard {
                Heard::Ready(backing) => assert!(self.backings.contains(&backing)),
                Heard::Lost(backing, _) => {
                    assert!(self.owed.iter().all(|(_, of)| *of != backing), "its legs have failed before");
                    self.backings.retain(|other| *other != backing);
                }
                Heard::Failed(leg, _) => self.settle(leg),
                Heard::Leg(leg, text) if text.contains("result") => self.settle(leg),
                Heard::Leg(leg, _) => assert!(self.owed.iter().any(|(owed, _)| *owed == leg)),
                Heard::Backing(backing, _) => assert!(self.backings.contains(&backing)),
            }
        }
    }

    fn settle(&mut self, leg: Token) {
        let at = self.owed.iter().position(|(owed, _)| *owed == leg);
        self.owed.remove(at.expect("one end for each leg, and none after it was given up"));
    }
}

fn pick<T: Copy>(all: &[T], number: usize) -> Option<T> {
    all.get(number % all.len().max(1)).copied()
}

fn wires(world: &World) -> Vec<Token> {
    let open = world.shard.conns.iter().filter(|(_, conn)| conn.is_connected() && conn.speaks());
    open.map(|(token, _)| token).collect()
}

fn act(world: &mut World, ledger: &mut Ledger, step: &Step, modern: bool) {
    match *step {
        Step::Open => ledger.backings.extend(world.try_open().ok()),
        Step::Ask { backing, idempotent, long } => {
            if let Some(backing) = pick(&ledger.backings, backing) {
                let leg = world.ask(backing, idempotent, long);
                ledger.owed.push((leg, backing));
            }
        }
        Step::Tell(backing) => {
            if let Some(backing) = pick(&ledger.backings, backing) {
                world.act(|shard, cx| {
                    shard.tell_upstream(backing, b"{\"jsonrpc\":\"2.0\",\"method\":\"x\"}", cx)
                });
            }
        }
        Step::Cancel(leg) => {
            if let Some((leg, backing)) = pick(&ledger.owed, leg) {
                ledger.owed.retain(|(other, _)| *other != leg);
                world.act(|shard, cx| shard.cancel_leg(backing, leg, cx));
            }
        }
        Step::CloseBacking(backing) => {
            if let Some(backing) = pick(&ledger.backings, backing) {
                ledger.backings.retain(|other| *other != backing);
                ledger.owed.retain(|(_, of)| *of != backing);
                world.act(|shard, cx| shard.close_backing(backing, cx));
            }
        }
        Step::Accept if !world.dialled.is_empty() => drop(world.accept()),
        Step::Refuse if !world.dialled.is_empty() => drop(world.refuse()),
        Step::Accept | Step::Refuse => {}
        Step::Answer { wire, how } => {
            if let Some(wire) = pick(&wires(world), wire) {
                let asked = world.written(wire);
                for answer in answers(&asked, how, modern) {
                    world.receive(wire, answer.as_bytes());
                }
            }
        }
        Step::End(wire) => {
            if let Some(wire) = pick(&wires(world), wire) {
                world.end(wire);
            }
        }
        Step::Pass(millis) => world.pass(Duration::from_millis(millis)),
    }
    ledger.take(world.heard());
}

/// What a server says to what it was sent: HTTP requests, or lines.
fn answers(asked: &str, how: How, modern: bool) -> Vec<String> {
    let piped = asked.starts_with('{');
    let asked: Vec<&str> = if piped { asked.lines().collect() } else { vec![asked] };
    asked.into_iter().filter(|text| !text.is_empty()).map(|text| answer(text, piped, how, modern)).collect()
}

fn answer(asked: &str, piped: bool, how: How, modern: bool) -> String {
    let Some(result) = message(asked, modern) else {
        return match (piped, asked.starts_with("GET")) {
            (true, _) => String::new() + "\n",
            (false, true) => events(&["id: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"y\"}\n\n"], false),
            (false, false) => ACCEPTED.to_owned(),
        };
    };
    match (piped, how) {
        (true, How::Nonsense) => "what?\n".to_owned(),
        (true, _) => result + "\n",
        (false, How::Well) if asked.contains("\"initialize\"") => {
            json(200, &result).replacen("\r\n", "\r\nMcp-Session-Id: s\r\n", 1)
        }
        (false, How::Well) => json(200, &result),
        (false, How::Streaming) => events(&[&format!("id: 7\ndata: {result}\n\n")], true),
        (false, How::Half) => events(&["id: 7\nretry: 10\ndata:\n\n"], true),
        (false, How::Forgetful) => json(404, "gone"),
        (false, How::Busy) => json(503, "busy"),
        (false, How::Nonsense) => {
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n".to_owned()
        }
    }
}

/// The response to a request; `None`: it is not one.
fn message(asked: &str, modern: bool) -> Option<String> {
    if asked.contains("server/discover") {
        let unknown = r#"{"jsonrpc":"2.0","id":"weir-discover","error":{"code":-32601,"message":""}}"#;
        return Some(if modern { DISCOVERED } else { unknown }.to_owned());
    }
    if asked.contains("\"initialize\"") {
        return Some(INITIALIZED.to_owned());
    }
    let (_, rest) = asked.split_once("\"id\":")?;
    let id = rest.split(',').next()?;
    Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_leg_ends_once_and_nothing_is_left(
        steps in prop::collection::vec(step(), 1..120),
        modern in any::<bool>(),
        piped in any::<bool>(),
    ) {
        let mut config = server(if piped { vec![child()] } else { vec![http(1), http(2)] });
        (config.pool.size, config.pool.overflow, config.pool.queue) = (3, 1, 2);
        (config.timeout, config.timeout_max) = (Duration::from_secs(20), Duration::from_secs(40));
        let (mut world, mut ledger) = (World::new(config), Ledger::default());
        for step in &steps {
            act(&mut world, &mut ledger, step, modern);
        }
        // Lasting streams end by being given up, the rest by their time-outs.
        world.pass(Duration::from_secs(90));
        ledger.take(world.heard());
        for (leg, backing) in ledger.owed.clone() {
            prop_assert!(world.shard.upstream.errands.iter().any(|(_, e)| e.limit == crate::upstream::NEVER), "{leg:?}");
            world.act(|shard, cx| shard.cancel_leg(backing, leg, cx));
        }
        for backing in ledger.backings.clone() {
            world.act(|shard, cx| shard.close_backing(backing, cx));
        }
        world.pass(Duration::from_secs(20));
        prop_assert_eq!(world.heard(), []);
        let upstream = &world.shard.upstream;
        // Replicas that are down are checked for ever.
        let left = upstream.errands.iter().filter(|(_, errand)| errand.purpose != Purpose::Check);
        let left: Vec<_> = left.map(|(_, errand)| (errand.purpose, errand.place.clone())).collect();
        prop_assert_eq!((left, upstream.legs.len(), upstream.backings.len()), (vec![], 0, 0));
        let forever = limits::Drain { timeout: Duration::MAX, ..limits::Drain::default() };
        world.shard.draining = Some(Box::new(Drain::new(DrainOrder::default(), &forever, Instant(0))));
        while let Some((token, _)) = world.dialled.pop_front() {
            world.script.events.push_back(Event::Refused(token, REFUSED));
        }
        world.turn();
        world.turn();
        let server = &world.shard.upstream.servers[0];
        prop_assert_eq!((world.shard.conns.len(), world.shard.upstream.wires, server.children), (0, 0, 0));
        let open: Vec<_> = server.replicas.iter().map(|r| (r.connections.open, r.connections.idle.len())).collect();
        prop_assert!(open.iter().all(|open| *open == (0, 0)), "{open:?}");
    }
}
