// Requests that two servers could read in two ways: each answers 400 once and the connection closes.
// (RFC 9112 sections 2.2, 3.2, 5.1, 5.2, 6.1, 6.3, 7.1; RFC 9110 sections 5.5, 7.2.)

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { responses, Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const PATH = '/mcp/clients/smuggled/messages'
const BODY = '{"type":"chat","data":1}'
const LENGTH = `Content-Length: ${BODY.length}\r\n`
const CHUNKED = 'Transfer-Encoding: chunked\r\n'
const CHUNKS = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`
/** What an attacker hides behind: if it is answered, it got through. */
const HIDDEN = 'GET /mcp/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** A POST with `fields` after the Host, and `body`. */
const posting = (fields, body = BODY) => `POST ${PATH} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n${body}`

const REFUSED = [
  ['both Content-Length and Transfer-Encoding', posting(LENGTH + CHUNKED, CHUNKS)],
  ['Transfer-Encoding before Content-Length', posting(CHUNKED + LENGTH, CHUNKS)],
  ['two Content-Lengths that differ', posting(`${LENGTH}Content-Length: 1\r\n`)],
  ['two Content-Lengths that agree', posting(LENGTH + LENGTH)],
  ['a Content-Length list', posting(`Content-Length: ${BODY.length}, ${BODY.length}\r\n`)],
  ['a Content-Length with a sign', posting(`Content-Length: +${BODY.length}\r\n`)],
  ['a negative Content-Length', posting('Content-Length: -1\r\n')],
  ['a hexadecimal Content-Length', posting('Content-Length: 0x18\r\n')],
  ['a Content-Length with a fraction', posting('Content-Length: 24.0\r\n')],
  ['a Content-Length with a space inside', posting('Content-Length: 2 4\r\n')],
  ['an empty Content-Length', posting('Content-Length: \r\n')],
  ['a Content-Length beyond 64 bits', posting('Content-Length: 18446744073709551640\r\n')],
  ['a Content-Length that begins with a zero', posting(`Content-Length: 0${BODY.length}\r\n`)],
  ['a Content-Length with a comma behind it', posting(`Content-Length: ${BODY.length},\r\n`)],
  ['a Content-Length of digits that are not ASCII', posting('Content-Length: \xb2\xb4\r\n')],
  ['chunked twice', posting('Transfer-Encoding: chunked, chunked\r\n', CHUNKS)],
  ['Transfer-Encoding twice', posting(CHUNKED + CHUNKED, CHUNKS)],
  ['chunked with a comma behind it', posting('Transfer-Encoding: chunked,\r\n', CHUNKS)],
  ['chunked with a comma before it', posting('Transfer-Encoding: ,chunked\r\n', CHUNKS)],
  ['chunked not last', posting('Transfer-Encoding: chunked, identity\r\n', CHUNKS)],
  ['chunked behind another coding', posting('Transfer-Encoding: identity, chunked\r\n', CHUNKS)],
  ['a coding that only contains chunked', posting('Transfer-Encoding: xchunked\r\n', CHUNKS)],
  ['chunked with a parameter', posting('Transfer-Encoding: chunked;q=1\r\n', CHUNKS)],
  ['quoted chunked', posting('Transfer-Encoding: "chunked"\r\n', CHUNKS)],
  ['chunked behind a vertical tab', posting('Transfer-Encoding: \x0bchunked\r\n', CHUNKS)],
  ['an empty Transfer-Encoding', posting('Transfer-Encoding: \r\n', CHUNKS)],
  ['Transfer-Encoding on HTTP/1.0', `POST ${PATH} HTTP/1.0\r\nHost: localhost\r\n${CHUNKED}\r\n${CHUNKS}`],
  ['a space before the colon', posting(`Content-Length : ${BODY.length}\r\n`)],
  ['a space before the colon of Transfer-Encoding', posting('Transfer-Encoding : chunked\r\n', CHUNKS)],
  ['a tab before the colon', posting(`Content-Length\t: ${BODY.length}\r\n`)],
  ['a folded field', posting(`X-Folded: a\r\n b\r\n${LENGTH}`)],
  ['a folded Transfer-Encoding', posting('Transfer-Encoding:\r\n chunked\r\n', CHUNKS)],
  ['a first field behind white space', `POST ${PATH} HTTP/1.1\r\n Host: localhost\r\n${LENGTH}\r\n${BODY}`],
  ['bare line feeds', `POST ${PATH} HTTP/1.1\nHost: localhost\n${LENGTH.trim()}\n\n${BODY}`],
  ['one bare line feed after a field', posting(`X-A: b\n${LENGTH}`)],
  ['a head that ends in a bare line feed', `POST ${PATH} HTTP/1.1\r\nHost: localhost\r\n${LENGTH}\n${BODY}`],
  ['a bare carriage return in a value', posting(`X-A: b\rc\r\n${LENGTH}`)],
  ['NUL in a value', posting(`X-A: b\0c\r\n${LENGTH}`)],
  ['NUL in a name', posting(`X\0A: b\r\n${LENGTH}`)],
  ['a name with a space', posting(`X A: b\r\n${LENGTH}`)],
  ['a name of bytes beyond ASCII', posting(`X-\xe4: b\r\n${LENGTH}`)],
  ['an empty name', posting(`: b\r\n${LENGTH}`)],
  ['a field without a colon', posting(`nonsense\r\n${LENGTH}`)],
  ['no Host', `POST ${PATH} HTTP/1.1\r\n${LENGTH}\r\n${BODY}`],
  ['two Hosts', posting(`Host: localhost\r\n${LENGTH}`)],
  ['two Hosts that differ', posting(`Host: other\r\n${LENGTH}`)],
  ['a Host with a space', `POST ${PATH} HTTP/1.1\r\nHost: we ir\r\n${LENGTH}\r\n${BODY}`],
  ['a Host with a path', `POST ${PATH} HTTP/1.1\r\nHost: localhost/evil\r\n${LENGTH}\r\n${BODY}`],
  ['a Host with a user', `POST ${PATH} HTTP/1.1\r\nHost: user@weir\r\n${LENGTH}\r\n${BODY}`],
  ['a Host that is not the target\'s', posting(LENGTH).replace(PATH, `http://other${PATH}`)],
  ['a target with a user', posting(LENGTH).replace(PATH, `http://weir@localhost${PATH}`)],
  ['CONNECT', `CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n`],
  ['lines that end in bare carriage returns', `POST ${PATH} HTTP/1.1\rHost: localhost\r${LENGTH.trim()}\r\r${BODY}`],
  ['two spaces in the request line', `POST  ${PATH} HTTP/1.1\r\nHost: localhost\r\n${LENGTH}\r\n${BODY}`],
  ['a tab in the request line', `POST\t${PATH} HTTP/1.1\r\nHost: localhost\r\n${LENGTH}\r\n${BODY}`],
  ['a space behind the version', `POST ${PATH} HTTP/1.1 \r\nHost: localhost\r\n${LENGTH}\r\n${BODY}`],
  ['no version', `POST ${PATH}\r\nHost: localhost\r\n${LENGTH}\r\n${BODY}`],
  ['a control byte in the target', `POST ${PATH}\x01 HTTP/1.1\r\nHost: localhost\r\n${LENGTH}\r\n${BODY}`],
  ['a method that is no token', `PO(ST ${PATH} HTTP/1.1\r\nHost: localhost\r\n${LENGTH}\r\n${BODY}`],
  ['a target that is no path', `POST mcp HTTP/1.1\r\nHost: localhost\r\n${LENGTH}\r\n${BODY}`],
  ['a chunk size with 0x', posting(CHUNKED, `0x18\r\n${BODY}\r\n0\r\n\r\n`)],
  ['a chunk size with a sign', posting(CHUNKED, `+18\r\n${BODY}\r\n0\r\n\r\n`)],
  ['an empty chunk size', posting(CHUNKED, `\r\n${BODY}\r\n0\r\n\r\n`)],
  ['a chunk size beyond 64 bits', posting(CHUNKED, `10000000000000018\r\n${BODY}\r\n0\r\n\r\n`)],
  ['a chunk size behind a space', posting(CHUNKED, ` 18\r\n${BODY}\r\n0\r\n\r\n`)],
  ['a chunk size before a space', posting(CHUNKED, `18 \r\n${BODY}\r\n0\r\n\r\n`)],
  ['a chunk size of 17 digits', posting(CHUNKED, `${'18'.padStart(17, '0')}\r\n${BODY}\r\n0\r\n\r\n`)],
  ['chunk extensions without end', posting(CHUNKED, `18;a="${'b'.repeat(2_000)}"\r\n${BODY}\r\n0\r\n\r\n`)],
  ['a chunk size with a letter', posting(CHUNKED, `18g\r\n${BODY}\r\n0\r\n\r\n`)],
  ['a chunk line that ends in a bare line feed', posting(CHUNKED, `18\n${BODY}\r\n0\r\n\r\n`)],
  ['a chunk extension with a bare line feed', posting(CHUNKED, `18;a\nb\r\n${BODY}\r\n0\r\n\r\n`)],
  ['a chunk extension with a bare carriage return', posting(CHUNKED, `18;a\rb\r\n${BODY}\r\n0\r\n\r\n`)],
  ['a chunk that ends in a bare line feed', posting(CHUNKED, `18\r\n${BODY}\n0\r\n\r\n`)],
  ['a chunk longer than it says', posting(CHUNKED, `17\r\n${BODY}\r\n0\r\n\r\n`)],
  ['a last chunk that ends in a bare line feed', posting(CHUNKED, `18\r\n${BODY}\r\n0\n\n`)],
  ['trailers without end', posting(CHUNKED, `18\r\n${BODY}\r\n0\r\n${'X-A: bbbbbbbb\r\n'.repeat(400)}\r\n`)],
  ['a folded trailer', posting(CHUNKED, `18\r\n${BODY}\r\n0\r\nX-A: b\r\n c\r\n\r\n`)],
  ['a trailer without a colon', posting(CHUNKED, `18\r\n${BODY}\r\n0\r\nnonsense\r\n\r\n`)],
  ['an upgrade with a body', upgrade(LENGTH, BODY)],
  ['an upgrade with a chunked body', upgrade(CHUNKED, CHUNKS)],
]

/** A good WebSocket upgrade with `fields` added, and `body` behind it. */
function upgrade(fields, body) {
  return 'GET /mcp/ws?client_id=smuggled HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    + `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${fields}\r\n${body}`
}

describe('what two servers could read in two ways', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  for (const [what, bytes] of REFUSED) {
    it(`is refused: ${what}`, async () => {
      const tcp = await Tcp.open(weir)
      tcp.write(bytes + HIDDEN)
      const text = await tcp.end()
      const answers = responses(text)
      assert.deepEqual(answers.map(({ status }) => status), [400], text)
      assert.match(answers[0].headers.connection ?? '', /close/i)
      assert.equal(JSON.parse(answers[0].body).error, 'invalid_message')
    })
  }

  it('is refused the same way when it comes byte by byte', async () => {
    for (const [what, bytes] of [REFUSED[0], REFUSED[26], REFUSED[29]]) {
      const tcp = await Tcp.open(weir)
      tcp.socket.setNoDelay(true)
      for (const byte of bytes) {
        tcp.write(byte)
        await new Promise(setImmediate)
      }
      assert.deepEqual(responses(await tcp.end()).map(({ status }) => status), [400], what)
    }
  })

  for (const [what, line] of [
    ['HTTP/2.0 by prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a version in lower case', `GET ${PATH} http/1.1\r\nHost: localhost\r\n\r\n`],
    ['HTTP/3.1', `GET ${PATH} HTTP/3.1\r\nHost: localhost\r\n\r\n`],
  ]) {
    it(`is refused: ${what}`, async () => {
      const tcp = await Tcp.open(weir)
      tcp.write(line + HIDDEN)
      const [first, ...rest] = responses(await tcp.end())
      assert.ok([400, 505].includes(first.status))
      assert.deepEqual(rest, [])
    })
  }
})
