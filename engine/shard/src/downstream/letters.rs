//! Letters from other members, each to the code that knows it.

use weir_ring::token::Member;

use crate::downstream::presence::seat;
use crate::mail::{Answer, Mail, Question, ReplyTo};
use crate::message::timestamp;
use crate::metrics::{self, Health};
use crate::policy::routing::{Carrier, Up};
use crate::turn::{Cx, Shard};
use weir_ring::time::Wall;

impl Shard {
    pub(crate) fn letter(&mut self, letter: Mail, cx: &mut Cx<'_>) {
        match letter {
            Mail::Ask { from, ask, question } => self.asked(from, ask, &question, cx),
            Mail::Answer { ask, answer } => self.answered(ask, answer, cx),
            Mail::Drain(order) => self.drain(order, cx),
            Mail::Thaw => self.end_succession(cx),
            Mail::Moved { transfer, parcel, whence } => self.parcel_arrived(transfer, parcel, whence, cx),
            Mail::Poll(letter) => self.poll_letter(*letter, cx),
            Mail::Publish { from, reply_to, publish } => self.publish_client(from, reply_to, &publish, cx),
            Mail::PublishTopic { from, reply_to, publish } => {
                self.publish_topic(from, reply_to, &publish, cx);
            }
            Mail::Published { reply_to, outcome } => match reply_to {
                ReplyTo::Nobody => {}
                ReplyTo::Exchange { connection, line } => {
                    self.exchange_published(connection, line, outcome, cx);
                }
                ReplyTo::Push { connection, push } => self.push_published(connection, &push, outcome, cx),
            },
            Mail::Subscribe { from, subscriber, topic, resume, tracking } => {
                self.subscribe(from, subscriber, topic, (resume, tracking), cx);
            }
            Mail::Subscribed { subscriber, topic, past } => self.subscribed(subscriber, topic, *past, cx),
            Mail::Unsubscribe { from, topic } => self.unsubscribe(from, topic, cx),
            Mail::Watch { from, subscriber, topic } => self.watch(from, subscriber, topic, cx),
            Mail::Watched { subscriber, topic, state } => self.watched(subscriber, &topic, &state, cx),
            Mail::PresenceDiff { topic, frame } => self.presence_diff(&topic, frame, cx.now.mono),
            Mail::Untrack { from, subscriber, topic } => self.rosters.untrack(&topic, seat(from, subscriber)),
            Mail::Fanout { topic, messages } => self.subscribers.enqueue(&topic, messages, cx.now.mono),
            Mail::Acknowledge { from, reply_to, client, ack } => {
                self.acknowledge((from, reply_to), &client, ack, cx);
            }
            Mail::Mcp(letter) => self.mcp_letter(*letter, cx),
            Mail::Handled { connection, push, outcome } => {
                self.push_handled(connection, &push, outcome, cx);
            }
            Mail::Sampling(rate) => self.tracer.set_rate(rate),
            Mail::Trace { client, time } => self.follow(&client, time, cx),
            Mail::Switch(switches) => self.switch(switches),
            Mail::Handlers(count) => self.handlers = count,
            Mail::Connections(changes) => self.count_connections(&changes),
            Mail::Crowded(news) => self.crowded(&news, cx),
            Mail::Squeeze(bytes) => self.squeeze(bytes, cx),
            Mail::Credentials(credentials) => self.set_credentials(credentials),
            Mail::Override(by_hand) => self.override_by_hand(*by_hand, cx),
            Mail::Blacklist(change) => self.change_blacklist(*change, cx),
            Mail::Rules(rules) => self.rules = *rules,
            Mail::Reconfigure(renewal) => self.reconfigure(*renewal, cx),
            // Written to the control thread, never to a shard.
            Mail::Audit(_) => {}
            Mail::Keys(keys) => self.keys_arrived(keys, cx),
            Mail::TokenCame(came) => self.token_came(*came, cx),
            Mail::Prolong(who) => self.prolonged.put(who, cx.now.wall),
            Mail::Revoke { token_id, until } => {
                self.auth.revoke(&token_id, until, cx.now.wall);
                self.revoked = true;
            }
            // The control thread's.
            Mail::KeysWanted { .. } | Mail::TokenWanted(_) | Mail::Signal(_) | Mail::Events { .. } => {}
            Mail::Audience { .. } | Mail::Handle(_) | Mail::Spans { .. } => {}
        }
    }

    fn asked(&mut self, from: Member, ask: u64, question: &Question, cx: &mut Cx<'_>) {
        let answer = match question {
            Question::Stats => Answer::Stats(Box::new(self.figures())),
            Question::HandOver => return self.begin_succession(from, ask, cx),
            Question::Health { client } => Answer::Health(self.health(client, cx)),
            Question::Dead(question) => self.dead_question(question, cx),
            Question::Costs => Answer::Costs(Box::new(self.meter.costs().clone())),
            Question::Behaviour { most } => Answer::Behaviour(self.behaviour(*most, cx)),
            Question::Control => Answer::Control(Box::new(self.control_view(cx))),
            Question::Clients => Answer::Clients(self.clients(cx)),
            Question::Rules => Answer::Rules(self.rules.counts().into()),
            Question::Cleanup { idle } => Answer::Cleaned(self.clean_up(*idle, cx)),
            Question::Presence { topic } => {
                let clients = self.rosters.clients(topic);
                Answer::Presence { clients, state: self.rosters.state(topic) }
            }
        };
        self.send(from, Mail::Answer { ask, answer }, cx);
    }

    fn health(&self, client: &str, cx: &Cx<'_>) -> Option<Box<Health>> {
        let session = self.sessions.get(self.sessions.find(client)?)?;
        let links = session.links.as_slice();
        let conns = || links.iter().filter_map(|link| self.conns.get(link.token));
        let since = conns().filter_map(|conn| conn.since()).min();
        let carrier = |up| session.routing().ordinary(up, &self.config.routing);
        let of_websocket = || links.iter().filter(|link| link.carrier == Carrier::WebSocket);
        let transport = match session.links.up() {
            Up { websocket: false, sse: false } => "none",
            up if carrier(up) == Carrier::Sse => Carrier::Sse.name(),
            _ if of_websocket().all(|link| self.is_poll(link.token)) => "longpoll",
            _ => Carrier::WebSocket.name(),
        };
        let switches = session.routing().switches().iter().map(|switch| metrics::Switch {
            at: timestamp(switch.at).into(),
            from: switch.from.name(),
            to: switch.to.name(),
            reason: switch.reason.name(),
        });
        let ago = cx.now.mono.since(session.heard).as_millis() as u64;
        Some(Box::new(Health {
            client_id: session.client.clone(),
            connected: !links.is_empty(),
            transport,
            connection_age: since.map_or(0, |since| cx.now.mono.as_secs().saturating_sub(since)).into(),
            messages_sent: session.mailbox.as_ref().map_or(0, |mailbox| mailbox.written()),
            messages_received: session.received.into(),
            last_activity: timestamp(Wall(cx.now.wall.0.saturating_sub(ago))).into(),
            pending_acks: session.mailbox.as_ref().map_or(0, |mailbox| mailbox.pending()) as u64,
            queue: conns().map(|conn| conn.egress.queued() as u64).sum(),
            switches: switches.collect(),
        }))
    }
}
