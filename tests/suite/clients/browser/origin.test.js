// Which web pages the gateway talks to, byte by byte: what a browser would send for them, and what none would.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import WebSocket from 'ws'

import { once } from 'node:events'

import { deadline } from '../lib/inbox.js'
import { get, post, request } from '../lib/http.js'
import { plain, refusal, tell } from '../lib/plain.js'
import { responses, Tcp } from '../lib/tcp.js'
import { upgrade } from '../lib/frames.js'
import { Weir } from '../lib/weir.js'

const APP = 'https://app.example'
const BODY = '{"type":"note","data":1}'

/** Every way in, as `[what, listener, request without the headers that differ]`. */
const WAYS = [
  ['a bare WebSocket', 'ws', upgrade('/mcp/ws')],
  ['MCP over WebSocket', 'ws', upgrade('/mcp/ws', 'Sec-WebSocket-Protocol: mcp\r\n')],
  ['Phoenix Channels', 'ws', upgrade('/mcp/ws/websocket?vsn=2.0.0&client_id=page')],
  ['LongPoll', 'ws', get_('/mcp/ws/longpoll?vsn=2.0.0')],
  ['a client\'s SSE', 'sse', get_('/mcp/sse?client_id=page')],
  ['the feed for backends', 'sse', get_('/mcp/events')],
  ['figures', 'sse', get_('/mcp/stats')],
  ['a publish', 'sse', post_('/mcp/clients/page/messages', BODY)],
  ['a batch', 'sse', post_('/mcp/batch', BODY)],
  ['MCP over Streamable HTTP', 'sse', post_('/mcp', '{"jsonrpc":"2.0","id":1,"method":"ping"}')],
  ['MCP over HTTP+SSE', 'sse', get_('/sse')],
  ['the admin port', 'admin', get_('/mcp/stats')],
  ['a change on the admin port', 'admin', post_('/mcp/admin/dlq/redrive', '')],
]

function get_(path) {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
}

function post_(path, body) {
  return `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

/** Origins that look like the gateway's own and are not. */
const TRICKS = port => [
  'null',
  'http://evil.example',
  'http://localhost',
  `http://localhost:${port === 4001 ? 4002 : 4001}`,
  `http://localhost:${port}.evil.example`,
  `http://evil.example:${port}`,
  `http://localhost:${port}@evil.example`,
  `http://evil-localhost:${port}`,
  `http://localhost.evil.example:${port}`,
  `http://127.0.0.1:${port}`,
  `http://localhost.:${port}`,
  `http://localhost:${port}/`,
  `http://l\xc3\xb6calhost:${port}`,
  `http://xn--lcalhost-n4a:${port}`,
  `chrome-extension://localhost:${port}`,
  '',
]

describe('without configuration', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  /** The status of a request with these headers in place of its Host. */
  async function status(listener, bytes, headers) {
    const tcp = await Tcp.open(weir, listener)
    tcp.write(bytes.replace('Host: localhost\r\n', headers))
    const head = await tcp.until('\r\n\r\n')
    tcp.destroy()
    return responses(head)[0].status
  }

  for (const [what, listener, bytes] of WAYS) {
    it(`${what} serves its own pages and what is no page`, async () => {
      const own = `localhost:${weir.ports[listener]}`
      for (const headers of [
        `Host: ${own}\r\n`,
        `Host: ${own}\r\nOrigin: http://${own}\r\n`,
        `Host: ${own}\r\nOrigin: HTTP://${own.toUpperCase()}\r\n`,
        `Host: ${own}\r\nSec-Fetch-Site: same-origin\r\n`,
        'Host: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n',
        'Host: [::1]:4001\r\nOrigin: https://[::1]:4001\r\n',
      ]) {
        assert.notEqual(await status(listener, bytes, headers), 403, headers)
      }
    })

    it(`${what} serves no page of another origin`, async () => {
      const port = weir.ports[listener]
      for (const origin of TRICKS(port)) {
        assert.equal(await status(listener, bytes, `Host: localhost:${port}\r\nOrigin: ${origin}\r\n`), 403, origin)
      }
      const twice = `Host: localhost:${port}\r\nOrigin: http://evil.example\r\nOrigin: http://localhost:${port}\r\n`
      assert.equal(await status(listener, bytes, twice), 403, 'two origins')
    })

    it(`${what} serves nobody who calls the gateway by another name`, async () => {
      for (const host of ['evil.example', 'evil.example:4001', 'localhost.evil.example', 'localhost.', '0.0.0.0']) {
        assert.equal(await status(listener, bytes, `Host: ${host}\r\n`), 403, host)
        assert.equal(await status(listener, bytes, `Host: ${host}\r\nOrigin: http://${host}\r\n`), 403, host)
      }
    })
  }

  it('a page that is not named is told by its browser', async () => {
    for (const [, listener, bytes] of WAYS.filter(([, listener]) => listener !== 'admin')) {
      for (const site of ['cross-site', 'same-site']) {
        assert.equal(await status(listener, bytes, `Host: localhost\r\nSec-Fetch-Site: ${site}\r\n`), 403)
      }
    }
    const headers = { 'sec-fetch-site': 'cross-site' }
    assert.equal((await get(weir.url('/health', 'admin'), { headers })).status, 200, 'a link to the admin port')
    assert.equal((await request('DELETE', weir.url('/mcp/admin/dlq', 'admin'), { headers })).status, 403)
  })

  it('a WebSocket is not opened from elsewhere, so nobody speaks in the name of who is lured there', async () => {
    const origin = 'http://evil.example'
    for (const path of ['/mcp/ws', '/mcp/ws?client_id=victim', '/mcp/ws/websocket?vsn=2.0.0&client_id=victim', '/mcp/ws/echo']) {
      assert.equal(await refusal(weir, path, { origin }), 403, path)
      assert.equal(await refusal(weir, path, { origin, protocols: ['mcp'] }), 403, path)
    }
    const own = await plain(weir, '/mcp/ws', { origin: `http://127.0.0.1:${weir.ports.ws}` })
    tell(own, { jsonrpc: '2.0', id: 1, method: 'ping' })
    assert.deepEqual(await own.messages.take('a pong'), { jsonrpc: '2.0', id: 1, result: {} })
    own.terminate()
  })

  it('the refusal says what to do', async () => {
    const origin = { headers: { origin: 'http://evil.example' } }
    const refused = await post(weir.url('/mcp/clients/page/messages'), BODY, origin)
    assert.deepEqual([refused.status, refused.json.error, refused.json.reason], [403, 'forbidden', 'origin'])
    assert.match(refused.json.message, /security\.origins/)
    const host = await get(weir.url('/mcp/stats'), { headers: { host: 'evil.example' } })
    assert.deepEqual([host.status, host.json.reason], [403, 'host'])
    assert.match(host.json.message, /security\.hosts/)
    const mcp = await post(weir.url('/mcp'), '{}', origin)
    assert.deepEqual([mcp.status, mcp.json.jsonrpc, mcp.json.error.code], [403, '2.0', 403])
    const poll = await get(weir.url('/mcp/ws/longpoll?vsn=2.0.0', 'ws'), origin)
    assert.deepEqual([poll.status, poll.json.status], [403, 403], 'in words that phoenix.js takes')
  })
})

describe('pages that are listed', () => {
  let weir
  before(async () => {
    const config = `[security]\norigins = ["${APP}", "http://localhost:5173"]\nhosts = ["weir.example"]\n`
    weir = await Weir.start({ config })
  })
  after(() => weir.close())

  it('talk to the gateway, by the names it is given', async () => {
    for (const origin of [APP, 'http://localhost:5173', 'HTTPS://APP.EXAMPLE']) {
      const socket = new WebSocket(weir.wsUrl('/mcp/ws'), { origin, headers: { host: 'weir.example' } })
      await deadline(once(socket, 'open'), `the upgrade for ${origin}`)
      socket.terminate()
    }
  })

  it('are exactly those', async () => {
    for (const origin of [
      'http://app.example', 'https://app.example:8443', 'https://evil-app.example', 'https://app.example.evil',
      'https://www.app.example', 'https://app.example.', 'http://localhost:5174', 'http://localhost', 'null',
    ]) {
      assert.equal(await refusal(weir, '/mcp/ws', { origin }), 403, origin)
    }
  })

  it('may not read answers for that', async () => {
    const answer = await get(weir.url('/mcp/stats'), { headers: { origin: APP } })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['access-control-allow-origin'], undefined)
    assert.equal(answer.headers.vary, undefined)
  })

  it('are no operators', async () => {
    const answer = await request('DELETE', weir.url('/mcp/admin/dlq', 'admin'), { headers: { origin: APP } })
    assert.equal(answer.status, 403)
  })
})
