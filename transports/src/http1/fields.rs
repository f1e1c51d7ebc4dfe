//! The header lines of a parsed head.

/// Headers that one head may have.
pub(super) const FIELDS_MAX: usize = 64;

/// Header lines, as places in the head's text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    text: &'a str,
    fields: [Field; FIELDS_MAX],
    len: usize,
}

impl<'a> Fields<'a> {
    /// The lines that the parser found in `text`, a head of at most 65,535 bytes. `note` sees each name and
    /// value once.
    pub(super) fn collect<E>(
        text: &'a str,
        headers: &[httparse::Header<'_>],
        mut note: impl FnMut(&'a str, &'a str) -> Result<(), E>,
    ) -> Result<Fields<'a>, E> {
        let mut fields = [Field::default(); FIELDS_MAX];
        for (field, header) in fields.iter_mut().zip(headers) {
            *field = Field {
                name: Span::locate(text, header.name.as_bytes()),
                value: Span::locate(text, header.value),
            };
            note(field.name.of(text), field.value.of(text))?;
        }
        Ok(Fields { text, fields, len: headers.len().min(FIELDS_MAX) })
    }

    /// Names and values, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a, '_> {
        let text = self.text;
        let fields = self.fields.get(..self.len).unwrap_or_default();
        fields.iter().map(move |field| (field.name.of(text), field.value.of(text)))
    }

    /// Every value of the header `name`, whatever its case, in order.
    pub(super) fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n, '_> {
        self.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// One header line. Eight bytes, so that a head stays cheap to move.
#[derive(Clone, Copy, Debug, Default)]
struct Field {
    name: Span,
    value: Span,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    at: u16,
    len: u16,
}

impl Span {
    /// Where `part`, a slice of `text`, lies in it; an empty one may lie anywhere. The scan bounds `text` to
    /// 65,535 bytes.
    fn locate(text: &str, part: &[u8]) -> Span {
        let at = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
        Span { at: at as u16, len: part.len() as u16 }
    }

    fn of(self, text: &str) -> &str {
        let at = usize::from(self.at);
        text.get(at..at + usize::from(self.len)).unwrap_or_default()
    }
}
