//! One HTTP request: what it names, who sends it, and what is done about it.

use weir_ring::token::Token;
use weir_transports::http1::Head;

use crate::acks::Named;
use crate::downstream::connection::{Exchange, Parcel, ParcelStage};
use crate::downstream::endpoint::{self, Endpoint};
use crate::downstream::exchange::{Outcome, Raw};
use crate::downstream::gather::{Gather, Kind, ask_of, reply_to};
use crate::downstream::identity::{Unadmitted, is_guest};
use crate::downstream::reply::Terms;
use crate::downstream::rules::Publisher;
use crate::error::Error;
use crate::limits::{Mode, Permissions, Rate};
use crate::mail::{Mail, Question, ReplyTo};
use crate::message::{Publish, Receiver};
use crate::metrics::{Feature, Received};
use crate::policy::Verdict;
use crate::policy::auth::Principal;
use crate::policy::suspicion::Who;
use crate::route;
use crate::turn::{Cx, Shard};
use crate::vsm::Step;
use weir_ring::token::Member;

/// The header of a single publish (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";

impl Shard {
    pub(crate) fn request(
        &mut self,
        token: Token,
        exchange: &mut Exchange,
        head: &Head<'_>,
        raw: Raw<'_>,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let mut terms = self.terms(head);
        let found = endpoint::find(head.method, head.path, self.config.test_endpoints);
        let opens = found.as_ref().is_ok_and(Endpoint::is_stream);
        if let Err(error) = self.check_peer(token, head, opens, cx) {
            return self.refuse_sender(token, found.ok().as_ref(), &error, terms, cx);
        }
        let provenance = self.provenance(token, head);
        if let Err(error) = provenance.check(&self.config.browser) {
            return self.refuse_sender(token, found.ok().as_ref(), &error, terms, cx);
        }
        if !matches!(found, Err(Error::NotFound { .. })) && self.preflight(token, head, &terms, cx) {
            return Outcome::Done;
        }
        let endpoint = match found {
            Ok(endpoint) => endpoint,
            Err(error) => return self.refuse(token, &error, terms, cx),
        };
        let who = match self.admit(token, exchange, &endpoint, head, raw, cx) {
            Ok(who) => who,
            Err(Unadmitted::Waits(waiting)) => return Outcome::Waiting(waiting),
            Err(Unadmitted::Refused(error)) => {
                self.trace_turned_away(head, &error, cx);
                return self.refuse_sender(token, Some(&endpoint), &error, terms, cx);
            }
        };
        let raw = Raw { who: who.as_ref(), ..raw };
        if endpoint == Endpoint::LongPoll {
            return self.longpoll_request(token, exchange, head, raw, cx);
        }
        if self.draining.is_some() {
            return self.refuse(token, &Error::draining(), Terms { keep_alive: false, ..terms }, cx);
        }
        match endpoint {
            Endpoint::Resource(resource) => self.resource_metadata(token, resource, terms, cx),
            Endpoint::Sse => self.stream_request(token, head, false, raw, cx),
            Endpoint::Events => self.stream_request(token, head, true, raw, cx),
            Endpoint::WebSocket | Endpoint::Phoenix | Endpoint::Echo => {
                self.upgrade_request(token, head, &endpoint, raw, cx)
            }
            Endpoint::Mcp | Endpoint::HttpSse | Endpoint::Messages => {
                self.mcp_http(token, exchange, &endpoint, head, raw, cx)
            }
            _ => {
                let (name, rate) = self.payer(head, raw.who());
                let began = self.meter.begin();
                let (verdict, standing) = self.backends.take(name, &rate, cx.now.mono);
                self.meter.end(Feature::RateLimits, began);
                terms.standing = standing;
                if let Some(name) = name
                    && let Err(error) = self.let_in(Who::Client(name), cx.now)
                {
                    return self.refuse(token, &error, terms, cx);
                }
                if let Verdict::Deny { retry_after } = verdict {
                    return self.refuse(token, &Error::RateLimited { retry_after }, terms, cx);
                }
                self.short_request(token, &endpoint, head, raw, terms, cx)
            }
        }
    }

    /// Whose bucket pays for a request of a backend, and what fits into it.
    fn payer<'a>(&self, head: &Head<'a>, who: Option<&'a Principal>) -> (Option<&'a str>, Rate) {
        let rate = self.rate_of(who.map(Principal::standing), self.config.backend_rate);
        match who.filter(|who| !is_guest(who)) {
            Some(who) => (Some(&who.subject), rate),
            None => (head.header("x-client-id"), rate),
        }
    }

    /// Answers with an error and goes on where the connection may.
    pub(crate) fn refuse(&mut self, token: Token, error: &Error, terms: Terms, cx: &mut Cx<'_>) -> Outcome {
        self.respond_error(token, error, terms, cx);
        if terms.keep_alive {
            return Outcome::Done;
        }
        self.finish(token, cx);
        Outcome::Gone
    }

    /// Hands the connection to the home of `name`, a client or a session, unless it is there. A connection
    /// moves as often as its requests name what is at home elsewhere.
    pub(crate) fn leaves_for(&mut self, token: Token, name: &str, raw: Raw<'_>, cx: &mut Cx<'_>) -> bool {
        self.leaves_to(token, route::home(&self.ring, name), raw, cx)
    }

    /// Hands the connection to this shard, unless it is there.
    pub(crate) fn leaves_to(&mut self, token: Token, home: Member, raw: Raw<'_>, cx: &mut Cx<'_>) -> bool {
        if home != self.me {
            self.depart(
                token,
                home,
                Parcel { stage: ParcelStage::Http, bytes: raw.to_bytes(), tls: None },
                cx,
            );
        }
        home != self.me
    }

    /// Requests that are answered and done.
    fn short_request(
        &mut self,
        token: Token,
        endpoint: &Endpoint<'_>,
        head: &Head<'_>,
        raw: Raw<'_>,
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let (backend, _) = self.payer(head, raw.who());
        let publisher = Publisher::new(token, backend, raw.who(), terms.standing);
        match endpoint {
            Endpoint::Client(name) => {
                let publish = Publish::parse(Receiver::Client(name), head.header(IDEMPOTENCY_KEY), raw.body);
                self.publish_request(token, (publish, head), &publisher, terms, cx)
            }
            Endpoint::Topic(name) => {
                let publish = Publish::parse(Receiver::Topic(name), head.header(IDEMPOTENCY_KEY), raw.body);
                self.publish_request(token, (publish, head), &publisher, terms, cx)
            }
            Endpoint::Batch => self.batch_request(token, self.payer(head, raw.who()), raw, terms, cx),
            Endpoint::Acknowledge => self.ack_request(token, raw, terms, cx),
            Endpoint::Ticket | Endpoint::Refresh if self.config.auth.mode == Mode::Off => {
                self.refuse(token, &Error::NotFound { what: "path" }, terms, cx)
            }
            Endpoint::Ticket => self.ticket_request(token, head, raw, terms, cx),
            Endpoint::Refresh => self.refresh_request(token, head, raw, terms, cx),
            Endpoint::Health(client) => {
                let question = Question::Health { client: client.as_ref().into() };
                self.ask_home(token, client, (question, Kind::Health), terms, cx)
            }
            Endpoint::Presence(topic) if !route::is_topic(topic) => {
                self.refuse(token, &Error::NotFound { what: "topic" }, terms, cx)
            }
            Endpoint::Presence(topic) => {
                let question = Question::Presence { topic: topic.as_ref().into() };
                let kind = Kind::Presence { topic: topic.as_ref().into() };
                self.ask_home(token, topic, (question, kind), terms, cx)
            }
            _ => {
                for shard in 0..self.config.shards {
                    let letter = Mail::Ask { from: self.me, ask: ask_of(token), question: Question::Stats };
                    self.send(Member(shard), letter, cx);
                }
                let left = u32::from(self.config.shards);
                Outcome::Waiting(Gather::new(Kind::Stats(Box::default()), left, terms).into())
            }
        }
    }

    /// A question that the home of `name` answers.
    fn ask_home(
        &mut self,
        token: Token,
        name: &str,
        (question, kind): (Question, Kind),
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let home = route::home(&self.ring, name);
        self.send(home, Mail::Ask { from: self.me, ask: ask_of(token), question }, cx);
        Outcome::Waiting(Gather::new(kind, 1, terms).into())
    }

    fn publish_request(
        &mut self,
        token: Token,
        (publish, head): (Result<Publish, Error>, &Head<'_>),
        publisher: &Publisher<'_>,
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let sent = publish.and_then(|mut publish| {
            self.trace_publish(&mut publish, Some(head), cx);
            let kind = if publish.waits() { Kind::Acknowledgement } else { Kind::Receipt };
            self.take_publish(publish, publisher, reply_to(token, 0), cx).map(|()| kind)
        });
        match sent {
            Ok(kind) => {
                let traced = self.tracer.take_up(None);
                Outcome::Waiting(Gather { traced, ..Gather::new(kind, 1, terms) }.into())
            }
            Err(error) => {
                self.trace_end(Step::Denied, Some(error.reason()), cx);
                self.refuse(token, &error, terms, cx)
            }
        }
    }

    /// Sends a publish on its way, if its publisher may send it.
    ///
    /// # Errors
    /// It may not, or there is no room for it: nothing was accepted.
    pub(crate) fn take_publish(
        &mut self,
        publish: Publish,
        publisher: &Publisher<'_>,
        reply_to: ReplyTo,
        cx: &mut Cx<'_>,
    ) -> Result<(), Error> {
        self.may_publish(publisher.who, &publish)?;
        self.check_publish(&publish, cx)?;
        let mut publish = self.judge_publish(publish, publisher, cx)?;
        self.trace_sent(&mut publish, cx);
        self.stats.messages.received(Received::Publish);
        self.send_publish(publish, reply_to, cx)
    }

    /// Whether a publish may be taken under the load there is.
    ///
    /// # Errors
    /// `LoadShed`.
    pub(crate) fn check_publish(&mut self, publish: &Publish, cx: &Cx<'_>) -> Result<(), Error> {
        let checked = self.check_pressure(publish.lane());
        checked.inspect_err(|error| self.trace_unpublished(publish, error, cx))
    }

    /// What a role may publish to topics is what it may join.
    pub(crate) fn may_publish(&self, who: Option<&Principal>, publish: &Publish) -> Result<(), Error> {
        match publish {
            Publish::Topic(publish) => self.may_join(who, &publish.topic),
            Publish::Client(_) => Ok(()),
        }
    }

    /// One's own, or as a backend for others.
    fn may_acknowledge(&self, who: Option<&Principal>, client: &str) -> Result<(), Error> {
        let own = who.is_some_and(|who| *who.subject == *client);
        let wanted = if own { Permissions::READ } else { Permissions::PUBLISH };
        self.may(who.map(Principal::standing), wanted)
    }

    fn ack_request(&mut self, token: Token, raw: Raw<'_>, terms: Terms, cx: &mut Cx<'_>) -> Outcome {
        #[derive(serde::Deserialize)]
        struct OfClient {
            client_id: String,
            #[serde(flatten)]
            named: Named,
        }
        let parsed =
            serde_json::from_slice::<OfClient>(raw.body).map_err(|e| Error::malformed(e.to_string()));
        let parsed = parsed.and_then(|body| Ok((body.named.ack(None)?, body.client_id.into_boxed_str())));
        let parsed = parsed.and_then(|(ack, client)| {
            self.may_acknowledge(raw.who(), &client)?;
            Ok((ack, client))
        });
        let (ack, client) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return self.refuse(token, &error, terms, cx),
        };
        let home = route::home(&self.ring, &client);
        let letter = Mail::Acknowledge { from: self.me, reply_to: reply_to(token, 0), client, ack };
        self.send(home, letter, cx);
        Outcome::Waiting(Gather::new(Kind::Receipt, 1, terms).into())
    }
}
