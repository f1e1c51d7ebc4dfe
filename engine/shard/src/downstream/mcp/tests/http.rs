//! Requests and their answers.

use weir_ring::op::RecvMode;

use super::*;

const MODERN: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn stateless(id: u32, method: &str, params: &str) -> String {
    let headers = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\nMcp-Name: sleep\r\n");
    post(&headers, id, &format!(r#""method":"{method}","params":{{{params}{MODERN}}}"#))
}

fn sleep(id: u32) -> String {
    stateless(id, "tools/call", r#""name":"sleep","arguments":{"seconds":30},"#)
}

/// The outlet of the stateless request under way on `token`.
fn outlet(world: &World, token: Token) -> Outlet {
    use crate::downstream::connection::{Stage, Waiting};
    let conn = world.shard.conns.get(token).expect("open");
    let Stage::Http(exchange) = &conn.stage else { panic!("{:?}", conn.stage) };
    let Some(Waiting::Mcp(pending)) = &exchange.waiting else { panic!("nothing waits") };
    match pending.source {
        super::super::pending::Source::Stateless { exchange } => Outlet::Post { connection: token, exchange },
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_is_one_send_and_the_next_request_needs_no_operation() {
    let mut world = World::new();
    let token = world.accept();
    let id = world.initialize(token, "2025-06-18");
    assert!(world.ops.iter().any(|op| matches!(op, Op::Recv { mode: RecvMode::Stream, .. })));
    world.ops.clear();
    for n in 1..4 {
        let answer = world.ask(token, &post(&of_session(&id), n, r#""method":"ping""#));
        let body = format!(r#"{{"jsonrpc":"2.0","id":{n},"result":{{}}}}"#);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        assert_eq!(answer, format!("{head}{GUARD}Content-Length: {}\r\n\r\n{body}", body.len()));
    }
    assert!(world.ops.is_empty(), "{:?}", world.ops);
}

#[test]
fn however_a_request_is_cut_the_answer_is_the_same() {
    let request = post("", 1, r#""method":"initialize","params":{"protocolVersion":"2025-06-18"}"#);
    for at in [1, 20, request.len() - 30, request.len() - 1] {
        let mut world = World::new();
        let token = world.accept();
        assert_eq!(world.ask(token, &request[..at]), "");
        assert_eq!(status(&world.ask(token, &request[at..])), 200, "cut at {at}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let mut world = World::new();
    let token = world.accept();
    let id = of_session(&world.initialize(token, "2025-06-18"));
    let both = post(&id, 1, SLEEP) + &post(&id, 2, r#""method":"ping""#);
    assert_eq!(world.ask(token, &both), "");
    assert_eq!(world.ask(token, &post(&id, 3, r#""method":"ping""#)), "");
    let session = world.session(id.trim_start_matches("Mcp-Session-Id: ").trim());
    world.deliver(Outlet::Stream { session, stream: 2 }, Delivery::Answer { status: 200 }, r#"{"id":1}"#);
    let answers = world.read(token);
    let at = |what| answers.find(what).expect(what);
    assert!(at(r#""id":1"#) < at(r#""id":2"#) && at(r#""id":2"#) < at(r#""id":3"#), "{answers}");
}

#[test]
fn what_comes_before_the_answer_opens_a_stream_that_hands_the_connection_back() {
    let mut world = World::new();
    let token = world.accept();
    assert_eq!(world.ask(token, &sleep(7)), "");
    let outlet = outlet(&world, token);
    world.deliver(outlet, Delivery::Interim, "{\"n\":1}");
    let begun = world.read(token);
    assert!(begun.contains("Content-Type: text/event-stream\r\n"), "{begun}");
    assert!(begun.contains("X-Accel-Buffering: no\r\n") && !begun.contains("Mcp-Session-Id"));
    assert_eq!(chunks(&begun), ["event: message\ndata: {\"n\":1}\n\n"]);
    world.deliver(outlet, Delivery::Answer { status: 200 }, "{\"id\":7}");
    assert_eq!(chunks(&world.read(token)), ["event: message\ndata: {\"id\":7}\n\n", ""]);
    world.deliver(outlet, Delivery::Interim, "late");
    assert_eq!(world.read(token), "");
    let discover = stateless(8, "server/discover", "");
    assert_eq!(status(&world.ask(token, &discover)), 200);
}

#[test]
fn a_status_is_the_answers() {
    let mut world = World::new();
    let token = world.accept();
    assert_eq!(status(&world.ask(token, &stateless(1, "initialize", ""))), 404);
    world.ask(token, &sleep(2));
    let outlet = outlet(&world, token);
    world.deliver(outlet, Delivery::Answer { status: 400 }, "{}");
    assert_eq!(status(&world.read(token)), 400);
    world.ask(token, &sleep(3));
    let outlet = self::outlet(&world, token);
    world.deliver(outlet, Delivery::Nothing, "");
    assert_eq!(status(&world.read(token)), 202);
}

#[test]
fn a_stateless_client_that_closes_has_given_up() {
    let mut world = World::new();
    let token = world.accept();
    world.ask(token, &sleep(1));
    let outlet = outlet(&world, token);
    let now = world.now();
    let mut cx = Cx { now, stamp: Stamp::new(now.wall), out: &mut world.out, post: &mut world.post };
    world.shard.ended(token, None, &mut cx);
    assert_eq!(world.shard.serving.abandoned, [outlet]);
    world.turn();
    assert!(world.closed(token) && world.shard.serving.is_done());
}

#[test]
fn refusals_have_their_statuses() {
    let mut world = World::new();
    let token = world.accept();
    let ping = r#""method":"ping""#;
    let id = of_session(&world.initialize(token, "2025-11-25"));
    let mut refused = |request: String| status(&world.ask(token, &request));
    assert_eq!(refused(post("Origin: http://evil.example\r\n", 1, ping)), 403);
    assert_eq!(refused(post("", 1, ping).replace("Host: localhost", "Host: evil.example")), 403);
    assert_eq!(refused(post(&id, 1, ping).replace("application/json\r\nA", "text/plain\r\nA")), 415);
    assert_eq!(
        refused(
            post(&id, 1, ping).replace("Accept: application/json, text/event-stream", "Accept: text/html")
        ),
        406
    );
    assert_eq!(refused(post("", 1, ping)), 400);
    assert_eq!(refused(post("Mcp-Session-Id: dead\r\n", 1, ping)), 404);
    assert_eq!(refused(post(&format!("{id}MCP-Protocol-Version: 1999-01-01\r\n"), 1, ping)), 400);
    assert_eq!(refused(body(&id, "{")), 400);
    assert_eq!(refused(body(&id, "[]")), 400);
    assert_eq!(refused(post(&id, 1, r#""method":"initialize","params":{}"#)), 400);
    assert_eq!(refused(get(&id).replace("text/event-stream", "application/json")), 406);
    assert_eq!(refused(get("")), 400);
    assert_eq!(refused(get("MCP-Protocol-Version: 2026-07-28\r\n")), 405);
    assert_eq!(refused(get(&id).replace("GET /mcp", "PUT /mcp")), 405);
    assert_eq!(refused(post(&id, 1, ping)), 200, "the connection goes on after each");
}

#[test]
fn notifications_and_responses_are_accepted_without_a_body() {
    let mut world = World::new();
    let token = world.accept();
    let id = of_session(&world.initialize(token, "2025-06-18"));
    for message in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    ] {
        assert_eq!(
            world.ask(token, &body(&id, message)),
            format!("HTTP/1.1 202 Accepted\r\n{GUARD}Content-Length: 0\r\n\r\n")
        );
    }
}

#[test]
fn a_batch_is_one_stream_with_an_event_for_each_answer() {
    let mut world = World::new();
    let token = world.accept();
    let id = of_session(&world.initialize(token, "2025-03-26"));
    let ping = |n| format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"ping"}}"#);
    let batch = format!("[{},{},{{}},{}]", ping(1), r#"{"jsonrpc":"2.0","method":"x"}"#, ping(2));
    let answer = world.ask(token, &body(&id, &batch));
    let chunks = chunks(&answer);
    assert_eq!(chunks.len(), 4, "{answer}");
    assert!(
        chunks[0].contains(r#""id":1"#) && chunks[1].contains("-32600") && chunks[2].contains(r#""id":2"#)
    );
    assert_eq!(
        world.ask(token, &body(&id, r#"[{"jsonrpc":"2.0","method":"x"}]"#)).len(),
        format!("HTTP/1.1 202 Accepted\r\n{GUARD}Content-Length: 0\r\n\r\n").len()
    );
}

#[test]
fn a_limit_is_told_and_kept() {
    let mut world = World::with(|config| config.client_rate = Rate::new(1.0, 2));
    let token = world.accept();
    let id = of_session(&world.initialize(token, "2025-06-18"));
    let ping = |n| post(&id, n, r#""method":"ping""#);
    assert!(world.ask(token, &ping(1)).contains("X-RateLimit-Remaining: 1\r\n"));
    assert_eq!(status(&world.ask(token, &ping(2))), 200);
    let refused = world.ask(token, &ping(3));
    assert_eq!(status(&refused), 429);
    assert!(refused.contains("Retry-After: 1\r\n") && refused.contains(r#""id":3"#), "{refused}");
    let named = post(&format!("{id}X-Client-ID: a\r\n"), 4, r#""method":"ping""#);
    assert_eq!(status(&world.ask(token, &named)), 200, "a name has a bucket of its own");
}

#[test]
fn a_connection_follows_its_session_with_all_it_has_sent() {
    let mut world = World::with(|config| config.shards = 2);
    let foreign = (0..)
        .map(|n| format!("session-{n}"))
        .find(|id| crate::route::home(&world.shard.ring, id) == Member(1));
    let id = of_session(&foreign.expect("an id of the other shard"));
    let request = post(&id, 1, r#""method":"ping""#) + "GET";
    for at in [request.len(), request.len() - 20] {
        let token = world.accept();
        world.ask(token, &request[..at]);
        if at < request.len() {
            world.ask(token, &request[at..]);
        }
        assert!(world.ops.iter().any(|op| matches!(op, Op::HandOver { to: Member(1), .. })));
        let conn = world.shard.conns.get(token).expect("leaving");
        let crate::downstream::connection::Stage::Leaving(departure) = &conn.stage else { panic!() };
        assert_eq!(departure.parcel.bytes, request.as_bytes());
        world.ops.clear();
    }
}

#[test]
fn a_stop_waits_for_answers_and_ends_what_has_no_end() {
    let mut world = World::new();
    let (asker, listener) = (world.accept(), world.accept());
    let id = world.initialize(asker, "2025-06-18");
    let session = world.session(&id);
    world.ask(listener, &get(&of_session(&id)));
    world.ask(asker, &post(&of_session(&id), 1, SLEEP));
    world.drain();
    assert!(chunks(&world.read(listener)).ends_with(&[""]), "the stream has ended");
    assert_eq!(world.slots(), 1);
    world.deliver(Outlet::Stream { session, stream: 2 }, Delivery::Answer { status: 200 }, "{}");
    assert_eq!(status(&world.read(asker)), 200);
    assert_eq!(world.slots(), 0);
    world.end(asker);
    world.end(listener);
    assert!(world.shard.is_drained());
}

#[test]
fn a_body_in_chunks_moves_in_chunks() {
    let mut world = World::with(|config| config.shards = 2);
    let mut ids = (0..).map(|n| format!("session-{n}"));
    let id = ids.find(|id| crate::route::home(&world.shard.ring, id) == Member(1)).expect("one of the other");
    let head = body(&of_session(&id), "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let head = head.trim_end();
    let token = world.accept();
    for part in [head, "\r\n\r\n", "3\r\n[{}", "\r\n1;x=y\r\n]\r\n", "0\r\n\r\nGET"] {
        world.ask(token, part);
    }
    let conn = world.shard.conns.get(token).expect("leaving");
    let crate::downstream::connection::Stage::Leaving(departure) = &conn.stage else { panic!() };
    let moved = String::from_utf8(departure.parcel.bytes.clone()).expect("text");
    assert_eq!(moved, format!("{head}\r\n\r\n00000004\r\n[{{}}]\r\n0\r\n\r\nGET"));
}

#[test]
fn a_client_of_http_1_0_gets_its_stream_until_the_end() {
    let mut world = World::new();
    let token = world.accept();
    world.ask(token, &sleep(1).replace("HTTP/1.1", "HTTP/1.0"));
    let outlet = outlet(&world, token);
    world.deliver(outlet, Delivery::Interim, "1");
    world.deliver(outlet, Delivery::Answer { status: 200 }, "2");
    let answer = world.read(token);
    assert!(answer.contains("Connection: close\r\n") && !answer.contains("chunked"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nevent: message\ndata: 1\n\nevent: message\ndata: 2\n\n"), "{answer}");
    world.turn();
    assert!(world.ops.iter().any(|op| matches!(op, Op::Shutdown { .. })));
}

#[test]
fn a_client_that_takes_no_stream_gets_the_answer_alone_and_one_that_takes_no_json_a_stream() {
    let mut world = World::new();
    let token = world.accept();
    let taking = |media: &str| sleep(1).replace("application/json, text/event-stream", media);
    world.ask(token, &taking("application/json"));
    let outlet = outlet(&world, token);
    world.deliver(outlet, Delivery::Interim, "1");
    world.deliver(outlet, Delivery::Answer { status: 200 }, "2");
    assert!(world.read(token).ends_with("Content-Length: 1\r\n\r\n2"));
    world.ask(token, &taking("text/event-stream"));
    let outlet = self::outlet(&world, token);
    world.deliver(outlet, Delivery::Answer { status: 200 }, "3");
    assert_eq!(chunks(&world.read(token)), ["event: message\ndata: 3\n\n", ""]);
}

#[test]
fn a_stateless_request_with_a_session_id_is_stateless() {
    let mut world = World::new();
    let token = world.accept();
    let discover = stateless(1, "server/discover", "").replace("Accept:", "Mcp-Session-Id: any\r\nAccept:");
    let answer = world.ask(token, &discover);
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(!answer.contains("Mcp-Session-Id"));
}
