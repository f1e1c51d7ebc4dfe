use crate::downstream::mcp::tests::World;

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /mcp/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n\
         {body}"
    )
}

fn batch(lines: usize) -> String {
    let line = |n| format!("{{\"client\":\"u\",\"type\":\"t\",\"data\":{n}}}\n\n");
    post("batch", &(0..lines).map(line).collect::<String>())
}

fn world(lines_max: usize) -> World {
    World::with(|config| config.turn.lines_max = lines_max)
}

/// The numbers that an answer says its lines got.
fn sequences(answer: &str) -> Vec<u64> {
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let lines = body.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    lines.map(|line| line["sequence"].as_u64().expect("a number")).collect()
}

#[test]
fn a_batch_of_many_turns_is_answered_whole_and_in_order() {
    for (lines_max, lines) in [(1, 10), (3, 9), (3, 10), (100, 300), (usize::MAX, 10)] {
        let mut world = world(lines_max);
        let connection = world.accept();
        let answer = world.ask(connection, &batch(lines));
        assert_eq!(sequences(&answer), (1..=lines as u64).collect::<Vec<_>>(), "{lines_max}");
        assert_eq!(
            sequences(&world.ask(connection, &batch(1))),
            [lines as u64 + 1],
            "the next request is served"
        );
    }
}

#[test]
fn others_are_served_before_a_long_batch_has_been_read() {
    let mut world = world(2);
    let (batching, other) = (world.accept(), world.accept());
    world.send(batching, &batch(9));
    let answer = world.ask(other, &post("clients/u/messages", r#"{"type":"t","data":"urgent"}"#));
    let sequence: serde_json::Value =
        serde_json::from_str(answer.split_once("\r\n\r\n").expect("an answer").1).expect("JSON");
    assert_eq!(sequence["sequence"], 3, "after the lines of the first turn");
    assert_eq!(sequences(&world.read(batching)), [1, 2, 4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn a_batch_without_a_line_is_refused_also_when_it_had_to_wait() {
    let mut world = world(1);
    let (first, second) = (world.accept(), world.accept());
    world.send(first, &batch(3));
    let answer = world.ask(second, &post("batch", "\n\n \n"));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn who_hangs_up_leaves_the_rest_unread() {
    let mut world = world(1);
    let (gone, other) = (world.accept(), world.accept());
    world.send(gone, &batch(50));
    world.reset(gone);
    let sequence = sequences(&world.ask(other, &batch(1)))[0];
    assert!(sequence <= 3, "{sequence}");
}
