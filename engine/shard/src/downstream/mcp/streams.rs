//! The streams of one session over Streamable HTTP: which connection carries each, and the events kept
//! for a client that has lost its connection.

use weir_ring::token::Token;

use crate::outbox::Outbox;
use crate::stream::{Epoch, Sequence};

/// Streams of POSTs that are complete and still kept for resume.
const COMPLETE_MAX: usize = 16;

/// The session's own stream, and one for each of its POSTs.
#[derive(Debug, Default)]
pub(crate) struct McpStreams {
    own: Stream,
    /// By number.
    posts: Vec<Stream>,
    /// Number of the newest.
    last: u32,
}

/// One stream of a session.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Its number; 0 is the session's own.
    pub(crate) number: u32,
    /// The connection that carries it.
    pub(crate) carrier: Option<Token>,
    /// Answers still to come; 0 ends the stream of a POST.
    pub(crate) left: u32,
    /// Number of the last event written to any connection.
    pub(crate) delivered: Sequence,
    /// Its events, once there was one.
    pub(crate) log: Option<Box<Outbox>>,
}

impl Stream {
    /// Nothing more will come.
    pub(crate) fn is_complete(&self) -> bool {
        self.number != 0 && self.left == 0
    }

    /// A connection carries it that has not been sent all of it: none of that is too old for it.
    pub(crate) fn lags(&self) -> bool {
        self.carrier.is_some() && self.delivered < self.head()
    }

    /// Number of the newest event.
    pub(crate) fn head(&self) -> Sequence {
        self.log.as_ref().map_or(0, |log| log.head())
    }

    /// Its events, to append to. Positions are by number only: a stream has one life.
    pub(crate) fn log(&mut self) -> &mut Outbox {
        self.log.get_or_insert_with(|| Box::new(Outbox::new(Epoch::UNKNOWN)))
    }

    fn bytes(&self) -> usize {
        self.log.as_ref().map_or(0, |log| log.bytes())
    }
}

impl McpStreams {
    /// Opens the stream of a POST that `carrier` brought, with so many requests in it. Its number; bytes
    /// that were freed for it.
    pub(crate) fn open(&mut self, carrier: Token, requests: u32) -> (u32, usize) {
        self.last = self.last.checked_add(1).unwrap_or(1);
        let stream =
            Stream { number: self.last, carrier: Some(carrier), left: requests, ..Stream::default() };
        self.posts.push(stream);
        (self.last, self.trim())
    }

    /// The stream of this number.
    pub(crate) fn get(&mut self, number: u32) -> Option<&mut Stream> {
        if number == 0 {
            return Some(&mut self.own);
        }
        let at = self.place(number)?;
        self.posts.get_mut(at)
    }

    /// Forgets the stream of a POST; bytes that were freed.
    pub(crate) fn remove(&mut self, number: u32) -> usize {
        self.place(number).map_or(0, |at| self.posts.remove(at).bytes())
    }

    /// All that carry a stream at this moment, with its number.
    pub(crate) fn carriers(&self) -> impl Iterator<Item = (u32, Token)> {
        let all = std::iter::once(&self.own).chain(&self.posts);
        all.filter_map(|stream| Some((stream.number, stream.carrier?)))
    }

    /// Whether a request is under way or a connection is up.
    pub(crate) fn is_busy(&self) -> bool {
        self.own.carrier.is_some()
            || self.posts.iter().any(|stream| stream.left > 0 || stream.carrier.is_some())
    }

    /// Whether a request is under way, or its answer on its way to a slow reader.
    pub(crate) fn has_requests(&self) -> bool {
        self.posts.iter().any(|stream| stream.left > 0 || stream.lags())
    }

    /// Bytes of all events kept.
    pub(crate) fn bytes(&self) -> usize {
        self.own.bytes() + self.posts.iter().map(Stream::bytes).sum::<usize>()
    }

    /// Every stream.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        std::iter::once(&mut self.own).chain(&mut self.posts)
    }

    /// Forgets the oldest complete streams; bytes that were freed.
    fn trim(&mut self) -> usize {
        let is_over = |stream: &Stream| stream.is_complete() && stream.carrier.is_none();
        let mut over = match self.posts.len() {
            0..=COMPLETE_MAX => return 0,
            _ => self.posts.iter().filter(|stream| is_over(stream)).count(),
        };
        let mut freed = 0;
        self.posts.retain(|stream| {
            let goes = over > COMPLETE_MAX && is_over(stream);
            if goes {
                over -= 1;
                freed += stream.bytes();
            }
            !goes
        });
        freed
    }

    fn place(&self, number: u32) -> Option<usize> {
        // After four billion POSTs the numbers begin again, and are no longer in order.
        let found = self.posts.binary_search_by_key(&number, |stream| stream.number).ok();
        found.or_else(|| self.posts.iter().position(|stream| stream.number == number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARRIER: Token = Token { index: 3, generation: 0 };

    #[test]
    fn the_last_complete_streams_are_kept_and_all_that_are_under_way() {
        let mut streams = McpStreams::default();
        let (under_way, _) = streams.open(CARRIER, 1);
        for _ in 0..2 * COMPLETE_MAX {
            let (number, _) = streams.open(CARRIER, 1);
            let stream = streams.get(number).expect("open");
            (stream.left, stream.carrier) = (0, None);
        }
        streams.open(CARRIER, 1);
        assert_eq!(streams.posts.iter().filter(|stream| stream.is_complete()).count(), COMPLETE_MAX);
        assert!(streams.get(under_way).is_some_and(|stream| stream.left == 1));
        assert!(streams.get(2).is_none());
        assert_eq!(streams.carriers().count(), 2);
    }

    #[test]
    fn the_own_stream_is_there_from_the_start_and_never_complete() {
        let mut streams = McpStreams::default();
        assert!(!streams.is_busy());
        assert!(streams.get(0).is_some_and(|own| !own.is_complete()));
        streams.remove(0);
        assert!(streams.get(0).is_some());
    }
}
