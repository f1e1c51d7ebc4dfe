//! A newer token in the place of the old one, without a new connection: over HTTP, and on the client's own
//! channel.

use std::sync::Arc;

use weir_ring::token::Token;
use weir_transports::http1::Head;
use weir_transports::phoenix::{Frame, Status};

use crate::downstream::connection::Link;
use crate::downstream::endpoint::Endpoint;
use crate::downstream::exchange::{Outcome, Raw};
use crate::downstream::identity::carried::{self, Carried};
use crate::downstream::identity::is_guest;
use crate::downstream::identity::life::Proof;
use crate::downstream::reply::Terms;
use crate::downstream::websocket::Flow;
use crate::error::Error;
use crate::mail::Mail;
use crate::policy::auth::{Credential, Denied, Principal, Refreshed};
use crate::route;
use crate::turn::{Cx, Shard};

impl Shard {
    /// `POST /mcp/token/refresh`: the same token, or a new one if less than a fifth of its life is left. The
    /// subject's connections go on with it.
    pub(crate) fn refresh_request(
        &mut self,
        token: Token,
        head: &Head<'_>,
        raw: Raw<'_>,
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let Some(who) = raw.who().filter(|who| !is_guest(who)) else {
            return self.refuse(token, &Error::MissingToken, terms, cx);
        };
        let old = match carried::of(head, &Endpoint::Refresh, false) {
            Ok(Some(Carried::Bearer(old))) if who.expires.is_some() => old,
            Ok(_) => {
                let error = Error::malformed("only tokens are refreshed; an API key does not run out");
                return self.refuse(token, &error, terms, cx);
            }
            Err(error) => return self.refuse(token, &error, terms, cx),
        };
        let (new, left) = match self.refreshed(&old, cx) {
            Ok(refreshed) => refreshed,
            Err(denied) => return self.refuse(token, &denied.error(), terms, cx),
        };
        let refreshed = new.is_some();
        let body = serde_json::json!({
            "token": new.as_deref().unwrap_or(&old),
            "expires_in": left,
            "refreshed": refreshed,
        });
        self.respond(token, 200, body.to_string().as_bytes(), terms, cx);
        Outcome::Done
    }

    /// A token's successor, if it has one, and for how many seconds that is good. The subject's connections
    /// learn of it.
    fn refreshed(&mut self, old: &str, cx: &mut Cx<'_>) -> Result<(Option<String>, u64), Denied> {
        let Refreshed { token, expires } = self.auth.refresh(old, &self.config.auth, cx.now)?;
        if let Some(new) = &token {
            let newer = self.auth.authenticate(Credential::Bearer(new), &self.config.auth, cx.now)?;
            let home = route::home(&self.ring, &newer.subject);
            self.send(home, Mail::Prolong(newer), cx);
        }
        Ok((token, expires.0.saturating_sub(cx.now.wall.0) / 1_000))
    }

    /// The event `refresh {token}`: from now on the connection stands on this token.
    pub(crate) fn refresh_link(
        &mut self,
        token: Token,
        link: &mut Link,
        frame: &Frame<'_>,
        payload: &str,
        cx: &mut Cx<'_>,
    ) -> Flow {
        match self.proved_anew(link, payload, cx) {
            Ok(who) => {
                let left = who.expires.map_or(0, |at| at.0.saturating_sub(cx.now.wall.0) / 1_000);
                link.proof = Proof::new(Some(who), cx.now.wall);
                self.watch_proof(token, &link.proof, cx.now);
                let body = format!(r#"{{"expires_in":{left}}}"#);
                self.reply_to_frame(token, link, frame, Status::Ok, body.as_bytes(), cx);
                Flow::Go
            }
            Err(error) => {
                self.reply_error(token, link, frame, &error, cx);
                self.disproved(token, link, &error, cx)
            }
        }
    }

    fn proved_anew(&mut self, link: &Link, payload: &str, cx: &mut Cx<'_>) -> Result<Arc<Principal>, Error> {
        #[derive(serde::Deserialize)]
        struct Refresh<'a> {
            #[serde(borrow)]
            token: std::borrow::Cow<'a, str>,
        }
        let refresh = serde_json::from_str::<Refresh<'_>>(payload);
        let refresh = refresh.map_err(|e| Error::malformed(format!("refresh payload: {e}")))?;
        let who = self.prove(Credential::Bearer(&refresh.token), cx)?;
        match link.proof.who() {
            Some(before) if before.subject == who.subject => Ok(who),
            _ => Err(Error::ClientIdMismatch),
        }
    }
}
