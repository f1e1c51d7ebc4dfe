use std::time::Duration;

use weir_ring::token::{Member, Token};

use crate::downstream::control::{Lever, Override};
use crate::downstream::mcp::tests::World;
use crate::limits::{Auth, Breaker, Mode};
use crate::mail::{Answer, Mail, Question};
use crate::metrics::ControlView;
use crate::policy::Hold;
use crate::policy::admission::Admission;
use crate::vsm::Event;

const LONG: Duration = Duration::from_secs(100);

fn publish(priority: &str) -> String {
    let body = format!(r#"{{"type":"t","data":1,"priority":"{priority}"}}"#);
    let length = body.len();
    format!(
        "POST /mcp/clients/u/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

fn stream(client: &str) -> String {
    format!("GET /mcp/sse?client_id={client} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")
}

fn upgrade(client: &str) -> String {
    format!(
        "GET /mcp/ws/websocket?client_id={client} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// How publishes of each priority fare, the most urgent first.
fn publishes(world: &mut World) -> [(u16, String); 4] {
    ["urgent", "high", "normal", "low"].map(|priority| world.verdict(&publish(priority)))
}

fn pull(world: &mut World, what: Lever, lasts: Duration) {
    world.post.inbox.push(Mail::Override(Box::new(Override { what, lasts })));
    world.turn();
}

/// As long as turns take so long.
fn labour(world: &mut World, turn: Duration, times: usize) {
    for _ in 0..times {
        world.shard.took(turn);
        world.wait(turn);
    }
    world.shard.took(Duration::ZERO);
}

fn view(world: &mut World) -> ControlView {
    world.post.outbox.clear();
    world.post.inbox.push(Mail::Ask { from: Member(1), ask: 1, question: Question::Control });
    world.turn();
    let answer = world.post.outbox.drain(..).find_map(|(_, letter)| match letter {
        Mail::Answer { answer: Answer::Control(view), .. } => Some(*view),
        _ => None,
    });
    answer.expect("an answer")
}

/// Names of the events that were told so far.
fn events(world: &mut World) -> Vec<Event> {
    let told = world.post.outbox.drain(..).filter_map(|(_, letter)| match letter {
        Mail::Events { facts, .. } => Some(facts),
        _ => None,
    });
    told.flatten().map(|fact| fact.event).collect()
}

fn accepted() -> (u16, String) {
    (202, String::new())
}

fn shed() -> (u16, String) {
    (503, "load_shed".to_owned())
}

fn full() -> (u16, String) {
    (503, "insufficient_resources".to_owned())
}

#[test]
fn late_turns_shed_the_least_urgent_and_peace_ends_it() {
    let mut world = World::with(|_| {});
    assert_eq!(publishes(&mut world), [accepted(), accepted(), accepted(), accepted()]);
    // One long turn is no overload.
    labour(&mut world, Duration::from_millis(300), 1);
    assert_eq!(view(&mut world).shedding, 0);
    labour(&mut world, Duration::from_millis(92), 100);
    assert_eq!(view(&mut world).shedding, 1);
    labour(&mut world, Duration::from_millis(300), 20);
    // It lasts until load has been low for a second.
    assert_eq!(publishes(&mut world), [full(), full(), full(), full()], "nobody new comes in, either");
    world.wait(Duration::from_millis(10_000));
    world.wait(Duration::from_millis(4_000));
    assert_eq!(publishes(&mut world), [accepted(), accepted(), accepted(), accepted()]);
    let changes = events(&mut world);
    let level = |wanted| changes.contains(&Event::SheddingChanged { level: wanted });
    assert!(level(3) && level(0), "{changes:?}");
    assert!(changes.contains(&Event::AdmissionChanged { from: "soft", to: "hard" }), "{changes:?}");
}

#[test]
fn without_shedding_everything_is_taken_however_late() {
    let mut world = World::with(|config| {
        config.control.shedding = false;
        config.control.admission = false;
    });
    labour(&mut world, Duration::from_millis(300), 20);
    assert_eq!(publishes(&mut world), [accepted(), accepted(), accepted(), accepted()]);
}

#[test]
fn each_level_sheds_one_priority_more() {
    let mut world = World::with(|_| {});
    for (level, expected) in [
        (0, [accepted(), accepted(), accepted(), accepted()]),
        (1, [accepted(), accepted(), accepted(), shed()]),
        (2, [accepted(), accepted(), shed(), shed()]),
        (3, [accepted(), shed(), shed(), shed()]),
    ] {
        pull(&mut world, Lever::Shedding(Some(level)), LONG);
        assert_eq!(publishes(&mut world), expected, "{level}");
    }
    let counted = world.shard.stats.control;
    assert_eq!((counted.shed_high, counted.shed_normal, counted.shed_low), (1, 2, 3));
    assert!(view(&mut world).shedding_held_ms.is_some());
    pull(&mut world, Lever::Shedding(None), LONG);
    assert_eq!(publishes(&mut world)[3], accepted());
}

#[test]
fn full_outboxes_keep_their_last_room_for_what_is_urgent() {
    let mut world = World::with(|config| config.outbox_bytes_total_max = 20_000);
    let fates: Vec<_> = (0..200).map(|_| world.verdict(&publish("low"))).collect();
    assert_eq!(fates.last(), Some(&shed()));
    assert_eq!(world.verdict(&publish("urgent")), accepted());
}

#[test]
fn a_door_that_is_held_is_open_again_by_itself() {
    let mut world = World::with(|_| {});
    let old = world.accept();
    pull(&mut world, Lever::Admission(Some(Admission::Hard)), LONG);
    assert_eq!(world.verdict(&stream("a")), full());
    assert!(
        world.ask(old, &stream("b")).contains("insufficient_resources"),
        "nor who has a connection already"
    );
    world.wait(Duration::from_secs(99));
    assert_eq!(view(&mut world).admission, "hard");
    world.wait(Duration::from_secs(2));
    assert_eq!(view(&mut world).admission, "open");
    assert_eq!(world.verdict(&stream("a")).0, 200);
}

#[test]
fn those_who_were_here_come_back_in_when_newcomers_do_not() {
    let mut world = World::with(|config| {
        config.auth = Auth { mode: Mode::Optional, ..Auth::default() };
        config.connections_max = 128;
    });
    let first = world.accept();
    world.ask(first, &stream("known"));
    world.end(first);
    pull(&mut world, Lever::Admission(Some(Admission::Soft)), LONG);
    assert_eq!(world.verdict(&stream("guest")), full());
    assert_eq!(world.verdict(&stream("known")).0, 200);
    assert_eq!(world.shard.stats.control.newcomers_refused, 1);
}

#[test]
fn the_last_places_of_the_table_are_for_those_who_come_back() {
    let mut world = World::with(|config| config.connections_max = 164);
    let names = (0..96).map(|n| format!("c{n}"));
    let fates: Vec<u16> = names.map(|name| world.verdict(&stream(&name)).0).collect();
    let taken = fates.iter().filter(|status| **status == 200).count();
    assert!((90..96).contains(&taken), "{taken}");
    assert_eq!(world.verdict(&stream("c0")).0, 200);
}

fn brittle() -> World {
    World::with(|config| {
        config.control.breaker = Breaker { minimum: 4, probes: 2, ..config.control.breaker.clone() }
    })
}

/// Opens a connection that breaks before it was of any use.
fn break_one(world: &mut World, request: &str) -> (u16, Token) {
    let connection = world.accept();
    let answer = world.ask(connection, request);
    world.reset(connection);
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default(), connection)
}

#[test]
fn a_transport_whose_connections_break_is_left_alone_and_tried_again() {
    for (request, opened) in [(upgrade as fn(&str) -> String, 101), (stream, 200)] {
        let mut world = brittle();
        for _ in 0..4 {
            assert_eq!(break_one(&mut world, &request("u")).0, opened);
        }
        assert_eq!(world.verdict(&request("u")), (503, "breaker_open".to_owned()));
        assert_eq!(world.shard.stats.control.breaker_opened, 1);
        world.wait(Duration::from_secs(30));
        assert_eq!(break_one(&mut world, &request("u")).0, opened, "a probe");
        assert_eq!(world.verdict(&request("u")).0, 503, "which failed");
        world.wait(Duration::from_secs(30));
        let probes: Vec<Token> = (0..2)
            .map(|_| {
                let probe = world.accept();
                assert!(world.ask(probe, &request("u")).contains(&opened.to_string()));
                probe
            })
            .collect();
        assert_eq!(world.verdict(&request("u")).0, 503, "no more than these");
        for probe in probes {
            // An SSE stream ends with its connection, a WebSocket with a close.
            world.receive(probe, &[0x88, 0x80, 0, 0, 0, 0]);
            world.end(probe);
        }
        assert_eq!(world.verdict(&request("u")).0, opened, "both were of use");
        let phases: Vec<&str> = events(&mut world).iter().map(Event::name).collect();
        for phase in ["breaker_opened", "breaker_half_open", "breaker_closed"] {
            assert!(phases.contains(&phase), "{phases:?}");
        }
    }
}

#[test]
fn old_connections_that_break_keep_nobody_out() {
    let mut world = brittle();
    let connections: Vec<Token> = (0..8)
        .map(|n| {
            let connection = world.accept();
            world.ask(connection, &stream(&format!("c{n}")));
            connection
        })
        .collect();
    world.wait(Duration::from_secs(16));
    for connection in connections {
        world.reset(connection);
    }
    assert_eq!(world.verdict(&stream("c0")).0, 200);
}

#[test]
fn an_operator_holds_breakers_by_their_names() {
    let mut world = World::with(|_| {});
    pull(&mut world, Lever::Breaker("http_sse".into(), Some(Hold::Open)), LONG);
    pull(&mut world, Lever::Breaker("nobody".into(), Some(Hold::Open)), LONG);
    assert_eq!(world.verdict(&stream("u")), (503, "breaker_open".to_owned()));
    assert_eq!(world.verdict(&upgrade("u")).0, 101, "another transport");
    let seen = view(&mut world);
    let states: Vec<_> = seen.breakers.iter().map(|breaker| (&*breaker.name, breaker.state)).collect();
    assert_eq!(states, [("websocket", "closed"), ("http_sse", "open"), ("router", "closed")]);
    assert_eq!(seen.breakers[1].held_ms, Some(100_000));
    pull(&mut world, Lever::Breaker("http_sse".into(), None), LONG);
    assert_eq!(world.verdict(&stream("u")).0, 200);
}

#[test]
fn who_is_away_long_enough_is_cleaned_up() {
    let mut world = World::with(|_| {});
    let (away, here) = (world.accept(), world.accept());
    world.ask(away, &stream("away"));
    world.ask(here, &stream("here"));
    world.end(away);
    world.wait(Duration::from_secs(60));
    for (idle, gone) in [(61, 0), (60, 1), (0, 0)] {
        let question = Question::Cleanup { idle: Duration::from_secs(idle) };
        world.post.inbox.push(Mail::Ask { from: Member(1), ask: 1, question });
        world.turn();
        let cleaned = world.post.outbox.drain(..).find_map(|(_, letter)| match letter {
            Mail::Answer { answer: Answer::Cleaned(count), .. } => Some(count),
            _ => None,
        });
        assert_eq!(cleaned, Some(gone), "{idle}");
    }
}

#[test]
fn a_wave_of_deadlines_is_dealt_with_in_many_turns_and_everybody_is_told() {
    let mut world = World::with(|_| {});
    let silent: Vec<_> = (0..40).map(|_| world.accept()).collect();
    let before = world.shard.stats.turns;
    world.wait(Duration::from_secs(60));
    let turns = world.shard.stats.turns - before;
    assert!(turns >= 40 / 4, "{turns} turns");
    for connection in silent {
        assert!(world.read(connection).starts_with("HTTP/1.1 408 "));
    }
}
