//! `mcp:gateway`: the join that names a connection and begins the client's own stream on it.

use std::borrow::Cow;

use weir_ring::token::Token;
use weir_transports::phoenix::{self, Frame, Status};

use crate::channels::Join;
use crate::downstream::connection::{Channel, Joined, Link, Presence};
use crate::downstream::identity::name_of;
use crate::downstream::opening::{Opened, Opening};
use crate::downstream::websocket::Flow;
use crate::error::Error;
use crate::lane::Lane;
use crate::outbox::Gap;
use crate::policy::routing::Carrier;
use crate::route;
use crate::turn::{Cx, Shard};

/// Connections one client may have at once.
const LINKS_MAX: usize = 64;

impl Shard {
    pub(crate) fn join_gateway(
        &mut self,
        token: Token,
        link: &mut Link,
        frame: &Frame<'_>,
        join: &Join,
        text: Option<&str>,
        cx: &mut Cx<'_>,
    ) -> Flow {
        match self.identify(token, link, join, text, cx) {
            Ok(Flow::Go) => {}
            Ok(flow) => return flow,
            Err(error) => {
                self.reply_error(token, link, frame, &error, cx);
                return Flow::Go;
            }
        }
        let Some(id) = link.session else { return Flow::Go };
        self.leave_if_joined(token, link, route::GATEWAY, cx);
        let links = self.sessions.get(id).map_or(0, |session| session.links.as_slice().len());
        if links >= LINKS_MAX {
            self.reply_error(token, link, frame, &Error::insufficient_resources(), cx);
            return Flow::Go;
        }
        let mut opening = Opening::of_join(join, link.opening.take().map(|opening| *opening));
        opening.encryption |= link.encrypted;
        let opened = self.take_stream(token, id, Carrier::WebSocket, opening, link.proof.who(), cx);
        let Opened { marks, gaps, connected, .. } = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.reply_error(token, link, frame, &error, cx);
                return Flow::Go;
            }
        };
        link.marks = marks;
        link.gateway = true;
        link.enter(Channel {
            topic: std::sync::Arc::clone(&self.gateway),
            join_ref: frame.join_ref.as_deref().map(Into::into),
            ticket: 0,
            presence: Presence::None,
            state: Joined::Gateway,
        });
        self.reply_to_frame(token, link, frame, Status::Ok, &connected, cx);
        for gap in gaps {
            self.gap_on_link(token, link, id, gap, cx);
        }
        self.hungry.push(token);
        if let Some(room) = &join.room {
            self.join_room(token, link, room, cx);
        }
        Flow::Go
    }

    /// Makes sure the connection has a name and is at its home.
    pub(crate) fn identify(
        &mut self,
        token: Token,
        link: &mut Link,
        join: &Join,
        text: Option<&str>,
        cx: &mut Cx<'_>,
    ) -> Result<Flow, Error> {
        self.agree_encryption(link, join)?;
        let claimed = join.client_id.as_deref();
        if let Some((id, session)) = link.session.and_then(|id| Some((id, self.sessions.get(id)?))) {
            let client = claimed.unwrap_or(&session.client);
            name_of(Some(client.into()), link.proof.who())?;
            if *client != *session.client {
                return Err(Error::ClientIdMismatch);
            }
            self.claim(token, id, link.proof.who(), cx)?;
            return Ok(Flow::Go);
        }
        let name = name_of(claimed.map(Cow::Borrowed), link.proof.who())?.ok_or(Error::ClientIdRequired)?;
        let name = route::check_client_id(&name)?;
        let home = route::home(&self.ring, name);
        if home != self.me
            && !link.arrived
            && let Some(text) = text
        {
            return Ok(Flow::Move { to: home, join: text.into() });
        }
        if home != self.me {
            return Err(Error::ClientIdMismatch);
        }
        let name = name.to_owned();
        self.take_name(token, link, &name, cx)?;
        Ok(Flow::Go)
    }

    fn gap_on_link(
        &mut self,
        token: Token,
        link: &Link,
        id: Token,
        (lane, gap): (Lane, Gap),
        cx: &mut Cx<'_>,
    ) {
        let Some(session) = self.sessions.get(id) else { return };
        let payload = crate::downstream::stream::gap_json(session.epoch, lane, gap);
        self.stats.missed.told(gap);
        let mut push = Vec::new();
        phoenix::push(link.version(), &mut push, None, route::GATEWAY, "gap", &payload, None);
        self.put_text(token, link, &push, cx);
    }
}
