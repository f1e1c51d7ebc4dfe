// EventSource, unmodified: connected, message, heartbeat, headers, refusals.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { event, message, refused, source } from '../lib/events.js'
import { get, send } from '../lib/http.js'
import { stream } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const CONFIG = '[http_sse]\nheartbeat_interval = "1s"\n'

describe('the application SSE stream', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: CONFIG }) })
  after(() => weir.close())

  it('begins with connected: who, where, what is kept', async () => {
    const es = source(weir.url('/mcp/sse?client_id=u1'))
    const { data } = await event(es, 'connected')
    assert.equal(data.client_id, 'u1')
    assert.equal(data.sequence, 0)
    assert.equal(data.recovered, false)
    assert.equal(data.heartbeat_interval, 1000)
    assert.equal(typeof data.epoch, 'string')
    assert.ok(data.retention.messages >= 1 && data.retention.seconds >= 1)
    es.close()
  })

  it('has the headers that keep proxies from buffering it', async () => {
    const es = source(weir.url('/mcp/sse?client_id=headers'))
    const { status, headers } = await es.responses.take('the response')
    assert.equal(status, 200)
    assert.match(headers['content-type'], /^text\/event-stream/)
    assert.equal(headers['x-accel-buffering'], 'no')
    assert.equal(headers['cache-control'], 'no-cache, no-transform')
    es.close()
  })

  it('says retry before anything else, and an id that names epoch and sequence', async () => {
    const raw = await stream(weir, '/mcp/sse?client_id=raw')
    const head = await raw.until('event: connected')
    assert.match(head, /retry: 1000\r?\n/)
    assert.ok(head.indexOf('retry:') < head.indexOf('event: connected'))
    const { json } = await send(weir, 'raw', { type: 'chat', data: 1 })
    const text = await raw.until('"chat"')
    assert.match(text, new RegExp(`id: ?${json.epoch}-${json.sequence}\\r?\\n`))
    raw.destroy()
  })

  it('carries messages in envelopes, in order', async () => {
    const es = source(weir.url('/mcp/sse?client_id=u2'))
    const { data: hello } = await event(es, 'connected')
    for (let n = 1; n <= 20; n++) {
      const sent = await send(weir, 'u2', { type: 'chat', data: { n, text: 'zwei\nZeilen ✓' } })
      assert.deepEqual([sent.status, sent.json], [202, { epoch: hello.epoch, sequence: n, state: 'delivered' }])
    }
    for (let n = 1; n <= 20; n++) {
      const { id, data } = await message(es, 'chat')
      assert.deepEqual([data.sequence, data.epoch, data.data], [n, hello.epoch, { n, text: 'zwei\nZeilen ✓' }])
      assert.equal(id, `${hello.epoch}-${n}`)
      assert.ok(!Number.isNaN(Date.parse(data.timestamp)))
      assert.ok(data.id)
    }
    es.close()
  })

  it('beats', async () => {
    const es = source(weir.url('/mcp/sse?client_id=beat'))
    const beats = [await event(es, 'heartbeat'), await event(es, 'heartbeat')]
    for (const { data } of beats) assert.ok(data.timestamp)
    es.close()
  })

  it('takes the name from X-Client-ID before the query', async () => {
    const es = source(weir.url('/mcp/sse?client_id=query'), { 'x-client-id': 'header' })
    assert.equal((await event(es, 'connected')).data.client_id, 'header')
    es.close()
  })

  it('decodes names in the query', async () => {
    const es = source(weir.url('/mcp/sse?client_id=gr%C3%BC%C3%9F+dich%20%2F'))
    assert.equal((await event(es, 'connected')).data.client_id, 'grüß dich /')
    assert.equal((await send(weir, 'grüß dich /', { type: 'chat', data: 1 })).json.state, 'delivered')
    es.close()
  })

  it('refuses who has no name: 400 client_id_required', async () => {
    const answer = await get(weir.url('/mcp/sse'))
    assert.equal(answer.status, 400)
    assert.equal(answer.json.reason, 'client_id_required')
    const es = source(weir.url('/mcp/sse'))
    assert.equal(await refused(es), 400)
  })

  for (const [what, name] of [['line feeds', 'a%0Ab'], ['carriage returns', 'a%0Db'], ['NUL', 'a%00b'], ['nothing', '']]) {
    it(`refuses a name with ${what}`, async () => {
      assert.equal((await get(weir.url(`/mcp/sse?client_id=${name}`))).status, 400)
    })
  }

  it('serves two streams of one client alike', async () => {
    const both = [source(weir.url('/mcp/sse?client_id=twin')), source(weir.url('/mcp/sse?client_id=twin', 'ws'))]
    await Promise.all(both.map(es => event(es, 'connected')))
    await send(weir, 'twin', { type: 'chat', data: 1, transport: 'all' })
    for (const es of both) assert.equal((await message(es, 'chat')).data.sequence, 1)
    for (const es of both) es.close()
  })
})

describe('the bound on streams', () => {
  it('refuses with 503 before it starts a stream, and says when to come back', async () => {
    const weir = await Weir.start({ config: '[http_sse]\nmax_connections = 2\n', shards: 1 })
    const held = ['a', 'b'].map(name => source(weir.url(`/mcp/sse?client_id=${name}`)))
    await Promise.all(held.map(es => event(es, 'connected')))
    const answers = await Promise.all(['c', 'd'].map(name => get(weir.url(`/mcp/sse?client_id=${name}`))))
    for (const answer of answers) {
      assert.equal(answer.status, 503)
      assert.equal(answer.json.error, 'unavailable')
      assert.ok(Number(answer.headers['retry-after']) >= 1)
    }
    for (const es of held) es.close()
    await weir.close()
  })
})
