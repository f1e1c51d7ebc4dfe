// Which transport a message takes, and that the stream stays one across transports.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix } from '../lib/channel.js'
import { event, message, source } from '../lib/events.js'
import { send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const isMessage = ({ event }) => event === 'message'

/** A client with a stream and a channel up at once. */
async function both(weir, client) {
  const es = source(weir.url(`/mcp/sse?client_id=${client}`))
  await event(es, 'connected')
  const socket = phoenix(weir, { client_id: client })
  const { events, response } = await join(socket, 'mcp:gateway')
  return { es, socket, events, epoch: response.epoch, close: () => { es.close(); return disconnect(socket) } }
}

describe('the choice of transport', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('is WebSocket before SSE when both are up', async () => {
    const { es, events, close } = await both(weir, 'prefers')
    await send(weir, 'prefers', { type: 'chat', data: 'auto' })
    await send(weir, 'prefers', { type: 'chat', data: 'sse', transport: 'http_sse' })
    const { payload } = await events.take('the message', isMessage)
    assert.deepEqual([payload.data, payload.sequence], ['auto', 1])
    const { data } = await message(es, 'chat')
    assert.deepEqual([data.data, data.sequence], ['sse', 2], 'SSE got only its own')
    assert.deepEqual(events.items.filter(isMessage), [])
    await close()
  })

  it('is what the sender names', async () => {
    const { es, events, close } = await both(weir, 'named')
    await send(weir, 'named', { type: 'chat', data: 1, transport: 'websocket' })
    await send(weir, 'named', { type: 'chat', data: 2, transport: 'http_sse' })
    await send(weir, 'named', { type: 'chat', data: 3, transport: 'auto' })
    assert.deepEqual((await events.takeMany(2, 'a message', isMessage)).map(({ payload }) => payload.data), [1, 3])
    assert.equal((await message(es, 'chat')).data.data, 2)
    await close()
  })

  it('is both with "all", with the same number and bytes', async () => {
    const { es, events, close } = await both(weir, 'everywhere')
    const { json } = await send(weir, 'everywhere', { type: 'chat', data: { n: 1 }, transport: 'all' })
    const { payload } = await events.take('the message', isMessage)
    const { data } = await message(es, 'chat')
    assert.deepEqual(payload, data)
    assert.deepEqual([payload.epoch, payload.sequence], [json.epoch, json.sequence])
    await close()
  })

  it('is SSE when only that is up, and WebSocket when only that is', async () => {
    const es = source(weir.url('/mcp/sse?client_id=either'))
    await event(es, 'connected')
    await send(weir, 'either', { type: 'chat', data: 'one' })
    assert.equal((await message(es, 'chat')).data.data, 'one')
    const socket = phoenix(weir, { client_id: 'either' })
    const { events } = await join(socket, 'mcp:gateway')
    es.close()
    await send(weir, 'either', { type: 'chat', data: 'two' })
    assert.equal((await events.take('the message', isMessage)).payload.data, 'two')
    await disconnect(socket)
  })
})

describe('one stream over two transports', () => {
  it('goes on without a hole when a client moves from WebSocket to SSE and back', async () => {
    const weir = await Weir.start()
    const seen = []
    let cursor = null
    let epoch
    for (let leg = 0; leg < 6; leg++) {
      for (let n = 0; n < 5; n++) await send(weir, 'mover', { type: 'chat', data: leg * 5 + n })
      if (leg % 2 === 0) {
        const socket = phoenix(weir, { client_id: 'mover' })
        const resume = cursor === null ? undefined : { resume: { epoch, sequence: cursor } }
        const { events, response } = await join(socket, 'mcp:gateway', resume)
        epoch ??= response.epoch
        const got = await events.takeMany(5, 'a message', isMessage)
        seen.push(...got.map(({ payload }) => payload))
        await disconnect(socket)
      } else {
        const es = source(weir.url('/mcp/sse?client_id=mover'), { 'last-event-id': `${epoch}-${cursor}` })
        const got = await es.inbox.takeMany(5, 'a message', ({ name }) => name === 'message')
        seen.push(...got.map(({ data }) => data))
        es.close()
      }
      cursor = seen.at(-1).sequence
    }
    assert.deepEqual(seen.map(({ sequence }) => sequence), seen.map((_, index) => index + 1))
    assert.deepEqual(seen.map(({ data }) => data), seen.map((_, index) => index))
    await weir.close()
  })
})
