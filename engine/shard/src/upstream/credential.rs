//! What errands prove themselves with where an upstream wants tokens: fetched by the control thread while they
//! wait.

use weir_ring::token::{Member, Token};

use super::errand::{Place, Purpose};
use super::purse::{Fetched, Found, Holder};
use super::{UpstreamFault, UpstreamId};
use crate::limits::{Credential, Grant, Secret};
use crate::mail::Mail;
use crate::turn::{Cx, Shard};

/// A shard has no token for an upstream.
#[derive(Debug)]
pub struct TokenWanted {
    /// Who asks.
    pub from: Member,
    /// The place of the upstream in the configuration.
    pub upstream: u16,
    /// The token that is to be exchanged; none: the gateway speaks for itself.
    pub subject_token: Option<Secret>,
    pub(crate) holder: Holder,
}

/// The answer to [`TokenWanted`].
#[derive(Debug)]
pub struct TokenCame {
    pub(crate) holder: Holder,
    pub(crate) fetched: Fetched,
}

impl TokenWanted {
    /// What the shard is told.
    pub fn answered(&self, fetched: Fetched) -> Mail {
        Mail::TokenCame(Box::new(TokenCame { holder: self.holder, fetched }))
    }
}

impl Shard {
    /// Gives an errand what it must prove itself with. False: it waits for that, or there is none and it fails.
    pub(super) fn authorize(&mut self, id: Token, cx: &mut Cx<'_>) -> bool {
        let Some(errand) = self.upstream.errands.get(id) else { return false };
        let upstream = errand.upstream;
        // Whether a replica is there is told by a refusal, too.
        let Some(credential) = self.credential_of(upstream) else { return true };
        if errand.authorized || errand.purpose == Purpose::Check {
            return true;
        }
        let (holder, subject_token) = match self.holder_of(id, credential.grant) {
            Ok(found) => found,
            Err(fault) => {
                self.fail_errand(id, fault, cx);
                return false;
            }
        };
        let found = self.upstream.purse.find(holder, cx.now.mono);
        if matches!(found, Found::Nothing | Found::Renew(_)) {
            let wanted = TokenWanted { from: self.me, upstream: upstream.0, subject_token, holder };
            self.send(Member(self.config.shards), Mail::TokenWanted(Box::new(wanted)), cx);
        }
        let Some(errand) = self.upstream.errands.get_mut(id) else { return false };
        match found {
            Found::Token(token) | Found::Renew(token) => {
                errand.request.authorize(&token);
                errand.authorized = true;
                true
            }
            Found::Nothing | Found::Asked => {
                errand.place = Place::Unproved;
                false
            }
            Found::Refused(why) => {
                self.fail_errand(id, UpstreamFault::NoToken(why), cx);
                false
            }
        }
    }

    fn credential_of(&self, upstream: UpstreamId) -> Option<&Credential> {
        self.config.upstreams.get(upstream.index())?.credential.as_ref()
    }

    /// Whom an errand speaks for, and with what that is proved to the authorization server.
    fn holder_of(&self, id: Token, grant: Grant) -> Result<(Holder, Option<Secret>), UpstreamFault> {
        let errand = self.upstream.errands.get(id).ok_or(UpstreamFault::SessionLost)?;
        let upstream = errand.upstream;
        let opener = errand.backing.and_then(|backing| self.backing(backing)?.opening.who.as_ref());
        match (grant, errand.who.as_ref().or(opener).and_then(|who| who.bearer.as_ref())) {
            (Grant::ClientCredentials, _) => Ok((Holder { upstream, subject: [0; 32] }, None)),
            (Grant::TokenExchange, Some(bearer)) => {
                Ok((Holder { upstream, subject: bearer.hash }, Some(bearer.token.clone())))
            }
            (Grant::TokenExchange, None) => Err(UpstreamFault::NoToken(
                "it wants a token of the client's own, and this client came without one; use an access token, no \
                 API key or ticket"
                    .into(),
            )),
        }
    }

    /// A token that was asked for, or why there is none: who waits for it goes on.
    pub(crate) fn token_came(&mut self, came: TokenCame, cx: &mut Cx<'_>) {
        let TokenCame { holder, fetched } = came;
        self.upstream.purse.put(holder, fetched, cx.now.mono);
        let waits = self.upstream.errands.iter();
        let waits =
            waits.filter(|(_, errand)| errand.place == Place::Unproved && errand.upstream == holder.upstream);
        for id in waits.map(|(id, _)| id).collect::<Vec<_>>() {
            if let Some(errand) = self.upstream.errands.get_mut(id) {
                errand.place = Place::Waiting;
            }
            // One that waits for another token finds so and waits on.
            self.dispatch_errand(id, cx);
        }
    }

    /// The upstream has refused a token as such: the next request brings another.
    pub(super) fn token_refused(&mut self, id: Token) {
        let Some(grant) = self
            .upstream
            .errands
            .get(id)
            .and_then(|errand| self.credential_of(errand.upstream))
            .map(|credential| credential.grant)
        else {
            return;
        };
        if let Ok((holder, _)) = self.holder_of(id, grant) {
            self.upstream.purse.drop_token(holder);
        }
    }
}
