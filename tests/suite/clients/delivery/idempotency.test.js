// Idempotency keys: who did not hear the answer says the same again, and it is done once.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { answer, disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, message, source } from '../lib/events.js'
import { get, post, send } from '../lib/http.js'
import { deadline } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'

const said = ({ json: { epoch, sequence, state } }) => ({ epoch, sequence, state })

describe('publishes with an idempotency key', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('are done once, and answered the same again', async () => {
    const es = source(weir.url('/mcp/sse?client_id=once'))
    await event(es, 'connected')
    const body = { type: 'order', data: { n: 1 }, idempotency_key: 'k1' }
    const first = await send(weir, 'once', body)
    const again = await send(weir, 'once', body)
    assert.deepEqual([first.status, again.status], [202, 202])
    assert.deepEqual([first.json.duplicate, again.json.duplicate], [undefined, true])
    assert.deepEqual(said(again), said(first))
    await send(weir, 'once', { type: 'last', data: 0 })
    assert.equal((await message(es, 'order')).data.sequence, 1)
    assert.equal((await message(es, 'last')).data.sequence, 2)
    es.close()
  })

  it('are refused if the key stands for something else', async () => {
    const body = { type: 'order', data: 1, idempotency_key: 'k2' }
    await send(weir, 'other', body)
    for (const other of [{ data: 2 }, { type: 'bill' }, { priority: 'high' }, { transport: 'all' }, { ttl_ms: 60_000 }]) {
      const { status, json } = await send(weir, 'other', { ...body, ...other })
      assert.deepEqual([status, json.error, json.reason], [409, 'conflict', 'idempotency_key'])
    }
    assert.equal((await send(weir, 'another', body)).json.duplicate, undefined, 'keys are each receiver\'s own')
  })

  it('may have it in the header', async () => {
    const body = { type: 'order', data: 1 }
    const first = await send(weir, 'header', body, { headers: { 'idempotency-key': '"k3"' } })
    const again = await send(weir, 'header', { ...body, idempotency_key: 'k3' }, { headers: { 'Idempotency-Key': 'k3' } })
    assert.deepEqual(said(again), said(first))
    assert.equal(again.json.duplicate, true)
    const torn = await send(weir, 'header', { ...body, idempotency_key: 'k4' }, { headers: { 'Idempotency-Key': 'k3' } })
    assert.deepEqual([torn.status, torn.json.reason], [400, 'malformed'])
  })

  it('may wait for the acknowledgement again, and hear of one that came meanwhile', async () => {
    const socket = phoenix(weir, { client_id: 'waited' })
    const { channel, events } = await join(socket, 'mcp:gateway')
    const body = { type: 'order', data: 1, timeout_ms: 60_000, idempotency_key: 'k' }
    const first = send(weir, 'waited', body)
    const { payload } = await events.take('the order', ({ event: name }) => name === 'message')
    const again = send(weir, 'waited', body)
    await push(channel, 'ack', { sequence: payload.sequence })
    const answers = [await first, await again, await send(weir, 'waited', body)]
    assert.deepEqual(answers.map(({ json: { state, duplicate } }) => [state, duplicate]),
      [['acknowledged', undefined], ['acknowledged', true], ['acknowledged', true]])
    await disconnect(socket)
  })

  it('may be lines of a batch and messages to topics', async () => {
    const socket = phoenix(weir, { client_id: 'batched' })
    const { events } = await join(socket, 'topic:batch')
    const lines = [
      { topic: 'topic:batch', type: 'a', data: 1, idempotency_key: 'k' },
      { topic: 'topic:batch', type: 'a', data: 1, idempotency_key: 'k' },
      { topic: 'topic:batch', type: 'b', data: 1, idempotency_key: 'k' },
      { topic: 'topic:batch', type: 'c', data: 1 },
    ]
    const { status, body } = await post(weir.url('/mcp/batch'), lines.map(line => JSON.stringify(line)).join('\n'))
    assert.equal(status, 200)
    const results = body.trim().split('\n').map(line => JSON.parse(line))
    assert.deepEqual(results[1], { ...results[0], duplicate: true })
    assert.equal(results[2].reason, 'idempotency_key')
    const got = await events.takeMany(2, 'a message', ({ event: name }) => name === 'message')
    assert.deepEqual(got.map(({ payload }) => [payload.type, payload.sequence]), [['a', 1], ['c', 2]])
    await disconnect(socket)
  })

  it('are refused with a key that is none', async () => {
    for (const idempotency_key of ['', 'x'.repeat(129), 7]) {
      const { status, json } = await send(weir, 'bad', { type: 'a', data: 1, idempotency_key })
      assert.deepEqual([status, json.reason], [400, 'malformed'])
    }
    assert.equal((await get(weir.url('/mcp/health/bad'))).status, 404, 'nothing was done')
  })
})

describe('pushes with an idempotency key', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('have their effect once, though the first answer is lost with its connection', async () => {
    const backend = source(weir.url('/mcp/events?client=pusher'))
    await deadline(new Promise(resolve => { backend.onopen = resolve }), 'the feed')
    const first = phoenix(weir, { client_id: 'pusher' })
    const { channel } = await join(first, 'mcp:gateway')
    // The feed's home tells the others that it is read; until then pushes are answered handlers: 0.
    while ((await push(channel, 'message', { type: 'ready', data: 0 })).response.handlers === 0);
    const order = { type: 'order', data: 7, idempotency_key: 'p1' }
    const reply = await push(channel, 'message', order)
    await disconnect(first)
    const second = phoenix(weir, { client_id: 'pusher' })
    const back = await join(second, 'mcp:gateway')
    assert.deepEqual(await push(back.channel, 'message', order), reply)
    assert.deepEqual(reply, { status: 'ok', response: { accepted: true, handlers: 1 } })
    const other = await push(back.channel, 'message', { ...order, data: 8 })
    assert.deepEqual([other.status, other.response.reason], ['error', 'idempotency_key'])
    await push(back.channel, 'message', { type: 'last', data: 0 })
    const types = []
    while (types.at(-1) !== 'last') types.push((await event(backend, 'message')).data.data.type)
    assert.deepEqual(types.filter(type => type !== 'ready'), ['order', 'last'])
    backend.close()
    await disconnect(second)
  })

  it('reach a topic once, and are answered the same again', async () => {
    const sockets = ['left', 'right'].map(client_id => phoenix(weir, { client_id }))
    const [left, right] = await Promise.all(sockets.map(socket => join(socket, 'topic:once')))
    const payload = { n: 1, idempotency_key: 'e1' }
    const reply = await push(left.channel, 'tick', payload)
    assert.deepEqual(await push(left.channel, 'tick', payload), reply)
    assert.equal((await push(left.channel, 'tock', payload)).response.reason, 'idempotency_key')
    assert.equal((await push(right.channel, 'tick', payload)).response.sequence, 2, 'keys are each client\'s own')
    await push(left.channel, 'tick', { n: 2 })
    const ticks = await right.events.takeMany(2, 'a tick', ({ event: name }) => name === 'tick')
    assert.deepEqual(ticks.map(tick => tick.payload), [payload, { n: 2 }])
    await Promise.all(sockets.map(disconnect))
  })

  it('are refused with a key that is no text', async () => {
    const socket = phoenix(weir, { client_id: 'bad' })
    const [gateway, topic] = [await join(socket, 'mcp:gateway'), await join(socket, 'topic:bad')]
    for (const { channel } of [gateway, topic]) {
      const { status, response } = await answer(channel.push('message', { type: 'a', idempotency_key: 7 }), 'the push')
      assert.deepEqual([status, response.reason], ['error', 'malformed'])
    }
    await disconnect(socket)
  })
})

describe('the table of keys', () => {
  let weir
  before(async () => {
    weir = await Weir.start({ shards: 1, config: '[idempotency]\nwindow = "1s"\nmax_keys = 1\n' })
  })
  after(() => weir.close())

  it('refuses what has a key while it is full, nothing else, and forgets keys in time', async () => {
    const body = { type: 'a', data: 1 }
    const first = await send(weir, 'u1', { ...body, idempotency_key: 'a' })
    assert.equal((await send(weir, 'u1', { ...body, idempotency_key: 'a' })).json.duplicate, true)
    const full = await send(weir, 'u1', { ...body, idempotency_key: 'b' })
    assert.deepEqual([full.status, full.json.reason], [503, 'insufficient_resources'])
    assert.equal((await send(weir, 'u1', body)).json.sequence, 2)
    let again
    do again = await send(weir, 'u1', { ...body, idempotency_key: 'a' })
    while (again.json.duplicate)
    assert.deepEqual(said(again), { ...said(first), sequence: 3 })
    const { json } = await get(weir.url('/mcp/stats'))
    assert.equal(json.idempotency_keys, 1)
    assert.ok(json.duplicates >= 1)
  })
})
