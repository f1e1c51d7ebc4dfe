//! Requests over HTTP and their responses.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const PROGRESS: &str = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}"#;

#[test]
fn a_modern_request_says_all_about_itself() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.modern();
    world.call(backing);
    let wire = last_wire(&world);
    let request = world.written(wire);
    for line in [
        "POST /mcp HTTP/1.1\r\n",
        "Host: server:1\r\n",
        "MCP-Protocol-Version: 2026-07-28\r\n",
        "Mcp-Method: tools/call\r\n",
        "Mcp-Name: add\r\n",
        "Accept: application/json, text/event-stream\r\n",
        "Content-Type: application/json\r\n",
    ] {
        assert!(request.contains(line), "{line} is not in {request}");
    }
    assert!(!request.to_ascii_lowercase().contains("mcp-session-id"));
}

#[test]
fn a_legacy_request_names_its_session_and_revision() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.legacy();
    assert!(
        world
            .shard
            .backing(backing)
            .is_some_and(|b| b.about.as_deref().is_some_and(|a| a.contains("2025-06-18")))
    );
    let leg = world.call(backing);
    let wire = last_wire(&world);
    let request = world.written(wire);
    assert!(
        request.contains("Mcp-Session-Id: s1\r\n")
            && request.contains("MCP-Protocol-Version: 2025-06-18\r\n")
    );
    assert!(!request.contains("Mcp-Method"));
    world.receive(wire, json(200, &result(leg)).as_bytes());
    assert_eq!(world.heard(), [Heard::Leg(leg, result(leg))]);
}

/// The only pooled connection there is.
fn last_wire(world: &World) -> Token {
    let mut wires = world.shard.conns.iter().filter(|(_, conn)| conn.is_connected() && conn.speaks());
    wires.next().expect("a connection").0
}

proptest! {
    /// However a response is cut, what is heard of it is the same.
    #[test]
    fn cuts_do_not_matter(len in 1_usize..200, kind in 0..4, until_close in any::<bool>()) {
        let mut world = World::new(server(vec![http(1)]));
        let backing = world.modern();
        let leg = world.call(backing);
        let wire = last_wire(&world);
        let answer = result(leg);
        let (response, expected) = match kind {
            0 => (json(200, &answer), vec![Heard::Leg(leg, answer)]),
            1 => {
                let text = json(200, "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
                let (front, back) = answer.split_at(10);
                let chunks = format!("{:x}\r\n{front}\r\n{:X}\r\n{back}\r\n0\r\n\r\n", front.len(), back.len());
                (text + &chunks, vec![Heard::Leg(leg, answer)])
            }
            _ => {
                let stream = [&*format!("data: {PROGRESS}\n\n"), ": idle\n\n", &*format!("event: message\ndata: {answer}\n\n")];
                let mut text = events(&stream, kind == 2);
                if until_close {
                    let body: String = stream.concat();
                    text = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{body}");
                }
                (text, vec![Heard::Leg(leg, PROGRESS.into()), Heard::Leg(leg, answer)])
            }
        };
        world.receive_in_pieces(wire, response.as_bytes(), len);
        world.end(wire);
        prop_assert_eq!(world.heard(), expected);
        prop_assert_eq!(world.shard.upstream.errands.len(), 0);
        prop_assert_eq!(world.shard.stats.upstream.failures, 0);
    }
}

#[test]
fn errors_of_the_modern_era_are_answers_and_other_statuses_are_not() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.modern();
    for status in [400, 404, 500] {
        let leg = world.call(backing);
        let wire = last_wire(&world);
        let error = format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601,"message":"no"}}}}"#,
            wire_id::of(leg)
        );
        world.receive(wire, json(status, &error).as_bytes());
        assert_eq!(world.heard(), [Heard::Leg(leg, error)]);
        let leg = world.call(backing);
        world.receive(wire, json(status, "no").as_bytes());
        assert_eq!(world.heard(), [Heard::Failed(leg, UpstreamFault::Http(status))]);
    }
}

#[test]
fn an_answer_to_another_request_is_garbage() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.modern();
    let leg = world.call(backing);
    let wire = last_wire(&world);
    let other = Token { index: 77, generation: 0 };
    world.receive(wire, json(200, &result(other)).as_bytes());
    assert_eq!(world.heard(), [Heard::Failed(leg, UpstreamFault::Garbage)]);
    // A server that answers twice would answer the next request with this one's answer.
    assert_eq!(world.closed, [wire]);
}

#[test]
fn what_is_no_http_is_garbage() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.modern();
    let leg = world.call(backing);
    let wire = last_wire(&world);
    world.receive(wire, b"SMTP 220 hello\r\n\r\n");
    assert_eq!(world.heard(), [Heard::Failed(leg, UpstreamFault::Garbage)]);
    assert_eq!(world.closed, [wire]);
}

#[test]
fn a_second_acceptance_is_no_answer_to_the_next_request() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.modern();
    let leg = world.call(backing);
    let wire = last_wire(&world);
    world.receive(wire, b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(world.heard()[..], [Heard::Failed(of, _)] if of == leg));
    assert_eq!(world.closed, [wire]);
}

#[test]
fn a_second_answer_to_initialize_is_none_to_the_next_request() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.legacy();
    let leg = world.call(backing);
    let wire = last_wire(&world);
    world.receive(wire, json(200, INITIALIZED).as_bytes());
    assert_eq!(world.heard(), [Heard::Failed(leg, UpstreamFault::Garbage)]);
    assert_eq!(world.closed.last(), Some(&wire), "the answer to the request is still to come on it");
}

#[test]
fn a_forgotten_session_is_lost_with_its_legs() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.legacy();
    let (first, second) = (world.call(backing), world.call(backing));
    let wire = last_wire(&world);
    world.receive(wire, json(404, "gone").as_bytes());
    let lost = UpstreamFault::SessionLost;
    assert_eq!(
        world.heard(),
        [Heard::Failed(first, lost.clone()), Heard::Failed(second, lost.clone()), Heard::Lost(backing, lost)]
    );
    assert!(world.shard.backing(backing).is_none());
}

#[test]
fn silence_ends_by_the_timeout_and_progress_puts_it_off() {
    let mut config = server(vec![http(1)]);
    (config.timeout, config.timeout_max) = (Duration::from_secs(2), Duration::from_secs(5));
    let mut world = World::new(config);
    let backing = world.modern();
    let leg = world.call(backing);
    let wire = last_wire(&world);
    world.receive(wire, events(&[], false).as_bytes());
    for _ in 0..3 {
        world.pass(Duration::from_millis(1_500));
        let event = format!("data: {PROGRESS}\n\n");
        world.receive(wire, format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
        assert_eq!(world.heard(), [Heard::Leg(leg, PROGRESS.into())]);
    }
    world.pass(Duration::from_millis(600));
    assert_eq!(
        world.heard(),
        [Heard::Failed(leg, UpstreamFault::TimedOut)],
        "no later than the longest time"
    );
    assert_eq!(world.closed, [wire], "which is how a modern server learns of it");

    let leg = world.call(backing);
    world.accept();
    world.pass(Duration::from_millis(1_900));
    assert_eq!(world.heard(), []);
    world.pass(Duration::from_millis(200));
    assert_eq!(world.heard(), [Heard::Failed(leg, UpstreamFault::TimedOut)]);
}

#[test]
fn nothing_is_heard_of_what_was_cancelled() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.modern();
    let leg = world.call(backing);
    let wire = last_wire(&world);
    world.act(|shard, cx| shard.cancel_leg(backing, leg, cx));
    assert_eq!(world.closed, [wire]);
    world.receive(wire, json(200, &result(leg)).as_bytes());
    assert_eq!(world.heard(), []);
    // One whose connection is still being opened.
    let leg = world.call(backing);
    world.act(|shard, cx| shard.cancel_leg(backing, leg, cx));
    let late = world.accept();
    assert_eq!(world.closed, [wire, late], "closed once it is open");
    world.turn();
    assert_eq!((world.heard(), world.shard.conns.len()), (vec![], 0));
}

#[test]
fn a_stream_that_breaks_off_is_asked_for_again_by_its_id() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.legacy();
    let leg = world.call(backing);
    let wire = last_wire(&world);
    world.written(wire);
    world.receive(wire, events(&["id: e7\nretry: 300\ndata:\n\n"], true).as_bytes());
    world.pass(Duration::from_millis(250));
    assert_eq!(world.written(wire), "");
    world.pass(Duration::from_millis(150));
    let request = world.written(wire);
    assert!(request.starts_with("GET /mcp ") && request.contains("Last-Event-ID: e7\r\n"), "{request}");
    assert!(request.contains("Mcp-Session-Id: s1\r\n"));
    world.receive(wire, events(&[&format!("id: e8\ndata: {}\n\n", result(leg))], true).as_bytes());
    assert_eq!(world.heard(), [Heard::Leg(leg, result(leg))]);

    let leg = world.call(backing);
    world.receive(wire, events(&["data:\n\n"], true).as_bytes());
    assert_eq!(
        world.heard(),
        [Heard::Failed(leg, UpstreamFault::Broken)],
        "without ids nothing can be asked for"
    );
}

#[test]
fn a_session_has_a_stream_of_its_own_and_ends_with_a_delete() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.open();
    let wire = world.accept();
    world.receive(wire, json(404, "").as_bytes());
    let initialized = json(200, INITIALIZED).replacen("\r\n", "\r\nMcp-Session-Id: s1\r\n", 1);
    world.receive(wire, initialized.as_bytes());
    world.receive(wire, ACCEPTED.as_bytes());
    let stream = world.accept();
    world.receive(stream, events(&[], false).as_bytes());
    assert_eq!(world.heard(), [Heard::Ready(backing)]);
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let event = format!("id: a1\ndata: {changed}\n\n");
    world.receive(stream, format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
    assert_eq!(world.heard(), [Heard::Backing(backing, changed.into())]);
    world.receive(stream, b"c\r\nretry: 2000\n\r\n");
    world.end(stream);
    world.pass(Duration::from_millis(1_900));
    assert!(world.dialled.is_empty(), "not before the server wants it");
    world.pass(Duration::from_millis(200));
    let stream = world.accept();
    assert!(world.written(stream).contains("Last-Event-ID: a1\r\n"));
    world.written(wire);
    world.act(|shard, cx| shard.close_backing(backing, cx));
    assert_eq!(world.closed.last(), Some(&stream));
    let farewell = world.written(wire);
    assert!(
        farewell.starts_with("DELETE /mcp ") && farewell.contains("Mcp-Session-Id: s1\r\n"),
        "{farewell}"
    );
    world.receive(wire, json(405, "").as_bytes());
    assert_eq!((world.heard(), world.shard.upstream.errands.len()), (vec![], 0));
}

#[test]
fn a_lasting_stream_may_be_lines_that_call_themselves_json() {
    let mut world = World::new(server(vec![http(1)]));
    let backing = world.modern();
    let leg = world.ask(backing, false, true);
    let wire = world.accept();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    world.receive(wire, format!("{head}{PROGRESS}\n").as_bytes());
    assert_eq!(world.heard(), [Heard::Leg(leg, PROGRESS.into())]);
    world.pass(Duration::from_secs(700));
    assert_eq!(world.heard(), [], "it lasts until it is cancelled");
    world.receive(wire, result(leg).as_bytes());
    world.end(wire);
    assert_eq!(world.heard(), [Heard::Leg(leg, result(leg))]);
}
