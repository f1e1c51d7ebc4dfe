//! The log's frame: one group commit is one batch, a header and the records behind it.
//!
//! The next batch is written only when the last one is on disk. So a batch that cannot be read with another
//! behind it is damage, and one at the end was torn. Where a header is damaged, the next one is searched;
//! so that no message can pass for one, headers carry a salt, and the first batch of a segment, from
//! which a reader learns the salt, holds no messages.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | [`MAGIC`] |
//! | 4..8 | length of the payload |
//! | 8..12 | run: which start of the process wrote it |
//! | 12..16 | salt: drawn by the run, so that no message can contain a header |
//! | 16..24 | lsn: the number of the batch in its series and run, from 1 without holes |
//! | 24..28 | CRC-32 of the payload |
//! | 28..32 | CRC-32 of the header before it |

use memchr::memmem;

/// Bytes of a header.
pub(crate) const HEADER: usize = 32;

/// What a batch begins with. 0xff is in no UTF-8 text.
pub(crate) const MAGIC: [u8; 4] = *b"Wlg\xff";

/// Who writes: the same in every batch of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    /// Which start of the process, from 1.
    pub run: u32,
    /// Random for each run.
    pub salt: u32,
}

/// A header whose checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    length: usize,
    writer: Writer,
    lsn: u64,
    payload_crc: u32,
}

/// Makes a batch of `bytes`: room for the header, then the payload.
pub(crate) fn seal(bytes: &mut [u8], writer: Writer, lsn: u64) {
    let Some((header, payload)) = bytes.split_first_chunk_mut::<HEADER>() else { return };
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[8..12].copy_from_slice(&writer.run.to_le_bytes());
    header[12..16].copy_from_slice(&writer.salt.to_le_bytes());
    header[16..24].copy_from_slice(&lsn.to_le_bytes());
    header[24..28].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let crc = crc32fast::hash(&header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
}

impl Header {
    /// The header at the beginning of `bytes`, if it is one.
    fn read(bytes: &[u8]) -> Option<Header> {
        let header = bytes.first_chunk::<HEADER>()?;
        let number =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if header[..4] != MAGIC || crc32fast::hash(&header[..28]) != number(28) {
            return None;
        }
        Some(Header {
            length: number(4) as usize,
            writer: Writer { run: number(8), salt: number(12) },
            lsn: u64::from(number(16)) | u64::from(number(20)) << 32,
            payload_crc: number(24),
        })
    }
}

/// One finding in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A batch, whole.
    Batch { lsn: u64, payload: &'a [u8] },
    /// This many bytes are no batch, and a later batch stands behind them: what was there had been on
    /// disk before that was written, and is lost.
    Damaged { bytes: usize },
}

/// The batches of one segment, front to back.
#[derive(Debug)]
pub(crate) struct Batches<'a> {
    bytes: &'a [u8],
    at: usize,
    writer: Option<Writer>,
}

impl<'a> Batches<'a> {
    /// The batches in a segment's `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Batches<'a> {
        let mut batches = Batches { bytes, at: 0, writer: None };
        batches.writer = batches.header_from(0).map(|(_, header)| header.writer);
        batches
    }

    /// Who wrote the segment; `None`: nothing in it can be read.
    pub(crate) fn writer(&self) -> Option<Writer> {
        self.writer
    }

    /// Where the last whole batch ends. After the last finding: everything behind it was torn.
    pub(crate) fn end(&self) -> usize {
        self.at
    }

    /// The bytes behind [`Batches::end`], less what was reserved and never written.
    pub(crate) fn torn(&self) -> usize {
        let rest = &self.bytes[self.at..];
        rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    }

    /// The first header of this segment's writer at `at` or behind it.
    fn header_from(&self, at: usize) -> Option<(usize, Header)> {
        memmem::find_iter(self.bytes.get(at..)?, &MAGIC)
            .filter_map(|offset| Some((at + offset, self.header_at(at + offset)?)))
            .next()
    }

    /// The header at `at`, if it is this segment's writer's.
    fn header_at(&self, at: usize) -> Option<Header> {
        let header = Header::read(self.bytes.get(at..)?)?;
        let known = self.writer.is_none_or(|writer| writer == header.writer);
        known.then_some(header)
    }

    /// The payload of the batch at `at`, if it is whole.
    fn payload(&self, at: usize, header: &Header) -> Option<&'a [u8]> {
        let payload = self.bytes.get(at + HEADER..)?.get(..header.length)?;
        (crc32fast::hash(payload) == header.payload_crc).then_some(payload)
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let here = self.header_at(self.at);
        if let Some(header) = here
            && let Some(payload) = self.payload(self.at, &header)
        {
            self.at += HEADER + header.length;
            return Some(Found::Batch { lsn: header.lsn, payload });
        }
        // A header that holds says where the next batch begins, if it does. Only what is behind a header
        // that does not is searched.
        let behind = here.map_or(self.at + 1, |header| self.at + HEADER + header.length);
        let (next, _) = self.header_from(behind)?;
        let bytes = next - self.at;
        self.at = next;
        Some(Found::Damaged { bytes })
    }
}

#[cfg(test)]
mod tests;
