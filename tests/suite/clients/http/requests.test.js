// What is right is served: framing, pipelining, keep-alive, and the bounds with their status.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { responses, Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const BODY = '{"type":"chat","data":1}'

/** A POST of a message to `client`: `fields` after the Host, then what follows the head. */
const posting = (client, fields, rest) =>
  `POST /mcp/clients/${client}/messages HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n${rest}`
/** A publish with a Content-Length, to `client`. */
const publish = (client, body = BODY, fields = '') =>
  posting(client, `Content-Length: ${Buffer.byteLength(body)}\r\n${fields}`, body)
/** A publish in `chunks`. */
const chunked = (client, chunks) => posting(client, 'Transfer-Encoding: chunked\r\n', chunks)

describe('good requests', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  /** Writes `bytes` and answers the first `count` responses. */
  async function exchange(bytes, count = 1) {
    const tcp = await Tcp.open(weir)
    tcp.write(bytes)
    await tcp.reach(`${count} responses`, ({ text }) => responses(text).length >= count)
    tcp.destroy()
    return responses(tcp.text)
  }

  for (const [what, bytes] of [
    ['names in any case', publish('case').replace('Content-Length', 'cOnTeNt-LeNgTh').replace('Host', 'hOST')],
    ['white space around values', publish('space').replace('Host: localhost', 'Host: \t localhost \t')],
    ['an empty line before the request', `\r\n${publish('crlf')}`],
    ['a target in absolute form', publish('absolute').replace('/mcp', 'http://localhost/mcp')],
    ['a Host with a port', publish('port').replace('Host: localhost', 'Host: localhost:4001')],
    ['a Host that is an IPv6 address', publish('v6').replace('Host: localhost', 'Host: [::1]:4001')],
    ['chunks', chunked('c1', `a\r\n${BODY.slice(0, 10)}\r\nE\r\n${BODY.slice(10)}\r\n0\r\n\r\n`)],
    ['Chunked in any case', posting('c2', 'Transfer-Encoding: CHUNKED\r\n', `18\r\n${BODY}\r\n0\r\n\r\n`)],
    ['a chunk extension', chunked('c3', `18;name=value\r\n${BODY}\r\n0\r\n\r\n`)],
    ['a trailer', chunked('c4', `18\r\n${BODY}\r\n0\r\nX-Sum: 1\r\n\r\n`)],
  ]) {
    it(`with ${what} are taken`, async () => {
      const [{ status, body }] = await exchange(bytes)
      assert.equal(status, 202, body)
    })
  }

  it('are taken byte by byte', async () => {
    const tcp = await Tcp.open(weir)
    tcp.socket.setNoDelay(true)
    for (const byte of publish('bytewise')) {
      tcp.write(byte)
      await new Promise(setImmediate)
    }
    await tcp.reach('the response', ({ text }) => responses(text).length === 1)
    assert.equal(responses(tcp.text)[0].status, 202)
    tcp.destroy()
  })

  it('are answered in order when they come in one piece, wherever their clients live', async () => {
    const clients = Array.from({ length: 30 }, (_, n) => `pipe${n}`)
    const bytes = clients.map((client, n) => (n % 3 === 2 ? publish(client, '{bad') : publish(client))).join('')
    const answers = await exchange(bytes, clients.length)
    assert.deepEqual(answers.map(({ status }) => status), clients.map((_, n) => (n % 3 === 2 ? 400 : 202)))
  })

  it('keep the connection, one after the other', async () => {
    const tcp = await Tcp.open(weir)
    for (let n = 1; n <= 5; n++) {
      tcp.write(publish('kept'))
      await tcp.reach(`response ${n}`, ({ text }) => responses(text).length === n)
    }
    const sequences = responses(tcp.text).map(({ body }) => JSON.parse(body).sequence)
    assert.deepEqual(sequences, [1, 2, 3, 4, 5])
    tcp.destroy()
  })

  it('end where their heads say, whatever trailers say', async () => {
    const trailers = 'Content-Length: 500\r\nTransfer-Encoding: chunked\r\nHost: other\r\n'
    const bytes = chunked('trailers', `18\r\n${BODY}\r\n0\r\n${trailers}\r\n`) + publish('trailers')
    assert.deepEqual((await exchange(bytes, 2)).map(({ status }) => status), [202, 202])
  })

  it('have their bodies even where nobody wants one', async () => {
    const hidden = 'GET /mcp/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n'
    const bytes = `GET /mcp/none HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}` + publish('behind')
    assert.deepEqual((await exchange(bytes, 2)).map(({ status }) => status), [404, 202])
  })

  it('end the connection when asked to, after the answer', async () => {
    const tcp = await Tcp.open(weir)
    tcp.write(publish('bye', BODY, 'Connection: close\r\n') + publish('never'))
    const answers = responses(await tcp.end())
    assert.deepEqual(answers.map(({ status }) => status), [202])
  })

  it('of HTTP/1.0 are answered and the connection ends', async () => {
    const tcp = await Tcp.open(weir)
    tcp.write(publish('old').replace('HTTP/1.1', 'HTTP/1.0'))
    assert.deepEqual(responses(await tcp.end()).map(({ status }) => status), [202])
  })

  it('that expect 100-continue are told to go on', async () => {
    const tcp = await Tcp.open(weir)
    const [head, body] = publish('expect', BODY, 'Expect: 100-continue\r\n').split('\r\n\r\n')
    tcp.write(`${head}\r\n\r\n`)
    await tcp.until('100 Continue\r\n\r\n')
    tcp.write(body)
    await tcp.until('HTTP/1.1 202 ')
    tcp.destroy()
  })
})

describe('requests over a bound', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  const OVER = [
    ['a request line over 8 KiB', 414, () => publish('x').replace('/messages', `/messages?${'a'.repeat(9000)}`)],
    ['a field over 16 KiB', 431, () => publish('x', BODY, `X-Long: ${'a'.repeat(17_000)}\r\n`)],
    ['fields over 16 KiB together', 431, () => publish('x', BODY, `X-A: ${'a'.repeat(900)}\r\n`.repeat(20))],
    ['very many fields', 431, () => publish('x', BODY, 'A: b\r\n'.repeat(2000))],
    ['a Content-Length over 1 MiB', 413, () => publish('x').replace(/Content-Length: \d+/, `Content-Length: ${2 << 20}`)],
    ['chunks over 1 MiB', 413, () => chunked('x', `200000\r\n${'a'.repeat(1 << 20)}`)],
  ]
  for (const [what, status, bytes] of OVER) {
    it(`answer ${status} and close: ${what}`, async () => {
      const tcp = await Tcp.open(weir)
      tcp.write(bytes())
      const answers = responses(await tcp.end())
      assert.deepEqual(answers.map(answer => answer.status), [status])
      assert.match(answers[0].headers.connection ?? '', /close/i)
    })
  }

  it('never grow without end: a head that never ends is refused', async () => {
    const tcp = await Tcp.open(weir)
    tcp.write('GET / HTTP/1.1\r\n')
    while (!tcp.ended && tcp.bytes.length === 0) {
      tcp.write('X-More: and more\r\n'.repeat(50))
      await new Promise(setImmediate)
    }
    assert.equal(responses(await tcp.end())[0].status, 431)
  })
})
