// EventSource coming back: exactly what was missed, or an honest gap.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { event, message, source } from '../lib/events.js'
import { send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

describe('Last-Event-ID', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  /** Messages `from..=to` as data, sent one after the other. */
  async function sendAll(client, from, to) {
    for (let n = from; n <= to; n++) await send(weir, client, { type: 'chat', data: n })
  }

  it('is there from the event connected on: nothing is missed before the first message either', async () => {
    const first = source(weir.url('/mcp/sse?client_id=early'))
    const { id, data: hello } = await event(first, 'connected')
    assert.equal(id, `${hello.epoch}-0`)
    first.close()
    const other = source(weir.url('/mcp/sse?client_id=early'))
    await event(other, 'connected')
    await sendAll('early', 1, 2)
    await message(other, 'chat')
    await message(other, 'chat')
    const back = source(weir.url('/mcp/sse?client_id=early'), { 'last-event-id': id })
    assert.equal((await event(back, 'connected')).data.recovered, true)
    assert.equal((await message(back, 'chat')).data.data, 1)
    assert.equal((await message(back, 'chat')).data.data, 2)
    const fresh = source(weir.url('/mcp/sse?client_id=early'))
    assert.equal((await event(fresh, 'connected')).id, '', 'others have had messages: it is told no place')
    for (const es of [other, back, fresh]) es.close()
  })

  for (const [what, back] of [
    ['the header', (client, id) => source(weir.url(`/mcp/sse?client_id=${client}`), { 'last-event-id': id })],
    ['the query', (client, id) => source(weir.url(`/mcp/sse?client_id=${client}&last_event_id=${id}`))],
  ]) {
    it(`in ${what} brings exactly what was missed`, async () => {
      const client = `back-${what.split(' ')[1]}`
      const first = source(weir.url(`/mcp/sse?client_id=${client}`))
      await event(first, 'connected')
      await sendAll(client, 1, 3)
      await message(first, 'chat')
      const { id } = await message(first, 'chat')
      first.close()
      await sendAll(client, 4, 8)
      const second = back(client, id)
      assert.equal((await event(second, 'connected')).data.recovered, true)
      await sendAll(client, 9, 9)
      const missed = await second.inbox.takeMany(7, 'a message', ({ name }) => name === 'message')
      assert.deepEqual(missed.map(({ data }) => data.sequence), [3, 4, 5, 6, 7, 8, 9])
      assert.deepEqual(missed.map(({ data }) => data.data), [3, 4, 5, 6, 7, 8, 9])
      second.close()
    })
  }

  it('with nothing missed brings nothing twice', async () => {
    const first = source(weir.url('/mcp/sse?client_id=level'))
    await event(first, 'connected')
    await sendAll('level', 1, 2)
    await message(first, 'chat')
    const { id } = await message(first, 'chat')
    first.close()
    const second = source(weir.url('/mcp/sse?client_id=level'), { 'last-event-id': id })
    assert.equal((await event(second, 'connected')).data.recovered, true)
    await sendAll('level', 3, 3)
    assert.equal((await message(second, 'chat')).data.sequence, 3)
    second.close()
  })

  for (const [what, id] of [['unknown', 'ffffffff-12'], ['meaningless', 'hello'], ['absurd', '-1-'.repeat(80)]]) {
    it(`that is ${what} gets a gap, never silence`, async () => {
      const client = `gap-${what}`
      await sendAll(client, 1, 2)
      const es = source(weir.url(`/mcp/sse?client_id=${client}`), { 'last-event-id': id })
      const { data: hello } = await event(es, 'connected')
      assert.equal(hello.recovered, false)
      const { data: gap } = await event(es, 'gap')
      assert.equal(gap.epoch, hello.epoch)
      assert.ok(gap.reason && 'from' in gap && 'to' in gap)
      await sendAll(client, 3, 3)
      await es.inbox.take('the next message', ({ name, data }) => name === 'message' && data.sequence === 3)
      es.close()
    })
  }
})

describe('what retention no longer holds', () => {
  it('is told by a gap that names it, and the rest follows without a hole', async () => {
    const weir = await Weir.start({ config: '[outbox]\nmax_messages = 5\n' })
    const first = source(weir.url('/mcp/sse?client_id=far'))
    await event(first, 'connected')
    await send(weir, 'far', { type: 'chat', data: 1 })
    const { id } = await message(first, 'chat')
    first.close()
    for (let n = 2; n <= 12; n++) await send(weir, 'far', { type: 'chat', data: n })
    const second = source(weir.url('/mcp/sse?client_id=far'), { 'last-event-id': id })
    assert.equal((await event(second, 'connected')).data.recovered, false)
    const { data: gap } = await event(second, 'gap')
    assert.deepEqual([gap.from, gap.to], [2, 7])
    const kept = await second.inbox.takeMany(5, 'a message', ({ name }) => name === 'message')
    assert.deepEqual(kept.map(({ data }) => data.sequence), [8, 9, 10, 11, 12])
    second.close()
    await weir.close()
  })
})

describe('EventSource by itself', () => {
  it('reconnects after the gateway was killed and learns of the new epoch', async () => {
    const first = await Weir.start()
    const es = source(first.url('/mcp/sse?client_id=loyal'))
    const { data: before } = await event(es, 'connected')
    await send(first, 'loyal', { type: 'chat', data: 1 })
    await message(es, 'chat')
    const second = await first.restart()
    const { data: now } = await event(es, 'connected')
    assert.notEqual(now.epoch, before.epoch)
    assert.equal(now.recovered, false)
    await event(es, 'gap')
    await send(second, 'loyal', { type: 'chat', data: 2 })
    assert.equal((await message(es, 'chat')).data.data, 2)
    es.close()
    await first.close()
    await second.close()
  })
})
