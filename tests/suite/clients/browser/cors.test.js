// What other pages may read, as browsers are told, and what every answer says of itself.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { get, post, request } from '../lib/http.js'
import { Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const APP = 'https://app.example'
const PREFLIGHT = { origin: APP, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-client-id' }

describe('a page that may read', () => {
  let weir
  before(async () => {
    const config = `[cors]\norigins = ["${APP}"]\n[rate_limiting]\nbackend = { limit = 1, per = "1h" }\n`
    // One core, one bucket.
    weir = await Weir.start({ config, shards: 1 })
  })
  after(() => weir.close())

  it('is told so by preflights', async () => {
    for (const path of ['/mcp', '/mcp/sse', '/mcp/clients/a/messages', '/mcp/ws/longpoll', '/mcp/ack']) {
      const { status, headers, body } = await request('OPTIONS', weir.url(path), { headers: PREFLIGHT })
      assert.deepEqual([status, body], [204, ''], path)
      assert.equal(headers['access-control-allow-origin'], APP)
      assert.equal(headers['access-control-allow-methods'], 'GET, POST, DELETE')
      assert.match(headers['access-control-allow-headers'], /(^|, )X-Client-ID(,|$)/)
      assert.equal(headers['access-control-max-age'], '86400')
      assert.equal(headers.vary, 'Origin')
      assert.equal(headers['access-control-allow-credentials'], undefined)
    }
  })

  it('is told so by every answer, errors among them', async () => {
    const headers = { origin: APP }
    const answers = [
      await get(weir.url('/mcp/stats'), { headers: { ...headers, 'x-client-id': 'b1' } }),
      await get(weir.url('/mcp/stats'), { headers: { ...headers, 'x-client-id': 'b1' } }),
      await get(weir.url('/none'), { headers }),
      await post(weir.url('/mcp/sse'), '{}', { headers }),
      await post(weir.url('/mcp'), 'x', { headers }),
      await post(weir.url('/mcp/clients/a/messages'), 'x'.repeat(2_000_000), { headers }),
      await get(weir.url('/mcp/ws/longpoll?vsn=2.0.0'), { headers }),
      await get(weir.url('/mcp/ws'), { headers }),
    ]
    assert.deepEqual(answers.map(({ status }) => status), [200, 429, 404, 405, 400, 413, 200, 426])
    for (const { status, headers } of answers) {
      assert.equal(headers['access-control-allow-origin'], APP, status)
      assert.equal(headers.vary, 'Origin', status)
      assert.match(headers['access-control-expose-headers'], /Mcp-Session-Id.*X-RateLimit-Remaining/, status)
    }
  })

  it('is told so by streams', async () => {
    for (const path of ['/mcp/sse?client_id=a', '/mcp/events', '/sse']) {
      const tcp = await Tcp.open(weir)
      tcp.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nOrigin: ${APP}\r\nAccept: text/event-stream\r\n\r\n`)
      const head = await tcp.until('\r\n\r\n')
      assert.match(head, /^HTTP\/1\.1 200 /)
      assert.ok(head.includes(`Access-Control-Allow-Origin: ${APP}\r\n`), head)
      assert.ok(head.includes('Vary: Origin\r\n'), head)
      tcp.destroy()
    }
  })

  it('is one that is listed', async () => {
    const evil = { ...PREFLIGHT, origin: 'https://app.example.evil' }
    const preflight = await request('OPTIONS', weir.url('/mcp'), { headers: evil })
    assert.equal(preflight.status, 403)
    assert.equal(preflight.headers['access-control-allow-origin'], undefined)
    assert.equal(preflight.headers.vary, 'Origin', 'what a cache keeps is not for other pages')
    const plain = await get(weir.url('/mcp/stats'))
    assert.deepEqual([plain.headers['access-control-allow-origin'], plain.headers.vary], [undefined, 'Origin'])
  })
})

it('every page may read where it is said so', async () => {
  const weir = await Weir.start({ config: '[cors]\norigins = "*"\nheaders = ["X-Client-ID"]\nmax_age = "0s"\n' })
  const { headers } = await request('OPTIONS', weir.url('/mcp'), { headers: { ...PREFLIGHT, origin: 'null' } })
  assert.equal(headers['access-control-allow-origin'], '*')
  assert.deepEqual([headers['access-control-allow-headers'], headers['access-control-max-age']], ['X-Client-ID', '0'])
  await weir.close()
})

it('without configuration no other page may read anything', async () => {
  const weir = await Weir.start()
  const { status, headers } = await request('OPTIONS', weir.url('/mcp'), { headers: PREFLIGHT })
  assert.deepEqual([status, headers['access-control-allow-origin']], [403, undefined])
  await weir.close()
})

it('no answer is a page, nor part of one', async () => {
  const weir = await Weir.start()
  for (const [listener, path] of [
    ['sse', '/mcp/stats'], ['sse', '/none'], ['sse', '/mcp/ws/longpoll?vsn=2.0.0'], ['sse', '/mcp'],
    ['admin', '/'], ['admin', '/health'], ['admin', '/mcp/stats'], ['admin', '/none'],
  ]) {
    const { headers } = await get(weir.url(path, listener))
    assert.equal(headers['x-content-type-options'], 'nosniff', path)
    assert.match(headers['content-security-policy'], /default-src 'none'.*frame-ancestors 'none'/, path)
    assert.equal(headers['referrer-policy'], 'no-referrer', path)
    if (listener === 'admin') assert.deepEqual([headers['cache-control'], headers['x-frame-options']], ['no-store', 'DENY'])
  }
  await weir.close()
})
