//! Who comes in: the blacklist and the suspicious are asked about where somebody gets a name, and offences are
//! noted where they happen.

use std::time::Duration;

use weir_ring::time::Now;
use weir_ring::token::Token;
use weir_transports::websocket::close;

use crate::audit::{Action, Event, Record};
use crate::downstream::connection::{Link, Stage};
use crate::error::Error;
use crate::limits::Subject;
use crate::metrics::Feature;
use crate::policy::blacklist::Change;
use crate::policy::suspicion::{Offence, Who};
use crate::turn::{Cx, Shard};

/// Who comes back sooner than this after it has gone is in a hurry.
const RAPID: Duration = Duration::from_secs(1);

/// Connections beyond which one client hoards them.
const HOARD: usize = 16;

impl Shard {
    /// Whether somebody may come in.
    ///
    /// # Errors
    /// `Blacklisted`, `Suspicious`.
    pub(crate) fn let_in(&mut self, who: Who<'_>, now: Now) -> Result<(), Error> {
        let began = self.meter.begin();
        let listed = match who {
            Who::Client(client) => self.blacklist.has_client(client, now.wall),
            Who::Address(address) => self.blacklist.has_address(address, now.wall),
        };
        let refused = self.suspicion.refuses(who, now.mono);
        self.meter.end(Feature::Admission, began);
        let error = match refused {
            _ if listed => Error::Blacklisted,
            Some(retry_after) => Error::Suspicious { retry_after },
            None => return Ok(()),
        };
        self.stats.kept_out += 1;
        if listed {
            self.note(who, Event::Blacklisted, None, now);
        }
        Err(error)
    }

    /// Whether a client may come in; one that comes back in a hurry is in for a while yet.
    ///
    /// # Errors
    /// As [`Shard::let_in`].
    pub(crate) fn let_client_in(&mut self, client: &str, now: Now) -> Result<(), Error> {
        self.let_in(Who::Client(client), now)?;
        let session = self.sessions.find(client).and_then(|id| self.sessions.get(id));
        if session.is_some_and(|session| session.is_away() && now.mono.since(session.heard) < RAPID) {
            self.offends(Who::Client(client), Offence::RapidReconnect, now);
        }
        Ok(())
    }

    /// Somebody did something odd.
    pub(crate) fn offends(&mut self, who: Who<'_>, offence: Offence, now: Now) {
        if self.suspicion.offends(who, offence, &self.config.suspicion, now.mono) {
            self.note(who, Event::SuspiciousBehavior, Some(offence), now);
        }
    }

    /// The client of a session did something odd, unless the gateway made its name up.
    pub(crate) fn client_offends(&mut self, id: Token, offence: Offence, now: Now) {
        let Shard { sessions, suspicion, config, .. } = self;
        let Some(session) = sessions.get(id).filter(|session| !session.is_minted()) else { return };
        if suspicion.offends(Who::Client(&session.client), offence, &config.suspicion, now.mono) {
            let client = session.client.clone();
            self.note(Who::Client(&client), Event::SuspiciousBehavior, Some(offence), now);
        }
    }

    /// Whoever is at the other end of a connection did something odd, unless its address is exempt.
    pub(crate) fn peer_offends(&mut self, token: Token, offence: Offence, now: Now) {
        let address = self.conns.get(token).and_then(|conn| self.addresses.address(conn.peer));
        if let Some(address) = address {
            self.offends(Who::Address(address), offence, now);
        }
    }

    /// A WebSocket or LongPoll session sent what cannot be read.
    pub(crate) fn link_offends(&mut self, token: Token, link: &Link, now: Now) {
        if let Some(id) = link.session {
            self.client_offends(id, Offence::Malformed, now);
        }
        self.peer_offends(token, Offence::Malformed, now);
    }

    /// The client has one connection more.
    pub(crate) fn watch_hoard(&mut self, id: Token, now: Now) {
        if self.sessions.get(id).is_some_and(|session| session.links.as_slice().len() > HOARD) {
            self.client_offends(id, Offence::Hoarding, now);
        }
    }

    fn note(&mut self, who: Who<'_>, event: Event, offence: Option<Offence>, now: Now) {
        self.trail.note(&self.config.audit, now, || {
            let mut record = Record::new(event, Action::Denied, now.wall);
            match who {
                Who::Client(client) => record.client = Some(client.into()),
                Who::Address(address) => record.address = Some(address),
            }
            record.reason = offence.map(|offence| offence.name().into());
            record
        });
    }

    /// The operator has changed the blacklist: who is on it now, and connected, goes.
    pub(crate) fn change_blacklist(&mut self, change: Change, cx: &mut Cx<'_>) {
        let added = match &change {
            Change::Add(subject, _) => Some(subject.clone()),
            Change::Remove(_) => None,
        };
        // The control thread's list has the same bound, and took it.
        let taken = self.blacklist.change(change).is_ok();
        if let Some(subject) = added.filter(|_| taken) {
            self.expel(&subject, cx);
        }
    }

    /// Ends the connections of somebody.
    fn expel(&mut self, subject: &Subject, cx: &mut Cx<'_>) {
        let tokens: Vec<Token> = match subject {
            Subject::Client(client) => {
                let Some(id) = self.sessions.find(client) else { return };
                let of_client = |stage: &Stage| match stage {
                    Stage::Sse(feed) => feed.session == id,
                    stage => stage.link().is_some_and(|link| link.session == Some(id)),
                };
                self.conns.iter().filter(|(_, conn)| of_client(&conn.stage)).map(|(token, _)| token).collect()
            }
            Subject::Network(network) => {
                let address = |peer| self.addresses.address(peer);
                let from_there = |peer| address(peer).is_some_and(|address| network.contains(&address));
                self.conns.iter().filter(|(_, conn)| from_there(conn.peer)).map(|(token, _)| token).collect()
            }
        };
        for token in tokens {
            self.stats.kept_out += 1;
            self.stats.refuse(&Error::Blacklisted);
            self.expel_connection(token, cx);
        }
    }

    fn expel_connection(&mut self, token: Token, cx: &mut Cx<'_>) {
        let Some(conn) = self.conns.get(token) else { return };
        if let Stage::Sse(_) = conn.stage {
            let mut error = Vec::new();
            Error::Blacklisted.write_json(&mut error);
            // EventSource takes this name for a failure, which it is about to see.
            self.tell(token, "error", &error, cx);
            return self.finish(token, cx);
        }
        match conn.stage.link() {
            Some(_) => drop(self.close_link(token, close::POLICY_VIOLATION, "blacklisted", cx)),
            None => self.close(token, cx),
        }
    }
}
