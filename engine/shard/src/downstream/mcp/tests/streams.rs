//! Streams of sessions: resumed, replaced, ended.

use super::*;

const ANSWER: Delivery = Delivery::Answer { status: 200 };

/// A session of `version` with a call under way on a connection of its own: id, session, connection.
fn calling(world: &mut World, version: &str) -> (String, Token, Token) {
    let token = world.accept();
    let id = world.initialize(token, version);
    let session = world.session(&id);
    assert_eq!(world.ask(token, &post(&of_session(&id), 1, SLEEP)), "");
    (of_session(&id), session, token)
}

fn resume(id: &str, event: &str) -> String {
    get(&format!("{id}Last-Event-ID: {event}\r\n"))
}

#[test]
fn events_have_ids_and_newer_clients_are_primed() {
    for (version, primed) in [("2025-06-18", false), ("2025-11-25", true)] {
        let mut world = World::new();
        let (_, session, token) = calling(&mut world, version);
        world.deliver(Outlet::Stream { session, stream: 2 }, Delivery::Interim, "{}");
        let begun = world.read(token);
        let parts = chunks(&begun);
        assert_eq!(parts.contains(&"id: 2-0\ndata: \n\nretry: 1000\n\n"), primed, "{begun}");
        assert_eq!(parts.last(), Some(&"id: 2-1\nevent: message\ndata: {}\n\n"));
    }
}

#[test]
fn a_broken_stream_goes_on_where_it_broke_and_with_nothing_else() {
    let mut world = World::new();
    let (id, session, token) = calling(&mut world, "2025-11-25");
    let outlet = Outlet::Stream { session, stream: 2 };
    world.deliver(outlet, Delivery::Interim, "one");
    world.events.push_back(Event::Ended(token, Some(Errno(104))));
    world.turn();
    assert!(world.closed(token));
    world.deliver(outlet, Delivery::Interim, "two");
    world.deliver(Outlet::Session { session }, Delivery::Interim, "own");
    let token = world.accept();
    let resumed = world.ask(token, &resume(&id, "2-1"));
    let parts = chunks(&resumed);
    assert_eq!(parts[1..], ["id: 2-2\nevent: message\ndata: two\n\n"]);
    world.deliver(outlet, Delivery::Interim, "three");
    world.deliver(outlet, ANSWER, "four");
    let rest = world.read(token);
    let expected =
        ["id: 2-3\nevent: message\ndata: three\n\n", "id: 2-4\nevent: message\ndata: four\n\n", ""];
    assert_eq!(chunks(&rest), expected);
    // It is over, and can still be asked for.
    let again = world.ask(token, &resume(&id, "2-3"));
    assert_eq!(chunks(&again)[1..], ["id: 2-4\nevent: message\ndata: four\n\n", ""]);
}

#[test]
fn a_resume_takes_the_stream_from_a_connection_that_is_still_up() {
    let mut world = World::new();
    let (id, session, old) = calling(&mut world, "2025-06-18");
    let outlet = Outlet::Stream { session, stream: 2 };
    world.deliver(outlet, Delivery::Interim, "one");
    let new = world.accept();
    assert_eq!(chunks(&world.ask(new, &resume(&id, "2-0"))), ["id: 2-1\nevent: message\ndata: one\n\n"]);
    assert!(world.closed(old));
    world.read(old);
    world.deliver(outlet, ANSWER, "two");
    assert_eq!(world.read(old), "");
    assert_eq!(chunks(&world.read(new)), ["id: 2-2\nevent: message\ndata: two\n\n", ""]);
}

#[test]
fn of_a_json_answer_that_finds_no_connection_nothing_is_kept() {
    let mut world = World::new();
    let (id, session, token) = calling(&mut world, "2025-11-25");
    world.events.push_back(Event::Ended(token, Some(Errno(104))));
    world.turn();
    world.deliver(Outlet::Stream { session, stream: 2 }, ANSWER, "{}");
    let token = world.accept();
    assert_eq!(status(&world.ask(token, &resume(&id, "2-0"))), 400);
    assert_eq!(world.shard.streams(session).map(|streams| streams.is_busy()), Some(false));
    assert_eq!(world.shard.stats.outbox_bytes, 0);
}

#[test]
fn an_answer_that_takes_its_time_is_a_stream_that_can_be_resumed() {
    let mut world = World::new();
    let (id, session, token) = calling(&mut world, "2025-11-25");
    world.wait(Duration::from_secs(14));
    assert_eq!(world.read(token), "");
    world.wait(Duration::from_secs(2));
    assert_eq!(chunks(&world.read(token)), ["id: 2-0\ndata: \n\nretry: 1000\n\n"]);
    world.events.push_back(Event::Ended(token, Some(Errno(104))));
    world.turn();
    let token = world.accept();
    world.ask(token, &resume(&id, "2-0"));
    world.deliver(Outlet::Stream { session, stream: 2 }, ANSWER, "{}");
    assert_eq!(chunks(&world.read(token)), ["id: 2-1\nevent: message\ndata: {}\n\n", ""]);
}

#[test]
fn a_half_closed_legacy_request_still_gets_its_answer() {
    let mut world = World::new();
    let (_, session, token) = calling(&mut world, "2025-06-18");
    world.end(token);
    world.deliver(Outlet::Stream { session, stream: 2 }, ANSWER, "{}");
    assert_eq!(status(&world.read(token)), 200);
}

#[test]
fn the_own_stream_keeps_what_comes_while_nobody_listens() {
    let mut world = World::new();
    let token = world.accept();
    let name = world.initialize(token, "2025-06-18");
    let (id, session) = (of_session(&name), world.session(&name));
    world.deliver(Outlet::Session { session }, Delivery::Interim, "one");
    assert_eq!(chunks(&world.ask(token, &get(&id))), ["id: 0-1\nevent: message\ndata: one\n\n"]);
    let second = world.accept();
    assert_eq!(status(&world.ask(second, &get(&id))), 409);
    world.deliver(Outlet::Session { session }, Delivery::Interim, "two");
    assert_eq!(chunks(&world.read(token)), ["id: 0-2\nevent: message\ndata: two\n\n"]);
    world.end(token);
    // What was written once is not written again, unless it is asked for.
    assert_eq!(chunks(&world.ask(second, &get(&id))), Vec::<&str>::new());
    world.end(second);
    let third = world.accept();
    assert_eq!(chunks(&world.ask(third, &resume(&id, "0-1"))), ["id: 0-2\nevent: message\ndata: two\n\n"]);
    for unknown in ["0-3", "9-0", "x", "-", "+0-1", "1"] {
        let token = world.accept();
        assert_eq!(status(&world.ask(token, &resume(&id, unknown))), 400, "{unknown}");
    }
}

#[test]
fn delete_ends_session_and_streams() {
    let mut world = World::new();
    let (id, _, asker) = calling(&mut world, "2025-06-18");
    let (listener, other) = (world.accept(), world.accept());
    world.ask(listener, &get(&id));
    let delete = get(&id).replace("GET", "DELETE");
    assert_eq!(status(&world.ask(other, &delete)), 200);
    assert_eq!(chunks(&world.read(listener)), [""]);
    assert_ne!(world.read(asker), "", "what was asked is answered somehow");
    assert_eq!(status(&world.ask(other, &delete)), 404);
    for token in [listener, asker] {
        assert_eq!(status(&world.ask(token, &post(&id, 3, r#""method":"ping""#))), 404);
    }
}

#[test]
fn a_silent_session_ends_and_one_with_a_stream_does_not() {
    let mut world = World::new();
    let (silent, listening, listener) = (world.accept(), world.accept(), world.accept());
    world.initialize(silent, "2025-06-18");
    let id = world.initialize(listening, "2025-06-18");
    world.ask(listener, &get(&of_session(&id)));
    for _ in 0..12 {
        world.wait(Duration::from_secs(30));
    }
    assert!(world.shard.mcp.find(&id).is_some());
    assert_eq!(world.slots(), 1);
    assert!(chunks(&world.read(listener)).contains(&": \n\n"), "a quiet stream shows that it lives");
}

#[test]
fn a_slow_client_costs_its_log_and_loses_nothing_of_it() {
    let mut world = World::with(|config| config.queue_bytes_max = 2_000);
    let (_, session, token) = calling(&mut world, "2025-06-18");
    let outlet = Outlet::Stream { session, stream: 2 };
    world.deliver(outlet, Delivery::Interim, "0");
    world.read(token);
    world.events.push_back(Event::Unsent(token, b"tail".to_vec()));
    world.turn();
    assert_eq!(world.read(token), "tail");
    let message = "x".repeat(500);
    for _ in 0..20 {
        world.deliver(outlet, Delivery::Interim, &message);
    }
    world.deliver(outlet, ANSWER, "end");
    assert_eq!(world.read(token), "", "nothing is written to a peer that does not read");
    let mut got = String::new();
    for _ in 0..20 {
        world.events.push_back(Event::Drained(token));
        world.turn();
        got += &world.read(token);
    }
    let ids: Vec<&str> = got.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, (2..=22).map(|n| format!("2-{n}")).collect::<Vec<_>>());
    assert!(got.ends_with("0\r\n\r\n"));
}

#[test]
fn http_with_sse_answers_on_its_stream() {
    let mut world = World::new();
    let (stream, poster) = (world.accept(), world.accept());
    let opened = world.ask(stream, &get("").replace("/mcp", "/sse"));
    let parts = chunks(&opened);
    let path = parts[0].strip_prefix("event: endpoint\ndata: ").expect("the endpoint event").trim_end();
    let post = |id, rest: &str| post("", id, rest).replace("/mcp", path);
    assert_eq!(status(&world.ask(poster, &post(1, r#""method":"ping""#))), 400);
    let initialize = post(2, r#""method":"initialize","params":{"protocolVersion":"2024-11-05"}"#);
    assert!(world.ask(poster, &initialize).ends_with("\r\n\r\nAccepted"));
    assert!(world.read(stream).contains(r#""id":2"#));
    assert_eq!(status(&world.ask(poster, &post(3, r#""method":"ping""#))), 202);
    let pong = world.read(stream);
    assert_eq!(chunks(&pong), ["event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}\n\n"]);
    world.end(stream);
    assert_eq!(world.slots(), 0);
    assert_eq!(status(&world.ask(poster, &initialize)), 404);
}
