use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;

use super::*;

fn answer(messages: u64) -> Value {
    let transport =
        |connections: u64| json!({"connections": connections, "messages_in": messages, "messages_out": 0});
    let breaker = |name, state| json!({"name": name, "state": state});
    let client = |name, queue: u64| {
        json!({"client_id": name, "transport": "http_sse", "connections": 1,
        "age_seconds": 3_725, "idle_seconds": 4, "queue": queue, "bytes": 4_096, "errors": 0})
    };
    json!({
        "stats": {
            "version": "0.1.0", "uptime_seconds": 90_000, "connections": 12, "bytes_in": 0, "bytes_out": 0,
            "websocket": transport(9), "http_sse": transport(3), "longpoll": transport(0),
            "shards": [{"connections": 7, "operations": 5}, {"connections": 5, "operations": 6}],
        },
        "control": {"admission": "open", "shedding": 0, "shards": [
            {"keys": 4, "turn_ms": 0.1234, "load": {"turns": 0.5, "memory": 0.0}},
            {"keys": 6, "turn_ms": 2.0, "load": {"turns": 1.25, "memory": 0.0}},
        ]},
        "breakers": [breaker("websocket", "closed"), breaker("http_sse", "open"), breaker("router", "half_open")],
        "clients": {"count": 2, "clients": [client("ann", 17), client("bob\u{1b}[2J", 1)]},
    })
}

/// What stands on a screen of this size.
fn screen(state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| view::draw(frame, state)).expect("drawn");
    terminal.backend().to_string()
}

#[test]
fn all_panels_fit_on_80_by_24() {
    let mut state = State::new(true);
    state.take(answer(0));
    state.take(answer(10));
    state.hear(&json!({"event": "pain", "timestamp": "2026-11-21T17:00:01.000Z", "data": {"message": "The disk is full."}}));
    let screen = screen(&state, 80, 24);
    for part in [
        "weir 0.1.0  up 1d01h  connections 12  clients 2  admission open  shedding 0",
        "msg/s",
        "transports",
        "WebSocket",
        "LongPoll",
        "cores",
        "125%",
        "breakers",
        "half_open",
        "signals",
        "17:00:01 The disk is full.",
        "clients by queue",
        "ann",
        "1h02m",
        "q end  s sort  p pause  ? help",
    ] {
        assert!(screen.contains(part), "{part} is not on\n{screen}");
    }
    assert!(!screen.contains('\u{1b}'), "a name steers no terminal");
    assert!(state.history.len() == 1 && state.history[0] > 0, "the second look has rates");
}

#[test]
fn screens_of_any_size_are_drawn() {
    let mut state = State::new(false);
    for size in [(1, 1), (20, 5), (80, 10), (300, 100)] {
        screen(&state, size.0, size.1);
        state.take(answer(1));
    }
}

#[test]
fn keys_sort_pause_and_explain() {
    let key = |code| keys::deed(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    assert_eq!(key(KeyCode::Char('q')), Some(Deed::Quit));
    assert_eq!(key(KeyCode::Char('s')), Some(Deed::Sort));
    assert_eq!(key(KeyCode::Char('x')), None);
    let interrupt = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert_eq!(keys::deed(&interrupt), Some(Deed::Quit));
    let mut state = State::new(false);
    state.take(answer(0));
    let names: Vec<&str> = (0..5).map(|_| state.sort_next().name()).collect();
    assert_eq!(names, ["bytes", "age", "idle", "errors", "queue"]);
    state.pause();
    state.take(json!({}));
    assert!(screen(&state, 80, 24).contains("paused") && screen(&state, 80, 24).contains("ann"));
    state.explain();
    assert!(screen(&state, 80, 24).contains("keys and words"));
    state.miss("no gateway answers".to_owned());
    assert!(screen(&state, 80, 24).contains("no gateway answers"));
}
