// Spans of what messages go through, taken by OpenTelemetry's own decoder; the context as the official SDK's client sends it
// and the official SDK's server gets it.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'

import { Receiver } from '../lib/bus.js'
import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, message, source } from '../lib/events.js'
import { post, request, send } from '../lib/http.js'
import { bearer, required } from '../lib/tokens.js'
import { Weir } from '../lib/weir.js'
import { command, Fixture, upstream } from '../mcp/lib/fixture.js'
import { connect } from '../mcp/lib/v1.js'
import { Collector } from './collector.js'

const SERVER = new URL('../mcp/fixture/showing.js', import.meta.url).pathname
const EVERYTHING = ['accept', 'auth', 'route', 'upstream', 'delivery']

/** A span of somebody who calls: `header` is its traceparent. */
function caller(sampled = true) {
  const [trace, id] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')]
  return { trace, id, header: `00-${trace}-${id}-0${Number(sampled)}` }
}

/** For the configuration: where spans go, and which part of the messages is sampled. */
function tracing(collector, rate, ...lines) {
  return ['[tracing]', `endpoint = "${collector.url}"`, `sampling_rate = ${rate}`, ...lines, ''].join('\n')
}

/** What the server was asked with: `{headers, meta}`. */
const shown = result => JSON.parse(result.content[0].text)

/** All but the first are part of the first. */
function assertWithin([accept, ...others], parent) {
  assert.equal(accept.parent, parent)
  for (const span of others) {
    assert.equal(span.parent, accept.id, span.name)
    assert.ok(span.start >= accept.start && span.end <= accept.end, `${span.name} is within`)
  }
}

describe('a message of a trace that its sender records', () => {
  let collector, server, weir
  before(async () => {
    collector = await Collector.start()
    server = await Fixture.launch([SERVER, 'http'], /listening (\d+)/)
    const upstreams = upstream('far', server.url) + upstream('near', [process.execPath, SERVER, 'stdio'])
    weir = await Weir.start({ config: `${tracing(collector, 0)}[mcp]\nprefix = "always"\n${upstreams}` })
  })
  after(async () => {
    await weir.close()
    await server.close()
    await collector.close()
  })

  for (const [name, where] of [['far', 'over HTTP'], ['near', 'over standard input']]) {
    it(`an MCP call by header, to a server ${where}`, async () => {
      const { trace, id, header } = caller()
      const client = await connect(weir, 'http', { headers: { traceparent: header, tracestate: 'a=1,b=2' } })
      const { headers, meta } = shown(await client.use(`${name}__show`))
      const spans = await collector.trace(trace, EVERYTHING)
        .then(() => collector.requests.items.flatMap(({ spans }) => spans).filter(span => span.trace === trace))
      const [asked] = spans.filter(span => span.name === 'upstream' && span.attributes['weir.message.type'] === 'tools/call')
      const call = spans.filter(span => span.id === asked.parent || span.parent === asked.parent)
      const order = EVERYTHING.map(stage => call.find(span => span.name === stage))
      assertWithin(order, id)
      assert.ok(call.every(span => span.state === 'a=1,b=2'))
      assert.equal(asked.attributes['weir.destination'], name)
      // The server is asked in the span `upstream`.
      assert.equal(meta.traceparent, `00-${trace}-${asked.id}-01`)
      assert.equal(meta.tracestate, 'a=1,b=2')
      if (name === 'far') assert.deepEqual([headers.traceparent, headers.tracestate], [meta.traceparent, 'a=1,b=2'])
      await client.close()
    })
  }

  for (const transport of ['http', 'sse', 'ws']) {
    it(`an MCP call by _meta over ${transport}, which goes before a header`, async () => {
      const { trace, id, header } = caller()
      const headers = { traceparent: caller().header }
      const client = await connect(weir, transport, { headers })
      const params = { name: 'far__show', arguments: {}, _meta: { traceparent: header, tracestate: 'c=3', baggage: 'd=4' } }
      const result = shown(await client.callTool(params))
      const spans = await collector.trace(trace, EVERYTHING)
      assertWithin(spans, id)
      const [, , , asked] = spans
      const expected = { traceparent: `00-${trace}-${asked.id}-01`, tracestate: 'c=3', baggage: 'd=4' }
      assert.deepEqual(result.meta, expected)
      assert.equal(result.headers.traceparent, expected.traceparent)
      await client.close()
    })
  }

  it('a publish by its field, to a client that comes for it later', async () => {
    const { trace, id, header } = caller()
    const { status } = await send(weir, 'later', { type: 'chat', data: 1, traceparent: header, tracestate: 'e=5' })
    assert.equal(status, 202)
    const [accept, auth, route] = await collector.trace(trace, ['accept', 'auth', 'route'])
    assertWithin([accept, auth, route], id)
    const es = source(weir.url('/mcp/sse?client_id=later'))
    await message(es, 'chat')
    es.close()
    const [delivery] = await collector.trace(trace, ['delivery'])
    assert.deepEqual([delivery.parent, delivery.state, delivery.start], [accept.id, 'e=5', route.end])
    assert.ok(delivery.end > accept.end, 'it was delivered when the client came')
    assert.equal(delivery.attributes['weir.client'], 'later')
    assert.equal(delivery.attributes['weir.message.type'], 'chat')
  })

  it('a publish by its header, to a topic and in a batch', async () => {
    const one = caller()
    const headers = { traceparent: one.header }
    assert.equal((await post(weir.url('/mcp/topics/topic:t/messages'), { type: 'chat', data: 1 }, { headers })).status, 202)
    const spans = await collector.trace(one.trace, ['accept', 'auth', 'route', 'delivery'])
    assert.equal(spans[0].parent, one.id)
    assert.ok(spans.slice(1).every(span => span.parent === spans[0].id))
    assert.equal(spans[2].attributes['weir.destination'], 'topic:t')

    const [two, three] = [caller(), caller()]
    const lines = [two, three].map(({ header }, at) => ({ client: `b${at}`, type: 'chat', data: 1, traceparent: header }))
    await post(weir.url('/mcp/batch'), lines.map(line => JSON.stringify(line)).join('\n'))
    for (const { trace, id } of [two, three]) assert.equal((await collector.trace(trace, ['accept', 'route']))[0].parent, id)
  })

  it('says what was refused and why', async () => {
    const { trace, header } = caller()
    const answer = await send(weir, 'x', { type: '<script>alert(1)', data: '<script>alert(1)</script>', traceparent: header })
    const refused = answer.status >= 400
    const [accept, auth] = await collector.trace(trace, ['accept', 'auth'])
    assert.equal(refused, accept.status.code === 2)
    if (refused) assert.equal(auth.attributes['error.type'], answer.json.reason)
  })

  it('names the gateway, and what kind of span each is', async () => {
    const { trace, header } = caller()
    const client = await connect(weir, 'http')
    await client.callTool({ name: 'far__show', arguments: {}, _meta: { traceparent: header } })
    await client.close()
    const spans = await collector.trace(trace, EVERYTHING)
    assert.deepEqual(spans.map(({ kind }) => kind), [2, 1, 1, 3, 4])
    assert.deepEqual(spans.map(({ flags }) => flags), [0x301, 0x101, 0x101, 0x101, 0x101])
    for (const { resource } of spans) {
      assert.equal(resource['service.name'], 'weir')
      assert.match(resource['service.instance.id'], /^[0-9a-f]{32}$/)
    }
  })

  it('leaves alone what its sender does not record', async () => {
    const { trace, header } = caller(false)
    const client = await connect(weir, 'http', { headers: { TraceParent: header, tracestate: 'f=6' } })
    const { headers, meta } = shown(await client.use('far__show'))
    assert.deepEqual([headers.traceparent, headers.tracestate, meta.traceparent], [header, 'f=6', undefined])
    await client.close()
    const end = caller()
    await send(weir, 'end', { type: 'chat', data: 1, traceparent: end.header })
    await collector.trace(end.trace, ['accept'])
    assert.ok(!collector.raw.includes(trace))
  })
})

describe('messages of no trace', () => {
  let collector, weir
  before(async () => { collector = await Collector.start() })
  after(() => collector.close())

  const rate = value => request('PUT', weir.url('/mcp/admin/sampling', 'admin'), { body: JSON.stringify({ rate: value }) })

  it('are sampled as the rate says, which is changed at run time', async () => {
    weir = await Weir.start({ config: tracing(collector, 1) })
    await send(weir, 'one', { type: 'one', data: 1 })
    const one = await collector.spans.take('a span of one', span => span.attributes['weir.message.type'] === 'one')
    assert.equal(one.trace.length, 32)

    assert.equal((await rate(0)).json.rate, 0)
    await send(weir, 'two', { type: 'two', data: 1 })
    assert.deepEqual([(await rate(1.5)).status, (await rate('x')).status], [400, 400])
    assert.equal((await rate(1)).json.rate, 1)
    await send(weir, 'three', { type: 'three', data: 1 })
    await collector.spans.take('a span of three', span => span.attributes['weir.message.type'] === 'three')
    assert.ok(!collector.raw.includes('"two"'))
    await weir.close()
  })

  it('leave a trace on WebSockets, and a handler is asked in a span', async () => {
    const handler = await Receiver.start((_, response) => response.writeHead(200).end('{"done":true}'))
    const handlers = `[[handler]]\nname = "orders"\nurl = "${handler.url}"\ntypes = ["order"]\n`
    weir = await Weir.start({ config: tracing(collector, 1) + handlers })
    const socket = phoenix(weir, { client_id: 'u1' })
    const { channel } = await join(socket, 'mcp:gateway')
    assert.deepEqual((await push(channel, 'order', { id: 7 })).response, { done: true })
    const { headers } = await handler.inbox.take('the push')
    const [, trace, id] = headers.traceparent.split('-')
    const spans = await collector.trace(trace, EVERYTHING)
    assertWithin(spans, '')
    assert.deepEqual([spans[3].id, spans[3].attributes['weir.client']], [id, 'u1'])

    const topic = (await join(socket, 'topic:t')).channel
    await push(topic, 'hello', {})
    const accept = await collector.spans.take('the topic', span => span.name === 'accept' && span.attributes['weir.message.type'] === 'hello')
    assertWithin([accept, ...await collector.trace(accept.trace, ['route'])], '')
    const [delivery] = await collector.trace(accept.trace, ['delivery'])
    assert.equal(delivery.parent, accept.id)
    await disconnect(socket)
    await weir.close()
    handler.close()
  })

  it('leave a trace when nobody proves who sends them', async () => {
    weir = await Weir.start({ config: required({ rest: tracing(collector, 0) }) })
    const { trace, id, header } = caller()
    const { status } = await post(weir.url('/mcp'), { jsonrpc: '2.0', id: 1, method: 'ping' }, { headers: { traceparent: header } })
    assert.equal(status, 401)
    const [accept, auth] = await collector.trace(trace, ['accept', 'auth'])
    assertWithin([accept, auth], id)
    assert.equal(auth.attributes['error.type'], 'missing_token')
    await weir.close()
  })

  it('are not sampled where nobody takes spans, and their context passes', async () => {
    weir = await Weir.start({ config: '[tracing]\nsampling_rate = 1\n' })
    const es = source(weir.url('/mcp/sse?client_id=u1'))
    await event(es, 'connected')
    await send(weir, 'u1', { type: 'chat', data: 1, traceparent: caller().header })
    await message(es, 'chat')
    es.close()
    const { json } = await request('GET', weir.url('/mcp/admin/sampling', 'admin'))
    assert.deepEqual([json.rate, json.endpoint, json.exported, json.waiting], [1, null, 0, 0])
    await weir.close()
  })
})
