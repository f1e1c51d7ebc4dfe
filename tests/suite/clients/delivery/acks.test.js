// Clients that acknowledge: retries, dead letters, publishers that wait, and what happens to those that fall behind.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, message, source } from '../lib/events.js'
import { get, post, request, send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const isMessage = ({ event }) => event === 'message'
const isGap = ({ event }) => event === 'gap'

/** Retries come fast, and a message is a dead letter after three attempts. */
const FAST = '[delivery]\nack_timeout = "50ms"\nretry_max = "100ms"\nattempts_max = 3\n'

const stats = async weir => (await get(weir.url('/mcp/stats'))).json.delivery
const dlq = (weir, path = '') => weir.url(`/mcp/admin/dlq${path}`, 'admin')

/** A phoenix.js client that says that it will acknowledge. */
async function acknowledging(weir, client) {
  const socket = phoenix(weir, { client_id: client })
  return { socket, ...(await join(socket, 'mcp:gateway', { ack: true })) }
}

/** What the client was sent, in order, until `wanted` holds for one. */
async function until(events, what, wanted) {
  const got = []
  do got.push((await events.take(what)).payload)
  while (!wanted(got.at(-1)))
  return got
}

describe('a message that is not acknowledged', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: FAST }) })
  after(() => weir.close())

  it('is sent again, marked as a redelivery, until it is acknowledged', async () => {
    const { socket, channel, events } = await acknowledging(weir, 'retry')
    await send(weir, 'retry', { type: 'chat', data: 1 })
    const first = (await events.take('a message', isMessage)).payload
    assert.equal(first.redelivery, undefined)
    const { redelivery, ...again } = (await events.take('the redelivery', isMessage)).payload
    assert.equal(redelivery, true)
    assert.deepEqual(again, first, 'the same in all else')
    assert.equal((await push(channel, 'ack', { msg_id: first.id })).response.state, 'acknowledged')
    assert.equal((await get(weir.url('/mcp/health/retry'))).json.pending_acks, 0)
    assert.equal((await get(dlq(weir, `/${first.id}`))).status, 404)
    await disconnect(socket)
  })

  it('is no concern of one that does not acknowledge', async () => {
    const socket = phoenix(weir, { client_id: 'plain' })
    const { channel, events } = await join(socket, 'mcp:gateway')
    const other = await acknowledging(weir, 'beside')
    await send(weir, 'plain', { type: 'chat', data: 1 })
    await send(weir, 'beside', { type: 'chat', data: 1 })
    await other.events.take('a gap', isGap)
    await push(channel, 'ping', {})
    const got = events.items.filter(isMessage).map(({ payload }) => payload)
    assert.deepEqual(got.map(({ sequence, redelivery }) => [sequence, redelivery]), [[1, undefined]])
    for (const { socket: one } of [other, { socket }]) await disconnect(one)
  })

  it('is a dead letter after as many attempts as it may have, and the client is told', async () => {
    const { socket, channel, events } = await acknowledging(weir, 'dead')
    const { json } = await send(weir, 'dead', { type: 'chat', data: { lost: true } })
    await send(weir, 'dead', { type: 'chat', data: 2 })
    await push(channel, 'ack', { msg_id: `${json.epoch}-2` })
    const got = await until(events, 'a gap', ({ reason }) => reason !== undefined)
    const copies = got.filter(({ sequence }) => sequence === 1)
    assert.deepEqual(copies.map(({ redelivery }) => redelivery), [undefined, true, true])
    assert.deepEqual(got.at(-1), { epoch: json.epoch, from: 1, to: 1, reason: 'dead' })
    const id = `${json.epoch}-1`
    const { json: { letters } } = await get(dlq(weir, '?client=dead'))
    assert.deepEqual(letters.map(letter => letter.id), [id], 'the acknowledged one is not among them')
    const { json: shown } = await get(dlq(weir, `/${id}`))
    assert.deepEqual(
      [shown.client_id, shown.state, shown.attempts, shown.message.data],
      ['dead', 'dead', 3, { lost: true }],
    )
    assert.equal((await get(weir.url('/mcp/health/dead'))).json.pending_acks, 0)

    assert.equal((await post(dlq(weir, `/${id}/redrive`), '')).json.state, 'redriven')
    const again = (await events.take('the redriven message', isMessage)).payload
    assert.deepEqual([again.id, again.redelivery, again.data], [id, true, { lost: true }])
    await push(channel, 'ack', { msg_id: id })
    assert.equal((await get(dlq(weir, `/${id}`))).status, 404, 'acknowledged at last')
    await disconnect(socket)
  })

  it('that is redriven to a client which is away waits for it; and dies again', async () => {
    const away = await acknowledging(weir, 'again')
    const { json } = await send(weir, 'again', { type: 'chat', data: 1 })
    await away.events.take('a gap', isGap)
    await disconnect(away.socket)
    const id = `${json.epoch}-1`
    assert.deepEqual((await post(dlq(weir, '/redrive?client=again'), '')).json, { redriven: 1 })
    assert.deepEqual((await post(dlq(weir, '/redrive?client=again'), '')).json, { redriven: 0 }, 'it already is')
    assert.equal((await get(dlq(weir, `/${id}`))).json.state, 'redriven')
    const back = await acknowledging(weir, 'again')
    const copies = await back.events.takeMany(3, 'a copy', isMessage)
    assert.deepEqual(copies.map(({ payload }) => [payload.id, payload.redelivery]), Array(3).fill([id, true]))
    for (let state = ''; state !== 'dead';) state = (await get(dlq(weir, `/${id}`))).json.state
    await disconnect(back.socket)
  })

  it('can be thrown away, alone and with all others', async () => {
    const { socket, events } = await acknowledging(weir, 'purge')
    let epoch
    for (let n = 1; n <= 5; n++) epoch = (await send(weir, 'purge', { type: 'chat', data: n })).json.epoch
    for (let dead = 0; dead < 5;) {
      const { payload: { from, to } } = await events.take('a gap', isGap)
      dead += to - from + 1
    }
    const page = (await get(dlq(weir, '?client=purge&limit=2'))).json
    const rest = (await get(dlq(weir, `?client=purge&after=${page.next}`))).json
    const ids = [...page.letters, ...rest.letters].map(({ id }) => id)
    assert.deepEqual(ids, [1, 2, 3, 4, 5].map(n => `${epoch}-${n}`))
    assert.equal(rest.next, null)
    assert.equal((await request('DELETE', dlq(weir, `/${ids[0]}`))).json.id, ids[0])
    assert.equal((await request('DELETE', dlq(weir, `/${ids[0]}`))).status, 404)
    assert.deepEqual((await request('DELETE', dlq(weir, '?client=purge'))).json, { purged: 4 })
    assert.deepEqual((await get(dlq(weir, '?client=purge'))).json, { letters: [], next: null })
    assert.equal((await request('PUT', dlq(weir))).status, 405)
    assert.equal((await get(dlq(weir, '?after=x'))).status, 400)
    await disconnect(socket)
  })
})

describe('acknowledgements', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('may come out of order; what is before them stays', async () => {
    const { socket, channel, events } = await acknowledging(weir, 'order')
    for (let n = 1; n <= 4; n++) await send(weir, 'order', { type: 'chat', data: n })
    const [first] = (await events.takeMany(4, 'a message', isMessage)).map(({ payload }) => payload)
    for (const n of [4, 2]) await push(channel, 'ack', { msg_id: `${first.epoch}-${n}` })
    await disconnect(socket)
    const resume = { epoch: first.epoch, sequence: 0 }
    const again = phoenix(weir, { client_id: 'order' })
    const { events: replayed } = await join(again, 'mcp:gateway', { resume, ack: true })
    const got = await replayed.takeMany(4, 'what is left')
    const told = got.map(({ event, payload }) => (event === 'gap' ? [payload.from, payload.reason] : payload.sequence))
    assert.deepEqual(told, [1, [2, 'acknowledged'], 3, [4, 'acknowledged']])
    await disconnect(again)
  })

  it('are refused where they cannot mean anything', async () => {
    const { socket, channel } = await acknowledging(weir, 'wrong')
    await send(weir, 'wrong', { type: 'chat', data: 1 })
    for (const payload of [{}, { sequence: 2 }, { msg_id: 'nonsense' }, { msg_id: 'aaaaaaaa-1' }, { sequence: 1, epoch: 'aaaaaaaa' }]) {
      const { status, response } = await push(channel, 'ack', payload)
      assert.deepEqual([status, response.error], ['error', 'invalid_message'], JSON.stringify(payload))
    }
    const topic = await join(socket, 'topic:acks')
    const { status, response } = await push(topic.channel, 'ack', { sequence: 1 })
    assert.equal(status, 'error')
    assert.match(response.message, /mcp:gateway/)
    await disconnect(socket)
  })

  it('come over HTTP too', async () => {
    const { socket, events } = await acknowledging(weir, 'http')
    for (let n = 1; n <= 2; n++) await send(weir, 'http', { type: 'chat', data: n })
    const [{ payload: { epoch } }] = await events.takeMany(2, 'a message', isMessage)
    const ack = body => post(weir.url('/mcp/ack'), { client_id: 'http', ...body })
    assert.equal((await ack({ msg_id: `${epoch}-2` })).json.state, 'acknowledged')
    assert.equal((await ack({ sequence: 1 })).status, 400, 'without an epoch')
    assert.equal((await ack({ epoch, sequence: 1 })).json.state, 'acknowledged')
    assert.equal((await get(weir.url('/mcp/health/http'))).json.pending_acks, 0)
    await disconnect(socket)
  })

  it("are EventSource's Last-Event-ID, for what went by SSE", async () => {
    const url = weir.url('/mcp/sse?client_id=source&ack=true')
    const pending = async () => (await get(weir.url('/mcp/health/source'))).json.pending_acks
    const first = source(url)
    await event(first, 'connected')
    const { socket, events } = await acknowledging(weir, 'source')
    await send(weir, 'source', { type: 'chat', data: 'by WebSocket' })
    await events.take('a message', isMessage)
    await send(weir, 'source', { type: 'chat', data: 'by SSE', transport: 'http_sse' })
    const { id } = await message(first, 'chat')
    assert.equal(await pending(), 2)
    first.close()
    const second = source(url, { 'last-event-id': id })
    await event(second, 'connected')
    assert.equal(await pending(), 1, 'what went by WebSocket is still pending')
    second.close()
    await disconnect(socket)
  })
})

describe('a publisher that waits for the acknowledgement', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: FAST }) })
  after(() => weir.close())

  it('is answered when the client has acknowledged', async () => {
    const { socket, channel, events } = await acknowledging(weir, 'w1')
    const answer = send(weir, 'w1', { type: 'chat', data: 1, timeout_ms: 20_000 })
    const { payload } = await events.take('a message', isMessage)
    await push(channel, 'ack', { sequence: payload.sequence })
    const { status, json } = await answer
    assert.deepEqual([status, json.sequence, json.state], [202, 1, 'acknowledged'])
    await disconnect(socket)
  })

  it('learns how the message stands when its time is over, and that it is dead at once', async () => {
    const queued = await send(weir, 'nobody', { type: 'chat', data: 1, timeout_ms: 20 })
    assert.deepEqual([queued.status, queued.json.error, queued.json.state], [504, 'timeout', 'queued'])
    const socket = phoenix(weir, { client_id: 'w2' })
    await join(socket, 'mcp:gateway')
    const delivered = await send(weir, 'w2', { type: 'chat', data: 1, timeout_ms: 20 })
    assert.deepEqual([delivered.status, delivered.json.state], [504, 'delivered'])
    const other = await acknowledging(weir, 'w3')
    const dead = await send(weir, 'w3', { type: 'chat', data: 1, timeout_ms: 20_000 })
    assert.deepEqual([dead.status, dead.json.state], [504, 'dead'])
    const expired = await send(weir, 'w3', { type: 'chat', data: 1, timeout_ms: 20_000, ttl_ms: 1 })
    assert.deepEqual([expired.status, expired.json.state], [504, 'expired'])
    assert.equal((await send(weir, 'w3', { type: 'chat', data: 1, timeout_ms: 0 })).status, 400)
    for (const one of [socket, other.socket]) await disconnect(one)
  })
})

describe('a publisher that waits while the server stops', () => {
  it('is answered at once', async () => {
    const weir = await Weir.start()
    const answer = send(weir, 'nobody', { type: 'chat', data: 1, timeout_ms: 300_000 })
    for (let appended = 0; appended === 0;) appended = (await get(weir.url('/mcp/stats'))).json.appended
    const ended = weir.end('SIGTERM')
    const { status, json } = await answer
    assert.deepEqual([status, json.state], [504, 'queued'])
    assert.equal((await ended).code, 0)
    await weir.close()
  })
})

describe('a client that falls behind with its acknowledgements', () => {
  let weir
  before(async () => {
    weir = await Weir.start({ config: '[backpressure]\nslow_down = 4\ncritical_only = 8\nlag = "300ms"\nbundle_interval = "100ms"\n' })
  })
  after(() => weir.close())

  const status = (events, wanted) =>
    events.take(`status ${wanted}`, ({ event, payload }) => event === 'connection_status' && payload.status === wanted)

  it('is sent less and less, told so, and gets everything in the end', async () => {
    const { socket, channel, events } = await acknowledging(weir, 'slow')
    const publish = (n, priority) => send(weir, 'slow', { type: 'chat', data: n, priority })
    for (let n = 1; n <= 9; n++) await publish(n, 'normal')
    assert.ok((await status(events, 'slow_down')).payload.pending > 4)
    assert.ok((await status(events, 'critical_only')).payload.pending > 8)
    await publish(10, 'normal')
    await publish(1, 'urgent')
    const urgent = await events.take('the urgent one', ({ payload }) => payload.lane === 'urgent')
    assert.ok(!events.items.some(({ payload }) => payload.sequence === 10), 'the normal one waits in the outbox')
    await push(channel, 'ack', { sequence: 9 })
    await push(channel, 'ack', { msg_id: urgent.payload.id })
    await status(events, 'normal')
    await events.take('the one that waited', ({ payload }) => payload.sequence === 10)
    await push(channel, 'ack', { sequence: 10 })
    await disconnect(socket)
  })

  it('gets bundles while the oldest is pending for too long', async () => {
    const { socket, channel, events } = await acknowledging(weir, 'lag')
    await send(weir, 'lag', { type: 'chat', data: 1 })
    await status(events, 'bundled')
    for (let n = 2; n <= 4; n++) await send(weir, 'lag', { type: 'chat', data: n })
    const numbers = []
    while (numbers.length < 3) {
      const { payload } = await events.take('a bundle', ({ payload }) => payload.type === 'bundle')
      numbers.push(...payload.data.map(({ sequence }) => sequence))
    }
    assert.deepEqual(numbers, [2, 3, 4])
    await push(channel, 'ack', { sequence: 4 })
    await status(events, 'normal')
    await send(weir, 'lag', { type: 'chat', data: 5 })
    await events.take('a message by itself', ({ payload }) => payload.sequence === 5)
    assert.equal((await stats(weir)).pending, 1)
    await disconnect(socket)
  })
})
