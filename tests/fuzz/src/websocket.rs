//! The server's end of a WebSocket, and messages there and back.

use weir_transports::websocket::client::{self, FIN, RSV1};
use weir_transports::websocket::handshake::{Request, negotiate};
use weir_transports::websocket::{
    Deflate, DeflateParams, Deflater, Limits, Message, Opcode, Reader, Scratch, write_message,
};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What comes of bytes in pieces: each message, and the violation that ends them.
pub fn messages(pieces: &[&[u8]], deflate: bool) -> Vec<String> {
    let limits = Limits { frame_bytes_max: 1_000, message_bytes_max: 3_000, deflate };
    let (mut reader, mut scratch, mut seen) = (Reader::default(), Scratch::default(), Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut rest = piece.as_mut_slice();
        while !rest.is_empty() {
            let length = rest.len();
            match reader.read(rest, &limits, &mut scratch) {
                Ok(read) => {
                    assert!(read.message.is_some() || read.consumed == length);
                    seen.extend(read.message.map(|message| format!("{message:?}")));
                    let consumed = read.consumed;
                    rest = &mut rest[consumed..];
                }
                Err(violation) => {
                    seen.push(format!("{violation:?} {} {}", violation.code(), violation.reason()));
                    return seen;
                }
            }
        }
    }
    seen
}

/// A message of a client that sends it in `fragments`, as a server reads it.
pub fn fragmented(fragments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, fragment) in fragments.iter().enumerate() {
        let opcode = if at == 0 { Opcode::Binary as u8 } else { 0 };
        let fin = if at + 1 == fragments.len() { FIN } else { 0 };
        client::write_frame(&mut bytes, fin | opcode, fragment, MASK);
    }
    one(&mut bytes)
}

/// A message that was compressed for a client, sent back by it and inflated.
pub fn compressed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let deflate = Deflate { deflater: &mut Deflater::default(), params: params(), always: true };
    write_message(&mut bytes, Opcode::Binary, payload, Some(deflate));
    let frame = client::read_frame(&bytes).ok().flatten().expect("a server writes whole frames");
    assert_eq!(frame.bytes, bytes.len());
    let mut back = Vec::new();
    client::write_frame(&mut back, frame.first, frame.payload, MASK);
    assert!(frame.first & RSV1 != 0 || frame.payload == payload);
    one(&mut back)
}

/// The only message in `bytes`, a binary one.
fn one(bytes: &mut [u8]) -> Vec<u8> {
    let limits = Limits { frame_bytes_max: 1 << 20, message_bytes_max: 1 << 20, deflate: true };
    let (mut reader, mut scratch) = (Reader::default(), Scratch::default());
    let read = reader.read(bytes, &limits, &mut scratch).expect("it keeps to the rules");
    let Some(Message::Binary(payload)) = read.message else { panic!("no binary message: {read:?}") };
    payload.to_vec()
}

fn params() -> DeflateParams {
    let request = Request {
        key: Some("dGhlIHNhbXBsZSBub25jZQ=="),
        version: Some("13"),
        extensions: "permessage-deflate",
    };
    negotiate(request).ok().and_then(|upgrade| upgrade.deflate).expect("it is offered")
}
