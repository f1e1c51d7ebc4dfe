use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

const ORDINARY: Item = Item { bytes: 100, urgent: false, named: None };

fn limits() -> limits::Routing {
    limits::Routing::default()
}

fn at(seconds: u64) -> Now {
    Now { mono: Instant(seconds * SECOND), wall: Wall(seconds * 1_000) }
}

const fn up(websocket: bool, sse: bool) -> Up {
    Up { websocket, sse }
}

fn choose(routing: &Routing, item: Item, up: Up) -> Carrier {
    routing.course(up, &limits()).carrier(item)
}

/// A client with SSE up for good and a WebSocket that comes and goes.
struct Client {
    routing: Routing,
    now: Now,
    websocket: Option<Instant>,
}

impl Client {
    fn new() -> Client {
        let routing = Routing::new(Carrier::Sse, at(100).mono);
        Client { routing, now: at(100), websocket: None }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = at(self.now.wall.0 / 1_000 + seconds);
        self.routing.look(self.now.mono);
        self.settle(Reason::Stable);
    }

    fn open(&mut self) {
        self.websocket = Some(self.now.mono);
        self.routing.opened(Carrier::WebSocket, self.now.mono);
        self.settle(Reason::Connected);
    }

    fn lose(&mut self) {
        let Some(since) = self.websocket.take() else { return };
        self.routing.broke(Carrier::WebSocket, since, &limits(), self.now.mono);
        self.routing.closed(Carrier::WebSocket);
        self.settle(Reason::ConnectionLost);
    }

    /// A connection that lives this long, and breaks.
    fn flap(&mut self, lives: u64) {
        self.open();
        self.pass(lives);
        self.lose();
    }

    fn settle(&mut self, reason: Reason) -> Option<Switch> {
        self.routing.settle(up(self.websocket.is_some(), true), reason, &limits(), self.now)
    }

    fn uses_websocket(&self) -> bool {
        self.routing.current == Carrier::WebSocket
    }
}

#[test]
fn what_is_up_alone_takes_everything() {
    for named in [None, Some(Carrier::WebSocket), Some(Carrier::Sse)] {
        let item = Item { bytes: 1 << 20, urgent: true, named };
        assert_eq!(choose(&UNROUTED, item, up(true, false)), Carrier::WebSocket);
        assert_eq!(choose(&UNROUTED, item, up(false, true)), Carrier::Sse);
    }
}

#[test]
fn size_urgency_preference_and_name_decide_between_two() {
    let both = up(true, true);
    let (small, large) = (ORDINARY, Item { bytes: 65_537, ..ORDINARY });
    let mut routing = Routing::new(Carrier::WebSocket, at(1).mono);
    let choose = |routing: &Routing, item| choose(routing, item, both);
    assert_eq!(choose(&routing, small), Carrier::WebSocket);
    assert_eq!(choose(&routing, Item { bytes: 65_536, ..small }), Carrier::WebSocket, "not above");
    assert_eq!(choose(&routing, large), Carrier::Sse);
    assert_eq!(choose(&routing, Item { urgent: true, ..large }), Carrier::WebSocket);
    assert_eq!(choose(&routing, Item { named: Some(Carrier::WebSocket), ..large }), Carrier::WebSocket);
    assert_eq!(choose(&routing, Item { named: Some(Carrier::Sse), ..small }), Carrier::Sse);
    routing.prefer(Carrier::Sse);
    assert_eq!(choose(&routing, small), Carrier::Sse);
    assert_eq!(choose(&routing, Item { urgent: true, ..large }), Carrier::Sse);
}

#[test]
fn the_third_loss_in_a_row_makes_it_unstable_until_it_has_been_up_for_the_dwell() {
    let mut client = Client::new();
    for _ in 0..3 {
        client.open();
        assert!(client.uses_websocket());
        client.pass(1);
        client.lose();
        assert!(!client.uses_websocket());
    }
    client.open();
    client.pass(4);
    assert!(!client.uses_websocket());
    assert_eq!(client.routing.look(client.now.mono), Some(client.now.mono.plus(Duration::from_secs(1))));
    client.pass(1);
    assert!(client.uses_websocket());
    assert_eq!(client.routing.look(client.now.mono), None);
    let last = client.routing.switches().last().expect("a switch");
    assert_eq!((last.from, last.to, last.reason), (Carrier::Sse, Carrier::WebSocket, Reason::Stable));
}

#[test]
fn a_connection_that_lived_ends_the_row() {
    let mut client = Client::new();
    for _ in 0..10 {
        client.flap(1);
        client.flap(5);
    }
    client.open();
    assert!(client.uses_websocket());
}

#[test]
fn the_dwell_doubles_while_it_flaps_and_begins_anew_after_peace() {
    let mut client = Client::new();
    let unstable = |client: &mut Client| {
        while {
            client.open();
            client.uses_websocket()
        } {
            client.pass(1);
            client.lose();
        }
    };
    let dwell = |client: &mut Client| {
        let since = client.now.mono;
        client.routing.look(since).expect("a time to look").since(since).as_secs()
    };
    unstable(&mut client);
    for seconds in [5, 10, 20, 40, 60, 60] {
        assert_eq!(dwell(&mut client), seconds);
        client.lose();
        client.open();
    }
    client.pass(60);
    assert!(client.uses_websocket());
    client.lose();
    unstable(&mut client);
    assert_eq!(dwell(&mut client), 60, "it flaps still");
    client.pass(60);
    client.pass(60);
    client.lose();
    unstable(&mut client);
    assert_eq!(dwell(&mut client), 5, "after a minute without");
}

#[test]
fn two_unstable_transports_are_as_good_as_two_stable_ones() {
    let mut routing = Routing::new(Carrier::WebSocket, at(1).mono);
    for carrier in [Carrier::WebSocket, Carrier::Sse] {
        (0..3).for_each(|_| routing.broke(carrier, at(1).mono, &limits(), at(2).mono));
    }
    assert_eq!(choose(&routing, ORDINARY, up(true, true)), Carrier::WebSocket);
}

#[test]
fn one_of_several_may_break_too_often_while_others_are_up() {
    let mut client = Client::new();
    client.open();
    for _ in 0..3 {
        client.routing.broke(Carrier::WebSocket, client.now.mono, &limits(), client.now.mono);
    }
    let switch = client.settle(Reason::Unstable).expect("a switch");
    assert_eq!((switch.from, switch.to), (Carrier::WebSocket, Carrier::Sse));
    client.pass(5);
    assert!(client.uses_websocket());
}

/// One thing that happens to a WebSocket beside a steady SSE stream.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Open,
    Close,
    Lose,
}

fn steps(longest: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..=longest).prop_map(Step::Pass),
        Just(Step::Open),
        Just(Step::Close),
        Just(Step::Lose)
    ];
    proptest::collection::vec(step, 0..80)
}

proptest! {
    /// A transport that never lives for the dwell is tried as often as the threshold says, and no more.
    #[test]
    fn what_flaps_is_left_alone(lives in proptest::collection::vec(0..5_u64, 0..60)) {
        let mut client = Client::new();
        let mut used = 0;
        for lived in lives {
            client.open();
            used += u32::from(client.uses_websocket());
            client.pass(lived);
            client.lose();
        }
        prop_assert!(used <= limits().failover_threshold);
    }

    /// What is chosen is up, whatever happened; the history is bounded, in order, and without holes.
    #[test]
    fn what_is_chosen_is_up(steps in steps(70), bytes in 0..100_000_usize, urgent: bool) {
        let mut client = Client::new();
        for step in steps {
            match step {
                Step::Pass(seconds) => client.pass(seconds),
                Step::Open => client.open(),
                Step::Lose => client.lose(),
                Step::Close => {
                    client.websocket = None;
                    client.routing.closed(Carrier::WebSocket);
                    client.settle(Reason::Closed);
                }
            }
            let up = up(client.websocket.is_some(), true);
            for named in [None, Some(Carrier::WebSocket), Some(Carrier::Sse)] {
                let item = Item { bytes, urgent, named };
                let chosen = choose(&client.routing, item, up);
                prop_assert!(up.has(chosen));
            }
            prop_assert_eq!(client.routing.current, choose(&client.routing, ORDINARY, up));
            let switches = client.routing.switches();
            prop_assert!(switches.len() <= HISTORY);
            prop_assert!(switches.iter().all(|switch| switch.from != switch.to));
            prop_assert!(switches.windows(2).all(|two| two[0].to == two[1].from && two[0].at <= two[1].at));
        }
        // Whatever it was, peace brings it back.
        client.open();
        client.pass(60);
        prop_assert!(client.uses_websocket());
    }
}
