//! Bodies: what is taken, what is left, what is refused.

use weir_transports::http1::BodyError::{self, *};
use weir_transports::http1::{BodyKind, BodyProgress, BodyReader};

fn read(kind: BodyKind, input: &[u8], bytes_max: usize) -> Result<(Vec<u8>, BodyProgress), BodyError> {
    let mut out = Vec::new();
    let progress = BodyReader::new(kind).read(input, &mut out, bytes_max)?;
    Ok((out, progress))
}

fn done(data: &[u8], consumed: usize) -> Result<(Vec<u8>, BodyProgress), BodyError> {
    Ok((data.to_vec(), BodyProgress { consumed, done: true }))
}

#[test]
fn no_body_takes_nothing() {
    assert_eq!(read(BodyKind::None, b"GET", 0), done(b"", 0));
    assert_eq!(read(BodyKind::Length(0), b"GET", 0), done(b"", 0));
}

#[test]
fn a_length_takes_that_many_bytes() {
    assert_eq!(read(BodyKind::Length(3), b"abcGET", 3), done(b"abc", 3));
    let partial = read(BodyKind::Length(3), b"ab", 3);
    assert_eq!(partial, Ok((b"ab".to_vec(), BodyProgress { consumed: 2, done: false })));
}

#[test]
fn a_length_over_the_bound_is_refused_before_any_byte() {
    assert_eq!(read(BodyKind::Length(4), b"", 3), Err(TooLarge));
    assert_eq!(read(BodyKind::Length(u64::MAX), b"", usize::MAX - 1), Err(TooLarge));
    assert_eq!(TooLarge.status(), 413);
}

#[test]
fn a_whole_body_is_borrowed() {
    let whole = |kind, input: &'static [u8]| BodyReader::new(kind).whole(input, 4);
    assert_eq!(whole(BodyKind::Length(3), b"abcGET"), Some(&b"abc"[..]));
    assert_eq!(whole(BodyKind::Length(3), b"ab"), None);
    assert_eq!(whole(BodyKind::Length(5), b"abcdef"), None);
    assert_eq!(whole(BodyKind::None, b"GET"), Some(&b""[..]));
    assert_eq!(whole(BodyKind::Length(0), b"GET"), Some(&b""[..]));
    assert_eq!(whole(BodyKind::Chunked, b"0\r\n\r\n"), None);

    let mut begun = BodyReader::new(BodyKind::Length(3));
    begun.read(b"a", &mut Vec::new(), 4).unwrap();
    assert_eq!(begun.whole(b"bcd", 4), None);
}

#[test]
fn a_body_until_close_takes_all() {
    let mut reader = BodyReader::new(BodyKind::UntilClose);
    let mut out = Vec::new();
    let open = |consumed| Ok(BodyProgress { consumed, done: false });
    assert_eq!(reader.read(b"ab", &mut out, 3), open(2));
    assert_eq!(reader.read(b"c", &mut out, 3), open(1));
    assert_eq!(out, b"abc");
    assert_eq!(reader.read(b"d", &mut out, 3), Err(TooLarge));
    assert_eq!(BodyReader::new(BodyKind::UntilClose).whole(b"ab", 4), None);
}

#[test]
fn a_connection_may_end_where_nothing_is_lost() {
    let after = |kind, input: &[u8]| {
        let mut reader = BodyReader::new(kind);
        reader.read(input, &mut Vec::new(), 64).unwrap();
        reader.may_end()
    };
    assert!(
        after(BodyKind::None, b"") && after(BodyKind::UntilClose, b"") && after(BodyKind::UntilClose, b"a")
    );
    assert!(after(BodyKind::Length(1), b"a") && !after(BodyKind::Length(2), b"a"));
    assert!(after(BodyKind::Chunked, b"0\r\n\r\n") && !after(BodyKind::Chunked, b"1\r\na\r\n0\r\n"));
}

#[test]
fn chunks_are_joined() {
    let joined = |input: &[u8], data: &[u8]| {
        assert_eq!(read(BodyKind::Chunked, input, 64), done(data, input.len()));
        let pipelined = [input, b"GET"].concat();
        assert_eq!(read(BodyKind::Chunked, &pipelined, 64), done(data, input.len()));
    };
    joined(b"0\r\n\r\n", b"");
    joined(b"3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789");
    joined(b"1;a;b=c;d=\"e; \\\"\"\r\nx\r\n0;z\r\n\r\n", b"x");
    joined(b"1\r\nx\r\n0\r\nTag: v w\r\nEmpty:\r\n\r\n", b"x");
}

#[test]
fn malformed_chunks() {
    let cases: &[(&str, &[u8], BodyError)] = &[
        ("no size", b"\r\n", ChunkSize),
        ("sign", b"+1\r\n", ChunkSize),
        ("minus", b"-1\r\n", ChunkSize),
        ("prefix", b"0x1\r\n", ChunkSize),
        ("leading blank", b" 1\r\n", ChunkSize),
        ("trailing blank", b"1 \r\n", ChunkSize),
        ("underscore", b"1_0\r\n", ChunkSize),
        ("17 digits", b"00000000000000001\r\n", ChunkSize),
        ("bare LF after the size", b"1\n", ChunkSize),
        ("bare CR after the size", b"1\rx", ChunkSize),
        ("size without digits before an extension", b";a\r\n", ChunkSize),
        ("bare semicolon", b"1;\r\n", ChunkExtension),
        ("blank in an extension", b"1; a\r\n", ChunkExtension),
        ("extension without a value", b"1;a=\r\n", ChunkExtension),
        ("bare LF in an extension", b"1;a\n", ChunkExtension),
        ("NUL in an extension", b"1;a\0\r\n", ChunkExtension),
        ("text after a quoted value", b"1;a=\"b\"c\r\n", ChunkExtension),
        ("CR in a quoted value", b"1;a=\"\\\r\n\"\r\n", ChunkExtension),
        ("bare LF in a quoted value", b"1;a=\"\n\"\r\n", ChunkExtension),
        ("data longer than the size", b"1\r\nxy\r\n", ChunkEnd),
        ("bare LF after the data", b"1\r\nx\n", ChunkEnd),
        ("bare CR after the data", b"1\r\nx\r0", ChunkEnd),
        ("a request as trailer", b"0\r\nGET /a HTTP/1.1\r\n\r\n", Trailer),
        ("a folded trailer", b"0\r\nA: b\r\n c\r\n\r\n", Trailer),
        ("bare LF in a trailer", b"0\r\nA: b\n\r\n", Trailer),
        ("bare LF as the end", b"0\r\n\n", Trailer),
        ("bare CR as the end", b"0\r\n\rG", Trailer),
        ("NUL in a trailer", b"0\r\nA: \0\r\n\r\n", Trailer),
    ];
    for (name, input, expected) in cases {
        assert_eq!(read(BodyKind::Chunked, input, 64), Err(*expected), "{name}");
        assert_eq!(expected.status(), 400);
    }
}

#[test]
fn chunk_bounds() {
    assert_eq!(read(BodyKind::Chunked, b"40\r\n", 63), Err(TooLarge));
    assert_eq!(read(BodyKind::Chunked, b"1\r\nx\r\n40\r\n", 64), Err(TooLarge));
    assert_eq!(read(BodyKind::Chunked, b"1\r\nx\r\nffffffffffffffff\r\n", usize::MAX - 1), Err(TooLarge));
    let extensions = "1;abcdef\r\nx\r\n".repeat(200);
    assert_eq!(read(BodyKind::Chunked, extensions.as_bytes(), 1024), Err(ChunkExtensionsTooLong));
    let trailers = format!("0\r\n{}\r\n", "Trailer: value\r\n".repeat(300));
    assert_eq!(read(BodyKind::Chunked, trailers.as_bytes(), 64), Err(TrailersTooLong));
}
