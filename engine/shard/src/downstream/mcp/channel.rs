//! Phoenix channels `mcp:NAME`: each carries a session of its own.

use std::sync::Arc;

use weir_ring::token::Token;
use weir_transports::phoenix::{Frame, Payload, Status};

use crate::channels::Join;
use crate::downstream::connection::{Channel, Joined, Link, Presence};
use crate::downstream::identity::is_guest;
use crate::downstream::websocket::Flow;
use crate::error::Error;
use crate::turn::{Cx, Shard};

impl Shard {
    /// Joins `mcp:NAME`. A connection without a name gets one.
    pub(crate) fn join_mcp(
        &mut self,
        token: Token,
        link: &mut Link,
        frame: &Frame<'_>,
        join: &Join,
        text: Option<&str>,
        cx: &mut Cx<'_>,
    ) -> Flow {
        let nameless = link.session.is_none() && join.client_id.is_none();
        let identified = if nameless && link.proof.who().is_none_or(is_guest) {
            let name = self.mint();
            self.take_name(token, link, &name, cx).map(|()| Flow::Go)
        } else {
            self.identify(token, link, join, text, cx)
        };
        match identified {
            Ok(Flow::Go) => {}
            Ok(flow) => return flow,
            Err(error) => {
                self.reply_error(token, link, frame, &error, cx);
                return Flow::Go;
            }
        }
        self.leave_if_joined(token, link, &frame.topic, cx);
        if link.channels.len() >= self.config.topics_per_connection_max {
            self.reply_error(token, link, frame, &Error::insufficient_resources(), cx);
            return Flow::Go;
        }
        link.enter(Channel {
            topic: Arc::from(&*frame.topic),
            join_ref: frame.join_ref.as_deref().map(Into::into),
            ticket: self.next_ticket(),
            presence: Presence::None,
            state: Joined::Mcp { session: None },
        });
        self.reply_to_frame(token, link, frame, Status::Ok, b"{}", cx);
        Flow::Go
    }

    /// A message over a channel: the push itself is only told that it came.
    pub(crate) fn channel_rpc(
        &mut self,
        token: Token,
        link: &mut Link,
        frame: &Frame<'_>,
        payload: Payload<'_>,
        cx: &mut Cx<'_>,
    ) {
        let Payload::Json(text) = payload else {
            let error = Error::malformed("MCP messages are JSON: push them as text");
            return self.reply_error(token, link, frame, &error, cx);
        };
        self.reply_to_frame(token, link, frame, Status::Ok, b"{}", cx);
        self.link_message(token, link, Some(&frame.topic), text, cx);
    }
}
