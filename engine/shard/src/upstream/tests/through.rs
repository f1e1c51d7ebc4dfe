//! The hub over the scripted servers: what it asks of them, and when.

use weir_transports::jsonrpc;

use super::*;
use crate::mcp::outlet::{Asker, Client, From, Outlet};
use crate::mcp::session::Carrier;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
const CLIENT: Token = Token { index: 500, generation: 1 };
const OUTLET: Outlet = Outlet::Link { connection: CLIENT };
const AGAIN: Duration = Duration::from_millis(2_100);

impl World {
    /// A world in which the hub hears for itself.
    fn whole(upstreams: Vec<Upstream>) -> World {
        let mut world = World::new(server(vec![http(1)]));
        let mut config = Config { upstreams, ..Config::default() };
        config.mcp.builtin = false;
        world.shard = Shard::new(Arc::new(config), Member(0), 7);
        world.turn();
        world
    }

    fn say(&mut self, client: Client, outlet: Outlet, text: &str) {
        self.act(|shard, cx| {
            let message = jsonrpc::decode(text).expect("a message");
            shard.mcp_message(
                From { outlet, client, who: None, asker: Asker::Socket(None), headers: &[] },
                message,
                cx,
            );
        });
    }

    /// A stateless request; `params` are what it has beside `_meta`.
    fn request(&mut self, method: &str, params: &str) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{META}}}}}"#);
        self.say(Client::Stateless, OUTLET, &text);
    }

    /// A session whose own stream keeps all that it is told.
    fn session(&mut self) -> Token {
        let params = r#"{"protocolVersion":"2025-06-18"}"#;
        let carrier = Carrier::Streamable(Box::default());
        self.act(|shard, cx| shard.mcp_open(Some(params), carrier, None, cx).expect("a session"))
    }

    /// The upstream answers the last request that was written to it with this result.
    fn answer(&mut self, wire: Token, result: &str) {
        let asked = self.written(wire);
        let (_, body) = asked.rsplit_once("\r\n\r\n").expect("a request");
        let jsonrpc::Message::Request { id, .. } = jsonrpc::decode(body).expect("a request") else {
            panic!("{body}")
        };
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.as_json());
        self.receive(wire, json(200, &body).as_bytes());
    }

    /// A legacy server without sessions answers all but what clients ask.
    fn serve_legacy(&mut self) {
        loop {
            while !self.dialled.is_empty() {
                self.accept();
            }
            let Some(((index, generation), asked)) = self.written.pop_first() else { return };
            let asked = String::from_utf8_lossy(&asked);
            let answer = match &*asked {
                get if get.starts_with("GET ") => json(405, ""),
                hello if hello.contains(r#""initialize""#) => json(200, INITIALIZED),
                ready if ready.contains("notifications/") => ACCEPTED.to_owned(),
                probe if probe.contains("server/discover") => json(400, "{}"),
                _ => continue,
            };
            self.receive(Token { index, generation }, answer.as_bytes());
        }
    }

    fn calls(&self) -> u32 {
        self.shard.mcp.calls.len()
    }
}

fn named(name: &str, port: u16) -> Upstream {
    Upstream { name: name.into(), targets: vec![http(port)], ..Upstream::default() }
}

/// One modern server, which has told what it is over the wire that is given back.
fn modern() -> (World, Token) {
    let mut world = World::whole(vec![named("one", 1)]);
    world.request("tools/list", "");
    let wire = world.accept();
    world.written(wire);
    world.receive(wire, json(200, DISCOVERED).as_bytes());
    (world, wire)
}

#[test]
fn what_is_public_is_asked_once_until_its_time_is_up() {
    let (mut world, wire) = modern();
    world.answer(wire, r#"{"resultType":"complete","tools":[],"ttlMs":1000,"cacheScope":"public"}"#);
    assert_eq!(world.calls(), 0);
    world.request("tools/list", "");
    assert_eq!((world.calls(), world.written(wire)), (0, String::new()));
    world.request("tools/list", r#""cursor":"a","#);
    assert_eq!(world.calls(), 1, "another page");
    world.answer(wire, r#"{"tools":[],"ttlMs":1000,"cacheScope":"private"}"#);
    for _ in 0..2 {
        world.request("tools/list", r#""cursor":"a","#);
        world.answer(wire, r#"{"tools":[],"ttlMs":1000,"cacheScope":"private"}"#);
    }
    world.pass(Duration::from_millis(1_100));
    world.request("tools/list", "");
    assert!(world.written(wire).contains("tools/list") && world.calls() == 1);
}

#[test]
fn news_on_the_way_make_what_is_kept_stale() {
    let (mut world, wire) = modern();
    let public = r#"{"resultType":"complete","tools":[],"ttlMs":100000,"cacheScope":"public"}"#;
    world.answer(wire, public);
    world.request("tools/call", r#""name":"add","#);
    let changed = r#"data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    world.receive(wire, events(&[&format!("{changed}\n\n")], false).as_bytes());
    world.request("tools/list", "");
    let other = world.accept();
    assert!(world.written(other).contains("tools/list"));
}

#[test]
fn who_listens_is_served_when_the_servers_are_back() {
    let mut world = World::whole(vec![named("one", 1), named("two", 2)]);
    world.request("subscriptions/listen", r#""notifications":{"toolsListChanged":true},"#);
    for _ in 0..6 {
        assert_eq!(world.dialled.len(), 2, "each is tried once");
        world.refuse();
        world.refuse();
        world.pass(AGAIN);
    }
    for wire in [world.accept(), world.accept()] {
        world.receive(wire, json(200, DISCOVERED).as_bytes());
        let listening = world.accept();
        assert!(world.written(listening).contains("subscriptions/listen"));
    }
    assert_eq!(world.calls(), 1);
    world.act(|shard, cx| shard.mcp_abandoned(OUTLET, cx));
    assert_eq!((world.calls(), world.shard.mcp.legs.len()), (0, 0));
}

#[test]
fn an_introduction_waits_for_no_server_that_has_failed() {
    let mut world = World::whole(vec![named("one", 1), named("two", 2)]);
    world.request("server/discover", "");
    world.refuse();
    assert_eq!(world.calls(), 1, "the other may still say what it is");
    world.refuse();
    assert_eq!(world.calls(), 0);
    world.request("server/discover", "");
    assert_eq!(world.calls(), 0, "both have failed");
}

#[test]
fn an_errand_ends_with_its_session() {
    let mut world = World::whole(vec![named("one", 1)]);
    let session = world.session();
    let (client, own) = (Client::Session(session), Outlet::Session { session });
    world.say(client, own, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let wire = world.accept();
    world.receive(wire, json(400, "{}").as_bytes());
    let logs = INITIALIZED.replace(r#""capabilities":{}"#, r#""capabilities":{"logging":{}}"#);
    world.receive(wire, json(200, &logs).replacen("\r\n", "\r\nMcp-Session-Id: s1\r\n", 1).as_bytes());
    world.receive(wire, ACCEPTED.as_bytes());
    let stream = world.accept();
    world.receive(stream, json(405, "").as_bytes());
    let level = r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"info"}}"#;
    world.say(client, own, level);
    assert_eq!(world.shard.mcp.legs.len(), 1);
    world.act(|shard, cx| shard.mcp_close(session, cx));
    assert_eq!(world.shard.mcp.legs.len(), 0);
}

#[test]
fn a_server_that_was_missing_is_tried_until_it_is_back() {
    let mut world = World::whole(vec![named("one", 1), named("two", 2)]);
    world.session();
    world.request("tools/list", "");
    let (_, first) = world.dialled[0].clone();
    let wire = world.accept();
    world.receive(wire, json(200, DISCOVERED).as_bytes());
    world.answer(wire, r#"{"tools":[]}"#);
    assert_ne!(world.refuse(), first);
    assert_eq!(world.calls(), 0, "the list is answered without it");
    world.pass(Duration::from_millis(5_100));
    assert_eq!(world.shard.stats.appended, 0);
    let back = world.accept();
    let tools = DISCOVERED.replace(r#""capabilities":{}"#, r#""capabilities":{"tools":{}}"#);
    world.receive(back, json(200, &tools).as_bytes());
    assert_eq!(world.shard.stats.appended, 1, "the session is told once");
    world.pass(Duration::from_millis(20_000));
    assert!(world.dialled.is_empty() && world.shard.stats.appended == 1);
}

#[test]
fn a_lease_ends_once_nobody_has_used_it_for_the_pools_idle_time() {
    let mut world = World::whole(vec![named("one", 1)]);
    let leased = r#""name":"add","#;
    let text = META.replace(r#"clientCapabilities":{}"#, r#"clientCapabilities":{"roots":{}}"#);
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{leased}{text}}}}}"#);
    world.say(Client::Stateless, OUTLET, &text);
    world.serve_legacy();
    assert_eq!(world.shard.mcp_stats().leases, 1);
    world.act(|shard, cx| shard.mcp_abandoned(OUTLET, cx));
    let held = world.shard.upstream.backings.len();
    world.pass(Duration::from_secs(299));
    assert_eq!(world.shard.upstream.backings.len(), held);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.shard.upstream.backings.len(), held - 1);
}
