//! Clients that watch the gateway itself: topics `vsm:NAME`, to which the control thread alone publishes what is said
//! on the bus. Phoenix clients join them; an SSE stream names them when it begins, or asks for that of its own client
//! with `debug=true`, and gets what comes from then on.

use std::sync::Arc;

use weir_ring::token::{Member, Token};
use weir_transports::http1::{Head, query};
use weir_transports::phoenix::Version;

use crate::channels::subscribers::{Framing, Serializer};
use crate::downstream::connection::Stage;
use crate::downstream::fan_out::is_open;
use crate::error::Error;
use crate::limits::Permissions;
use crate::mail::{Mail, Subscriber};
use crate::policy::auth::Principal;
use crate::route;
use crate::turn::{Cx, Shard};
use crate::vsm::Topic;

/// How they are written to an SSE stream that names them, and to one that debugs.
const EVENTS: Serializer = Serializer { version: Version::V2, framing: Framing::Event };
const DEBUG: Serializer = Serializer { version: Version::V2, framing: Framing::Debug };

/// A topic of the bus that an SSE stream shows.
#[derive(Debug)]
pub(crate) struct Watched {
    topic: Arc<str>,
    serializer: Serializer,
    /// Its home has said so.
    live: bool,
}

/// What an SSE stream shows of the bus.
#[derive(Debug)]
pub(crate) struct Watching(Vec<Watched>);

impl Watching {
    /// What a request of `client` asks for: `vsm=` and at most so many names with commas between, `debug=true`.
    ///
    /// # Errors
    /// There is no topic of that name, or there are too many.
    fn of_head(head: &Head<'_>, client: &str, most: usize) -> Result<Option<Box<Watching>>, Error> {
        let of = |name| head.query.and_then(|q| query::get(q, name));
        let mut watched: Vec<Watched> = Vec::new();
        for name in of("vsm").iter().flat_map(|names| names.split(',')) {
            let topic = Topic::channel(name).ok_or_else(|| {
                Error::malformed(
                    "vsm names topics: s1_operations to s5_policy, algedonic, transport, client:NAME",
                )
            })?;
            if watched.len() >= most {
                return Err(Error::malformed("vsm names more topics than a connection may have"));
            }
            if !watched.iter().any(|other| *other.topic == topic) {
                watched.push(Watched { topic: topic.into(), serializer: EVENTS, live: false });
            }
        }
        if of("debug").is_some_and(|value| value == "true") {
            let topic = Topic::channel_of(client).ok_or_else(|| {
                Error::malformed("debug shows what one client goes through, on its own stream")
            })?;
            watched.push(Watched { topic: topic.into(), serializer: DEBUG, live: false });
        }
        Ok((!watched.is_empty()).then(|| Box::new(Watching(watched))))
    }
}

impl Shard {
    /// Whether someone may watch the gateway. Where nobody is asked who they are, everyone may, as with its figures.
    pub(crate) fn may_watch(&self, who: Option<&Principal>) -> Result<(), Error> {
        self.may(who.map(Principal::standing), Permissions::OBSERVE)
    }

    /// What an SSE stream is to show, if its client may see it.
    ///
    /// # Errors
    /// There is no such topic, or the client may not.
    pub(crate) fn watching(
        &self,
        head: &Head<'_>,
        client: &str,
        who: Option<&Principal>,
    ) -> Result<Option<Box<Watching>>, Error> {
        let watching = Watching::of_head(head, client, self.config.topics_per_connection_max)?;
        if let Some(Watching(watched)) = watching.as_deref() {
            self.may_watch(who)?;
            watched.iter().try_for_each(|it| self.may_join(who, &it.topic))?;
        }
        Ok(watching)
    }

    /// An SSE stream has begun: asks the homes of what it is to show.
    pub(crate) fn watch_topics(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(Stage::Sse(feed)) = self.conns.get(token).map(|conn| &conn.stage) else { return };
        let Some(Watching(watched)) = feed.watching.as_deref() else { return };
        let topics: Vec<Arc<str>> = watched.iter().map(|it| Arc::clone(&it.topic)).collect();
        for topic in topics {
            let home = route::home(&self.ring, &topic);
            // A stream watches what it watches for as long as it lasts.
            let subscriber = Subscriber { token, ticket: 0 };
            let (resume, tracking) = (None, None);
            self.send(home, Mail::Subscribe { from: self.me, subscriber, topic, resume, tracking }, cx);
        }
    }

    /// A topic's home has subscribed this shard for an SSE stream. False: there is no such stream.
    pub(crate) fn watch_answered(&mut self, token: Token, topic: &Arc<str>) -> bool {
        let stage = self.conns.get_mut(token).map(|conn| &mut conn.stage);
        let Some(Stage::Sse(feed)) = stage else { return false };
        let watched = feed.watching.as_deref_mut().map(|Watching(watched)| watched);
        // One that is watched twice is answered twice.
        let next = watched.and_then(|all| all.iter_mut().find(|it| it.topic == *topic && !it.live));
        let Some(watched) = next else { return false };
        watched.live = true;
        self.subscribers.add(topic, watched.serializer, token);
        true
    }

    /// An SSE stream has ended.
    pub(crate) fn unwatch(&mut self, Watching(watched): Watching, cx: &mut Cx<'_>) {
        for Watched { topic, .. } in watched.into_iter().filter(|it| it.live) {
            let Shard { subscribers, conns, .. } = self;
            subscribers.forget(&topic, |other| is_open(conns, other));
            let home = route::home(&self.ring, &topic);
            self.send(home, Mail::Unsubscribe { from: self.me, topic }, cx);
        }
    }

    /// At a topic's home: a shard has one subscriber fewer.
    pub(crate) fn unsubscribe(&mut self, from: Member, topic: Arc<str>, cx: &mut Cx<'_>) {
        self.topics.unsubscribe(&topic, from);
        if Topic::of_channel(&topic).is_some() && !self.topics.is_subscribed(&topic) {
            self.tell_audience(topic, false, cx);
        }
    }

    /// At the home of a topic of the bus: the control thread publishes there while somebody watches.
    pub(crate) fn tell_audience(&mut self, topic: Arc<str>, watched: bool, cx: &mut Cx<'_>) {
        self.send(self.control(), Mail::Audience { topic, watched }, cx);
    }
}
