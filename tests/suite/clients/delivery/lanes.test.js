// Priorities: lanes with numbers of their own, the cursor over all of them, times to live, redeliveries.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, source } from '../lib/events.js'
import { get, send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const isMessage = ({ event }) => event === 'message'
const payloads = events => events.map(({ payload }) => payload)

describe('priorities', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('are numbered each by itself, and named in ids and envelopes', async () => {
    const socket = phoenix(weir, { client_id: 'numbered' })
    const { events } = await join(socket, 'mcp:gateway')
    for (const priority of ['normal', 'urgent', 'low', 'urgent']) {
      const { status, json } = await send(weir, 'numbered', { type: 'chat', data: priority, priority })
      assert.equal(status, 202)
      assert.equal(json.lane, priority === 'normal' ? undefined : priority)
    }
    const got = payloads(await events.takeMany(4, 'a message', isMessage))
    const { epoch } = got[0]
    assert.deepEqual(got.map(({ id }) => id), [`${epoch}-1`, `${epoch}-u1`, `${epoch}-l1`, `${epoch}-u2`])
    assert.deepEqual(got.map(({ lane }) => lane), [undefined, 'urgent', 'low', 'urgent'])
    assert.deepEqual(got.map(({ sequence }) => sequence), [1, 1, 1, 2])
    await disconnect(socket)
  })

  it('decide who goes first when a client comes back, and nobody waits for ever', async () => {
    for (let n = 1; n <= 20; n++) {
      for (const priority of ['low', 'normal', 'high', 'urgent']) await send(weir, 'away', { type: 'chat', data: n, priority })
    }
    const socket = phoenix(weir, { client_id: 'away' })
    const { events } = await join(socket, 'mcp:gateway')
    const got = payloads(await events.takeMany(80, 'a message', isMessage))
    const lanes = got.map(({ lane }) => lane ?? 'normal')
    assert.deepEqual(lanes.slice(0, 15), [
      ...Array(8).fill('urgent'), ...Array(4).fill('high'), ...Array(2).fill('normal'), 'low',
    ])
    for (const lane of ['low', 'normal', 'high', 'urgent']) {
      const numbers = got.filter(message => (message.lane ?? 'normal') === lane).map(({ sequence }) => sequence)
      assert.deepEqual(numbers, Array.from({ length: 20 }, (_, index) => index + 1), `${lane} is in order`)
    }
    await disconnect(socket)
  })

  it('are acknowledged each by itself', async () => {
    const socket = phoenix(weir, { client_id: 'acks' })
    const { channel, events } = await join(socket, 'mcp:gateway')
    for (const priority of ['urgent', 'normal', 'normal']) await send(weir, 'acks', { type: 'chat', data: 1, priority })
    await events.takeMany(3, 'a message', isMessage)
    const pending = async () => (await get(weir.url('/mcp/health/acks'))).json.pending_acks
    assert.equal((await push(channel, 'ack', { sequence: 2 })).status, 'ok')
    assert.equal(await pending(), 1, 'an acknowledgement of the normal lane leaves the urgent one alone')
    assert.equal((await push(channel, 'ack', { sequence: 2, lane: 'urgent' })).status, 'error', 'never sent')
    assert.equal((await push(channel, 'ack', { sequence: 1, lane: 'urgent' })).status, 'ok')
    assert.equal(await pending(), 0)
    await disconnect(socket)
  })

  it('have one cursor: EventSource goes on in all of them', async () => {
    const url = weir.url('/mcp/sse?client_id=source')
    const first = source(url)
    await event(first, 'connected')
    await send(weir, 'source', { type: 'chat', data: 'n1' })
    await send(weir, 'source', { type: 'chat', data: 'u1', priority: 'urgent' })
    const [, last] = await first.inbox.takeMany(2, 'a message', ({ name }) => name === 'message')
    assert.match(last.id, /^[a-z2-7]{8}-1\.u1$/)
    first.close()
    await send(weir, 'source', { type: 'chat', data: 'h1', priority: 'high' })
    await send(weir, 'source', { type: 'chat', data: 'n2' })
    const second = source(url, { 'last-event-id': last.id })
    assert.equal((await event(second, 'connected')).data.recovered, true)
    const got = await second.inbox.takeMany(2, 'a message', ({ name }) => name === 'message')
    assert.deepEqual(got.map(({ data }) => data.data), ['h1', 'n2'])
    second.close()
  })

  it('are refused by name where there are none', async () => {
    const { status, json } = await send(weir, 'x', { type: 'chat', data: 1, priority: 'highest' })
    assert.equal(status, 400)
    assert.match(json.message, /urgent/)
  })
})

describe('a message that may have come before', () => {
  it('says so, and one that cannot have does not', async () => {
    const weir = await Weir.start()
    const socket = phoenix(weir, { client_id: 'again' })
    const { events, response: { cursor } } = await join(socket, 'mcp:gateway')
    await send(weir, 'again', { type: 'chat', data: 1 })
    const [first] = payloads(await events.takeMany(1, 'a message', isMessage))
    await disconnect(socket)
    await send(weir, 'again', { type: 'chat', data: 2 })
    const back = phoenix(weir, { client_id: 'again' })
    const { events: later } = await join(back, 'mcp:gateway', { resume: { cursor } })
    const [again, fresh] = payloads(await later.takeMany(2, 'a message', isMessage))
    assert.deepEqual(again, { redelivery: true, ...first })
    assert.equal(fresh.redelivery, undefined)
    await disconnect(back)
    await weir.close()
  })
})

describe('a time to live', () => {
  it('that is over before the client comes is told by a gap', async () => {
    const weir = await Weir.start()
    await send(weir, 'late', { type: 'chat', data: 'soon', ttl_ms: 1 })
    await send(weir, 'late', { type: 'chat', data: 'later', ttl_ms: 600_000 })
    const socket = phoenix(weir, { client_id: 'late' })
    const { events } = await join(socket, 'mcp:gateway')
    const gap = (await events.take('the gap', ({ event }) => event === 'gap')).payload
    assert.deepEqual([gap.from, gap.to, gap.reason], [1, 1, 'expired'])
    assert.equal((await events.take('the message', isMessage)).payload.data, 'later')
    await disconnect(socket)
    await weir.close()
  })
})
