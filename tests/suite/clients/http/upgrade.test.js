// The upgrade to WebSocket: what is refused, and that nothing behind a 101 is read as HTTP.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { BINARY, closeCode, frame, frames, TEXT, upgrade, upgraded } from '../lib/frames.js'
import { responses, Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const PATH = '/mcp/ws?client_id=up'

describe('the upgrade', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  for (const [what, status, bytes] of [
    ['no key', 400, upgrade(PATH).replace(/Sec-WebSocket-Key.*\r\n/, '')],
    ['two keys', 400, upgrade(PATH, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n')],
    ['a key of the wrong length', 400, upgrade(PATH).replace(/(Sec-WebSocket-Key: ).*\r\n/, '$1c2hvcnQ=\r\n')],
    ['a key that is no base64', 400, upgrade(PATH).replace(/(Sec-WebSocket-Key: ).*\r\n/, '$1!!!!!!!!!!!!!!!!!!!!!!==\r\n')],
    ['no version', 426, upgrade(PATH).replace(/Sec-WebSocket-Version.*\r\n/, '')],
    ['another version', 426, upgrade(PATH).replace('Version: 13', 'Version: 8')],
    ['no Connection: Upgrade', 426, upgrade(PATH).replace('Connection: Upgrade', 'Connection: keep-alive')],
    ['the method POST', 405, upgrade(PATH).replace('GET', 'POST')],
    ['HTTP/1.0', 426, upgrade(PATH).replace('HTTP/1.1', 'HTTP/1.0')],
  ]) {
    it(`is refused with ${status}: ${what}`, async () => {
      const tcp = await Tcp.open(weir, 'ws')
      tcp.write(bytes)
      await tcp.until('\r\n\r\n')
      const [answer] = responses(tcp.text)
      assert.equal(answer.status, status, tcp.text)
      if (what.endsWith('version')) assert.equal(answer.headers['sec-websocket-version'], '13')
      tcp.destroy()
    })
  }

  it('answers with the key of RFC 6455 section 1.3', async () => {
    const tcp = await Tcp.open(weir, 'ws')
    tcp.write(upgrade(PATH).replace(/(Sec-WebSocket-Key: ).*\r\n/, '$1dGhlIHNhbXBsZSBub25jZQ==\r\n'))
    const head = await tcp.until('\r\n\r\n')
    assert.match(head, /^HTTP\/1\.1 101 /)
    assert.match(head, /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i)
    tcp.destroy()
  })

  it('to anything else does not happen: no h2c behind a proxy\'s back', async () => {
    const tcp = await Tcp.open(weir, 'ws')
    const settings = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'
    tcp.write(`GET /mcp/stats HTTP/1.1\r\nHost: localhost\r\n${settings}\r\n`)
    await tcp.until('\r\n\r\n')
    assert.equal(responses(tcp.text)[0].status, 200)
    tcp.destroy()
  })

  for (const offer of [
    'server_max_window_bits=7', 'server_max_window_bits=16', 'server_max_window_bits=09', 'server_max_window_bits',
    'client_max_window_bits=99', 'client_max_window_bits; client_max_window_bits', 'server_no_context_takeover=1', 'unknown',
  ]) {
    it(`goes on without compression where it is offered with ${offer}`, async () => {
      const tcp = await Tcp.open(weir, 'ws')
      tcp.write(upgrade(PATH, `Sec-WebSocket-Extensions: permessage-deflate; ${offer}\r\n`))
      const head = await tcp.until('\r\n\r\n')
      assert.match(head, /^HTTP\/1\.1 101 /)
      assert.doesNotMatch(head, /sec-websocket-extensions/i)
      tcp.destroy()
    })
  }

  it('selects no subprotocol that it does not speak', async () => {
    const tcp = await Tcp.open(weir, 'ws')
    tcp.write(upgrade(PATH, 'Sec-WebSocket-Protocol: soap, wamp\r\n'))
    assert.doesNotMatch(await tcp.until('\r\n\r\n'), /sec-websocket-protocol/i)
    tcp.destroy()
  })

  it('loses no frame that came in the same packet', async () => {
    const tcp = await Tcp.open(weir, 'ws')
    const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
    tcp.write(Buffer.concat([Buffer.from(upgrade('/mcp/ws?client_id=eager')), frame(TEXT, ping), frame(TEXT, ping)]))
    const head = await tcp.until('\r\n\r\n')
    tcp.bytes = tcp.bytes.subarray(head.indexOf('\r\n\r\n') + 4)
    await tcp.reach('two answers', ({ bytes }) => frames(bytes).length === 2)
    for (const { payload } of frames(tcp.bytes)) assert.equal(JSON.parse(payload).id, 1)
    tcp.destroy()
  })

  it('is the end of HTTP: a request behind it is a broken frame', async () => {
    const tcp = await Tcp.open(weir, 'ws')
    tcp.write(`${upgrade(PATH)}GET /mcp/stats HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    const text = await tcp.end()
    assert.equal(text.match(/HTTP\/1\.1/g).length, 1)
    assert.match(text, /^HTTP\/1\.1 101 /)
  })

  it('is the end of HTTP later, too', async () => {
    const tcp = await upgraded(weir, '/mcp/ws/echo')
    tcp.write(frame(BINARY, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'))
    await tcp.reach('the echo', ({ bytes }) => frames(bytes).length === 1)
    tcp.write('GET /mcp/stats HTTP/1.1\r\nHost: localhost\r\n\r\n')
    assert.equal(await closeCode(tcp), 1002)
  })

  it('to the echo is there with --test-endpoints only', async () => {
    const plain = await Weir.start({ testEndpoints: false })
    const tcp = await Tcp.open(plain, 'ws')
    tcp.write(upgrade('/mcp/ws/echo'))
    await tcp.until('HTTP/1.1 404 ')
    tcp.destroy()
    await plain.close()
  })
})
