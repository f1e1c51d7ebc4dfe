//! Tickets: what a page that has a token puts into a URL instead. Each opens one stream of one client, once,
//! within seconds.

use std::sync::Arc;

use weir_ring::token::Token;
use weir_transports::http1::{Head, query};

use crate::downstream::exchange::{Outcome, Raw};
use crate::downstream::identity::carried::TICKET;
use crate::downstream::identity::{is_guest, name};
use crate::downstream::reply::Terms;
use crate::error::Error;
use crate::limits::{Mode, Permissions};
use crate::policy::auth::{Authenticator, Denied, Principal};
use crate::route;
use crate::turn::{Cx, Shard};

/// What a ticket may allow: with it nobody can be another client than the one it is for, at whose home it is
/// remembered as used.
const KEPT: [Permissions; 5] =
    [Permissions::READ, Permissions::WRITE, Permissions::PUBLISH, Permissions::OBSERVE, Permissions::DEBUG];

impl Shard {
    /// `POST /mcp/ticket`: for the client that sends it, or that it names if it may speak for others.
    pub(crate) fn ticket_request(
        &mut self,
        token: Token,
        head: &Head<'_>,
        raw: Raw<'_>,
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let holder = match self.ticket_for(head, raw) {
            Ok(holder) => holder,
            Err(error) => return self.refuse(token, &error, terms, cx),
        };
        let life = self.config.auth.ticket_ttl;
        let ticket = Authenticator::ticket(&holder, life, cx.now.wall, &mut self.seal);
        let body = serde_json::json!({ "ticket": ticket, "expires_in": life.as_secs() });
        self.respond(token, 200, body.to_string().as_bytes(), terms, cx);
        Outcome::Done
    }

    /// Who a ticket will prove: the client itself, that cannot be another.
    fn ticket_for(&self, head: &Head<'_>, raw: Raw<'_>) -> Result<Principal, Error> {
        let who = raw.who().filter(|who| !is_guest(who)).ok_or(Error::MissingToken)?;
        let client = name(head, raw.who())?.ok_or(Error::ClientIdRequired)?;
        let held = KEPT.into_iter().filter(|one| who.may(*one));
        let permissions = held.fold(Permissions::NONE, |all, one| all | one);
        Ok(Principal {
            subject: route::check_client_id(&client)?.into(),
            permissions,
            ..Principal::clone(who)
        })
    }

    /// Who a ticket proves, which is not used up by that.
    pub(super) fn ticket_holder(&self, ticket: &str, cx: &Cx<'_>) -> Result<Arc<Principal>, Denied> {
        self.auth.read_ticket(ticket, &self.seal, cx.now.wall).map(Arc::new)
    }

    /// At the home of the client: if a request has come with a ticket, that is used up now.
    ///
    /// # Errors
    /// It has been before.
    pub(crate) fn spend_ticket(&mut self, head: &Head<'_>, cx: &Cx<'_>) -> Result<(), Error> {
        if self.config.auth.mode == Mode::Off {
            return Ok(());
        }
        let Some(ticket) = head.query.and_then(|query| query::get(query, TICKET)) else { return Ok(()) };
        let redeemed = self.auth.redeem(&ticket, &self.seal, cx.now.wall);
        redeemed.map(|_| ()).map_err(Denied::error)
    }
}
