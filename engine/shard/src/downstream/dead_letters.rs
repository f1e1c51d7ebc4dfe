//! Dead letters of this shard's clients: how messages become such, and how they come back.

use weir_ring::token::Token;

use crate::acks::Flight;
use crate::dead::{DeadLetter, MessageId, View};
use crate::durable::{log_dead, log_gone};
use crate::lane::Lane;
use crate::mail::{Answer, DeadQuestion};
use crate::outbox::Entry;
use crate::session::Session;
use crate::stream::Sequence;
use crate::turn::{Cx, Shard};

impl Shard {
    /// Gives a message up. False if there is no room: it stays where it is.
    pub(crate) fn bury(
        &mut self,
        id: Token,
        (lane, sequence): (Lane, Sequence),
        entry: &Entry,
        cx: &Cx<'_>,
    ) -> bool {
        let Some(Session { client, epoch, .. }) = self.sessions.get(id) else { return false };
        let letter = DeadLetter {
            client: client.clone(),
            body: entry.body.clone(),
            class: entry.class,
            attempts: self.config.delivery.attempts_max,
            died: cx.now.wall,
            redriven: false,
        };
        let message = MessageId { epoch: *epoch, lane, sequence };
        let buried = self.dead.bury(message, letter, &self.config.delivery).is_ok();
        if let Some(letter) = self.dead.get(message).filter(|_| buried) {
            log_dead(&mut self.journal, message, letter);
        }
        self.stats.delivery.dead += u64::from(buried);
        self.stats.delivery.refused += u64::from(!buried);
        buried
    }

    /// Answers about dead letters, and does with them what is asked for.
    pub(crate) fn dead_question(&mut self, question: &DeadQuestion, cx: &mut Cx<'_>) -> Answer {
        match question {
            DeadQuestion::List { client, after, limit } => {
                let letters = self.dead.list(client.as_deref(), *after).take(*limit);
                Answer::Dead(letters.map(|(id, letter)| View::of(id, letter)).collect())
            }
            DeadQuestion::Show(id) => {
                let letter = self.dead.get(*id);
                Answer::Dead(letter.map(|letter| View::whole(*id, letter)).into_iter().collect())
            }
            DeadQuestion::Redrive(id) => {
                self.redrive(*id, cx);
                let letter = self.dead.get(*id);
                Answer::Dead(letter.map(|letter| View::of(*id, letter)).into_iter().collect())
            }
            DeadQuestion::Purge(id) => {
                let letter = self.purge(*id);
                Answer::Dead(letter.map(|letter| View::of(*id, &letter)).into_iter().collect())
            }
            DeadQuestion::RedriveAll { client } => {
                let all = self.letters_of(client.as_deref());
                Answer::DeadCount(all.into_iter().filter(|id| self.redrive(*id, cx)).count())
            }
            DeadQuestion::PurgeAll { client } => {
                let all = self.letters_of(client.as_deref());
                Answer::DeadCount(all.into_iter().filter_map(|id| self.purge(id)).count())
            }
        }
    }

    fn letters_of(&self, client: Option<&str>) -> Vec<MessageId> {
        self.dead.list(client, None).map(|(id, _)| id).collect()
    }

    /// Sends a letter again as soon as its client has a connection. False if it is none, or already on its way,
    /// or there is no room for the client's session.
    fn redrive(&mut self, letter: MessageId, cx: &mut Cx<'_>) -> bool {
        let dead = self.dead.get(letter).filter(|dead| !dead.redriven);
        let Some(client) = dead.map(|dead| dead.client.clone()) else { return false };
        let Ok(id) = self.open_session(&client, cx) else { return false };
        self.dead.set_out(letter);
        self.stats.delivery.redriven += 1;
        let Some(ledger) = self.open_ledger(id, cx) else { return false };
        ledger.redriven.push((letter, Flight::due(ledger.clock.read(cx.now.mono))));
        self.changed(id);
        self.watch_age(id, cx);
        true
    }

    /// Throws a letter away, on its way or not.
    fn purge(&mut self, letter: MessageId) -> Option<DeadLetter> {
        let dead = self.dead.remove(letter)?;
        log_gone(&mut self.journal, letter, &dead);
        if let Some(ledger) = self.sessions.find(&dead.client).and_then(|id| self.ledger(id)) {
            ledger.end_redrive(letter);
        }
        Some(dead)
    }

    /// Letters on their way whose time has come: written, or dead once more.
    pub(crate) fn redriven_overdue(&mut self, id: Token, cx: &mut Cx<'_>) {
        let delivery = self.config.delivery.clone();
        let Some(ledger) = self.ledger(id) else { return };
        let at = ledger.clock.read(cx.now.mono);
        for (letter, exhausted) in ledger.redriven_due(at, &delivery) {
            if exhausted {
                self.die_again(id, letter, cx);
                continue;
            }
            let Some(dead) = self.dead.get(letter) else { continue };
            let entry = Entry { at: cx.now.mono, body: dead.body.clone(), class: dead.class, ttl_ms: 0 };
            let carrier = self.write_again(id, None, &entry, cx);
            let random = self.random.next();
            let Some(flight) = self.ledger(id).and_then(|ledger| ledger.redrive(letter)) else { continue };
            match carrier {
                None => flight.wait(None, at, &delivery, random),
                Some(carrier) => flight.again(carrier, at, &delivery, random),
            }
        }
    }

    fn die_again(&mut self, id: Token, letter: MessageId, cx: &Cx<'_>) {
        let flight = self.ledger(id).and_then(|ledger| ledger.end_redrive(letter));
        self.dead.come_back(letter, flight.map_or(0, |flight| flight.attempts), cx.now.wall);
        if let Some(dead) = self.dead.get(letter) {
            log_dead(&mut self.journal, letter, dead);
        }
        self.stats.delivery.dead += 1;
    }

    /// The client has a letter that was on its way. False if it was not.
    pub(crate) fn redriven_arrived(&mut self, id: Token, letter: MessageId) -> bool {
        let arrived = self.ledger(id).and_then(|ledger| ledger.end_redrive(letter)).is_some();
        if arrived && let Some(dead) = self.dead.remove(letter) {
            log_gone(&mut self.journal, letter, &dead);
        }
        arrived
    }

    /// A client is forgotten: its letters are dead again, and who waits for it is answered.
    pub(crate) fn close_ledger(&mut self, id: Token, cx: &mut Cx<'_>) {
        let Some(ledger) = self.ledger(id) else { return };
        let (letters, pending) = (std::mem::take(&mut ledger.redriven), ledger.pending());
        self.stats.delivery.pending -= pending as u64;
        for (letter, flight) in letters {
            self.dead.come_back(letter, flight.attempts, cx.now.wall);
        }
        self.answer_waiting(id, |_| Some(crate::message::State::Expired), cx);
    }
}
