// What a backend does beside single messages: batches, acknowledgements on a client's behalf.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { get, post, request, send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const isMessage = ({ event }) => event === 'message'

describe('POST /mcp/batch', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  /** Posts `lines` as NDJSON; answers status and the parsed lines of the answer. */
  async function batch(lines) {
    const body = lines.map(line => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')
    const answer = await request('POST', weir.url('/mcp/batch'), {
      body, headers: { 'content-type': 'application/x-ndjson', 'content-length': Buffer.byteLength(body) },
    })
    return { status: answer.status, lines: answer.body.trim().split('\n').map(line => JSON.parse(line)) }
  }

  it('answers line by line, in order, whatever becomes of each', async () => {
    const { status, lines } = await batch([
      { client: 'b1', type: 'chat', data: 1 }, '{bad', { client: 'b2', type: 'chat', data: 2 },
      { type: 'chat', data: 3 }, { topic: 'topic:batch', type: 'chat', data: 4 }, { client: 'b1', type: 'chat', data: 5 },
    ])
    assert.equal(status, 200)
    assert.deepEqual(lines.map(line => line.state ?? line.error), [
      'queued', 'invalid_message', 'queued', 'invalid_message', 'delivered', 'queued',
    ])
    assert.deepEqual([lines[0].sequence, lines[5].sequence], [1, 2], 'lines of one client keep their order')
  })

  it('reaches many clients at once', async () => {
    const clients = Array.from({ length: 20 }, (_, n) => `many${n}`)
    const sockets = clients.map(client_id => phoenix(weir, { client_id }))
    const joined = await Promise.all(sockets.map(socket => join(socket, 'mcp:gateway')))
    await batch(clients.flatMap((client, n) => [{ client, type: 'chat', data: n }, { client, type: 'chat', data: n + 100 }]))
    for (const [n, { events }] of joined.entries()) {
      const got = await events.takeMany(2, 'a message', isMessage)
      assert.deepEqual(got.map(({ payload }) => payload.data), [n, n + 100])
    }
    await Promise.all(sockets.map(disconnect))
  })

  it('refuses a body without a line', async () => {
    assert.equal((await post(weir.url('/mcp/batch'), '\n\n')).status, 400)
  })
})

describe('acknowledgements', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  const pending = async client => (await get(weir.url(`/mcp/health/${client}`))).json.pending_acks

  it('by the channel event ack are cumulative and free what they cover', async () => {
    const socket = phoenix(weir, { client_id: 'acker' })
    const { channel, events } = await join(socket, 'mcp:gateway')
    for (let n = 1; n <= 5; n++) await send(weir, 'acker', { type: 'chat', data: n })
    await events.takeMany(5, 'a message', isMessage)
    assert.equal(await pending('acker'), 5)
    assert.equal((await push(channel, 'ack', { sequence: 3 })).status, 'ok')
    assert.equal(await pending('acker'), 2)
    assert.equal((await push(channel, 'ack', { sequence: 2 })).status, 'ok', 'an older one changes nothing')
    assert.equal(await pending('acker'), 2)
    await disconnect(socket)
  })

  it('of what was never sent, or of another epoch, are refused', async () => {
    const socket = phoenix(weir, { client_id: 'liar' })
    const { channel, response } = await join(socket, 'mcp:gateway')
    await send(weir, 'liar', { type: 'chat', data: 1 })
    for (const ack of [{ sequence: 2 }, { sequence: 1, epoch: 'other' }, { sequence: -1 }, { sequence: 'one' }, {}]) {
      const { status, response } = await push(channel, 'ack', ack)
      assert.deepEqual([status, response.error], ['error', 'invalid_message'], JSON.stringify(ack))
    }
    assert.equal((await push(channel, 'ack', { sequence: 1, epoch: response.epoch })).status, 'ok')
    await disconnect(socket)
  })

  it('by POST /mcp/ack do the same', async () => {
    const { json } = await send(weir, 'posted', { type: 'chat', data: 1 })
    const ack = (sequence, epoch = json.epoch) => post(weir.url('/mcp/ack'), { client_id: 'posted', epoch, sequence })
    assert.equal((await ack(2)).status, 400)
    assert.equal((await ack(1, 'other')).status, 400)
    const done = await ack(1)
    assert.deepEqual([done.status, done.json.state], [202, 'acknowledged'])
    assert.equal(await pending('posted'), 0)
    assert.equal((await post(weir.url('/mcp/ack'), { client_id: 'nobody', epoch: json.epoch, sequence: 0 })).status, 404)
  })
})
