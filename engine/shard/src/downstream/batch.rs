//! Batches: many publishes in one request, one a line. A turn reads so many lines and no more; the next ones go on, and
//! whoever else wants something is served between.

use std::collections::VecDeque;
use std::sync::Arc;

use weir_ring::time::Instant;
use weir_ring::token::Token;

use crate::downstream::exchange::{Outcome, Raw};
use crate::downstream::gather::{Gather, Kind, reply_to};
use crate::downstream::reply::Terms;
use crate::downstream::rules::Publisher;
use crate::error::Error;
use crate::limits::Rate;
use crate::message::{Publish, Receipt, Receiver};
use crate::policy::auth::Principal;
use crate::policy::{Standing, Verdict};
use crate::turn::{Cx, Shard};
use crate::vsm::Step;

/// Lines of a batch that are read before it is another's turn.
const PART: usize = 64;

/// The batches of a shard of which some lines are still to be read.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    /// Their connections, since when they wait. They take turns.
    waiting: VecDeque<(Token, Instant)>,
    /// Lines that this turn may still read.
    lines_left: usize,
}

/// A batch under way.
#[derive(Debug)]
pub(crate) struct Batch {
    /// What became of each line so far.
    pub results: Results,
    /// Lines that have not been read.
    rest: Vec<u8>,
    /// Where in these the next one begins.
    at: usize,
    sender: Sender,
}

/// What became of lines; nothing yet where a publish is under way.
type Results = Vec<Option<Result<Receipt, Error>>>;

/// Whose publishes they are.
#[derive(Clone, Debug)]
struct Sender {
    /// Who that is, once it is proved.
    who: Option<Arc<Principal>>,
    /// Whose bucket pays for each line.
    payer: Option<Box<str>>,
    /// What fits into it.
    rate: Rate,
    /// Where it stands with it.
    standing: Option<Standing>,
}

/// Lines that have been read.
struct Read {
    bytes: usize,
    results: Results,
    /// Publishes under way.
    left: u32,
}

impl Batches {
    /// Nothing is left to be read.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Since when something has been waiting.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.waiting.iter().map(|(_, since)| *since).min()
    }
}

impl Batch {
    /// Whether all its lines have been read.
    pub(crate) fn is_read(&self) -> bool {
        self.at >= self.rest.len()
    }
}

impl Shard {
    /// One publish a line; each succeeds or fails by itself.
    pub(crate) fn batch_request(
        &mut self,
        token: Token,
        (name, rate): (Option<&str>, Rate),
        raw: Raw<'_>,
        terms: Terms,
        cx: &mut Cx<'_>,
    ) -> Outcome {
        let sender =
            Sender { who: raw.who.cloned(), payer: name.map(Box::from), rate, standing: terms.standing };
        let Read { bytes, results, left } = self.read_lines((token, 0), raw.body, usize::MAX, &sender, cx);
        let rest = raw.body[bytes..].to_vec();
        if !rest.is_empty() {
            self.batches.waiting.push_back((token, cx.now.mono));
        } else if left == 0 {
            self.answer_batch(token, &results, terms, cx);
            return Outcome::Done;
        }
        let batch = Batch { results, rest, at: 0, sender };
        Outcome::Waiting(Gather::new(Kind::Lines(batch), left, terms).into())
    }

    /// Goes on with batches for which the turn before had no time.
    pub(crate) fn continue_batches(&mut self, cx: &mut Cx<'_>) {
        self.batches.lines_left = self.config.turn.lines_max;
        while self.batches.lines_left > 0
            && let Some((token, since)) = self.batches.waiting.pop_front()
        {
            self.continue_batch(token, since, cx);
        }
    }

    fn continue_batch(&mut self, token: Token, since: Instant, cx: &mut Cx<'_>) {
        let Some(Gather { kind: Kind::Lines(batch), .. }) = self.gather(token) else { return };
        let (rest, sender) = (std::mem::take(&mut batch.rest), batch.sender.clone());
        let (at, first) = (batch.at, batch.results.len());
        let read = self.read_lines((token, first), &rest[at..], PART, &sender, cx);
        if let Some(conn) = self.conns.get_mut(token) {
            conn.heard = cx.now.mono;
        }
        let Some(Gather { kind: Kind::Lines(batch), left, terms, .. }) = self.gather(token) else { return };
        batch.rest = rest;
        batch.at += read.bytes;
        batch.results.extend(read.results);
        *left += read.left;
        if !batch.is_read() {
            self.batches.waiting.push_back((token, since));
        } else if *left == 0 {
            let (results, terms) = (std::mem::take(&mut batch.results), *terms);
            self.answer_batch(token, &results, terms, cx);
            self.request_done(token, terms.keep_alive, cx);
        }
    }

    /// Reads at most `most` lines, as far as the turn may; the first is line `first` of the batch.
    fn read_lines(
        &mut self,
        (token, first): (Token, usize),
        body: &[u8],
        most: usize,
        sender: &Sender,
        cx: &mut Cx<'_>,
    ) -> Read {
        let most = most.min(self.batches.lines_left);
        let mut read = Read { bytes: 0, results: Vec::new(), left: 0 };
        while read.results.len() < most && read.bytes < body.len() {
            let rest = &body[read.bytes..];
            let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
            read.bytes += rest.len().min(line.len() + 1);
            if !line.trim_ascii().is_empty() {
                let sent = self.publish_line(line, (token, first + read.results.len()), sender, cx);
                read.left += u32::from(sent.is_ok());
                read.results.push(sent.err().map(Err));
            }
        }
        self.batches.lines_left -= read.results.len();
        read
    }

    fn publish_line(
        &mut self,
        line: &[u8],
        (token, at): (Token, usize),
        sender: &Sender,
        cx: &mut Cx<'_>,
    ) -> Result<(), Error> {
        let (payer, who) = (sender.payer.as_deref(), sender.who.as_deref());
        // The request itself has paid for the first.
        if at > 0
            && let Verdict::Deny { retry_after } = self.backends.take(payer, &sender.rate, cx.now.mono).0
        {
            return Err(Error::RateLimited { retry_after });
        }
        let mut publish = Publish::parse(Receiver::Named, None, line)?;
        self.trace_publish(&mut publish, None, cx);
        let publisher = Publisher::new(token, payer, who, sender.standing);
        let sent = self.take_publish(publish, &publisher, reply_to(token, at), cx);
        match &sent {
            Ok(()) => self.trace_end(Step::Answered, None, cx),
            Err(error) => self.trace_end(Step::Denied, Some(error.reason()), cx),
        }
        sent
    }

    /// The answer to a batch: a line for each of its lines.
    pub(crate) fn answer_batch(
        &mut self,
        token: Token,
        results: &[Option<Result<Receipt, Error>>],
        terms: Terms,
        cx: &mut Cx<'_>,
    ) {
        if results.is_empty() {
            let error = Error::malformed("a batch has one JSON object a line");
            return self.respond_error(token, &error, terms, cx);
        }
        let mut body = Vec::with_capacity(results.len() * 80);
        for result in results.iter().flatten() {
            match result {
                Ok(receipt) => receipt.write_json(&mut body),
                Err(error) => {
                    self.stats.refuse(error);
                    error.write_json(&mut body);
                }
            }
            body.push(b'\n');
        }
        let headers = [("Content-Type", "application/x-ndjson"), ("Cache-Control", "no-store")];
        self.respond_as(token, 200, &headers, &body, terms, cx);
    }
}

#[cfg(test)]
mod tests;
