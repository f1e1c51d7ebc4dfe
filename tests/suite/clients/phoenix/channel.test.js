// phoenix.js on its client's own stream: join, push, reply, binary, heartbeat, leave, refusals.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { send } from '../lib/http.js'
import { refusal } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

describe('phoenix.js on mcp:gateway', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('joins and is told who it is and where its stream stands', async () => {
    const socket = phoenix(weir, { client_id: 'joiner' })
    const { status, response } = await join(socket, 'mcp:gateway')
    assert.equal(status, 'ok')
    assert.equal(response.client_id, 'joiner')
    assert.equal(response.sequence, 0)
    assert.equal(response.recovered, false)
    assert.equal(typeof response.epoch, 'string')
    assert.equal(typeof response.heartbeat_interval, 'number')
    assert.ok(response.retention.messages >= 1 && response.retention.seconds >= 1)
    assert.ok('user_id' in response && 'role' in response)
    await disconnect(socket)
  })

  it('is named by its join payload when the URL names nobody', async () => {
    const socket = phoenix(weir)
    const { response } = await join(socket, 'mcp:gateway', { client_id: 'late name' })
    assert.equal(response.client_id, 'late name')
    const sent = await send(weir, 'late name', { type: 'chat', data: 1 })
    assert.equal(sent.json.state, 'delivered')
    await disconnect(socket)
  })

  it('refuses a join that names nobody', async () => {
    const socket = phoenix(weir)
    const { status, response } = await join(socket, 'mcp:gateway')
    assert.equal(status, 'error')
    assert.equal(response.reason, 'client_id_required')
    await disconnect(socket)
  })

  it('takes a message and says that nobody handles it', async () => {
    const socket = phoenix(weir, { client_id: 'pusher' })
    const { channel } = await join(socket, 'mcp:gateway')
    const reply = await push(channel, 'message', { type: 'chat', data: { text: 'hello' } })
    assert.deepEqual(reply, { status: 'ok', response: { accepted: true, handlers: 0 } })
    await disconnect(socket)
  })

  it('answers ping with pong and its clock', async () => {
    const socket = phoenix(weir, { client_id: 'pinger' })
    const { channel, events } = await join(socket, 'mcp:gateway')
    channel.push('ping', {})
    const pong = await events.take('pong', ({ event }) => event === 'pong')
    assert.ok(Math.abs(pong.payload.timestamp - Date.now()) < 3_600_000, 'milliseconds since 1970')
    await disconnect(socket)
  })

  it('delivers what a backend sends, in an envelope', async () => {
    const socket = phoenix(weir, { client_id: 'receiver' })
    const { events, response } = await join(socket, 'mcp:gateway')
    const data = { n: 1, text: 'grüße ✓', nested: [true, null, 1.5e3] }
    const sent = await send(weir, 'receiver', { type: 'chat', data })
    assert.equal(sent.status, 202)
    const { payload } = await events.take('the message', ({ event }) => event === 'message')
    assert.deepEqual(payload.data, data)
    assert.equal(payload.type, 'chat')
    assert.equal(payload.sequence, 1)
    assert.equal(payload.epoch, response.epoch)
    assert.match(payload.timestamp, RFC_3339)
    assert.ok(payload.id)
    assert.deepEqual([sent.json.epoch, sent.json.sequence], [response.epoch, 1])
    await disconnect(socket)
  })

  it('refuses a binary push where only JSON belongs; the channel goes on', async () => {
    const socket = phoenix(weir, { client_id: 'binary' })
    const { channel } = await join(socket, 'mcp:gateway')
    const reply = await push(channel, 'message', new Uint8Array([0, 1, 2, 0xff]).buffer)
    assert.deepEqual([reply.status, reply.response.reason], ['error', 'malformed'])
    assert.equal((await push(channel, 'message', { type: 'chat', data: 1 })).status, 'ok')
    await disconnect(socket)
  })

  it('answers heartbeats, also many of them', async () => {
    const socket = phoenix(weir, { client_id: 'beater' }, { heartbeatIntervalMs: 40 })
    await join(socket, 'mcp:gateway')
    const beat = frame => frame.topic === 'phoenix' && frame.event === 'phx_reply'
    for (const frame of await socket.frames.takeMany(25, 'a heartbeat reply', beat)) {
      assert.deepEqual(frame.payload, { status: 'ok', response: {} })
    }
    assert.equal(socket.closes.items.length, 0, 'no heartbeat went unanswered')
    await disconnect(socket)
  })

  it('leaves, and hears nothing more', async () => {
    const socket = phoenix(weir, { client_id: 'leaver' })
    const { channel, events } = await join(socket, 'mcp:gateway')
    const joinRef = channel.joinRef()
    channel.leave() // the client calls this answered at once; the gateway's own words come later
    const isLeave = ({ event, ref }) => event === 'phx_reply' && ref !== joinRef
    assert.deepEqual((await socket.frames.take('the reply', isLeave)).payload, { status: 'ok', response: {} })
    const close = await socket.frames.take('phx_close', ({ event }) => event === 'phx_close')
    assert.deepEqual([close.join_ref, close.ref, close.topic], [joinRef, joinRef, 'mcp:gateway'])
    const sent = await send(weir, 'leaver', { type: 'chat', data: 1 })
    assert.equal(sent.json.state, 'queued')
    await new Promise(resolve => socket.ping(resolve))
    assert.deepEqual(events.items.filter(({ event }) => event === 'message'), [])
    await disconnect(socket)
  })

  it('gives what waited to the next join', async () => {
    await send(weir, 'sleeper', { type: 'chat', data: 'while away' })
    const socket = phoenix(weir, { client_id: 'sleeper' })
    const { events } = await join(socket, 'mcp:gateway')
    const { payload } = await events.take('the message', ({ event }) => event === 'message')
    assert.equal(payload.data, 'while away')
    await disconnect(socket)
  })

  it('refuses topics that it does not have', async () => {
    const socket = phoenix(weir, { client_id: 'lost' })
    const { status, response } = await join(socket, 'nonsense')
    assert.equal(status, 'error')
    assert.equal(response.reason, 'unmatched topic')
    await disconnect(socket)
  })

  it('refuses an unknown serializer version before the upgrade', async () => {
    assert.equal(await refusal(weir, '/mcp/ws/websocket?client_id=v&vsn=3.0.0'), 403)
    assert.equal(await refusal(weir, '/mcp/ws/websocket?client_id=v&vsn=two'), 403)
  })

  it('works without compression, too', async () => {
    const socket = phoenix(weir, { client_id: 'flat', compression: 'false' })
    const { events } = await join(socket, 'mcp:gateway')
    await send(weir, 'flat', { type: 'chat', data: 'x'.repeat(5000) })
    const { payload } = await events.take('the message', ({ event }) => event === 'message')
    assert.equal(payload.data.length, 5000)
    assert.equal(socket.conn.extensions, '')
    await disconnect(socket)
  })

  it('deflates long messages for clients that offer it', async () => {
    const socket = phoenix(weir, { client_id: 'dense' })
    const { events } = await join(socket, 'mcp:gateway')
    assert.match(socket.conn.extensions, /permessage-deflate/)
    await send(weir, 'dense', { type: 'chat', data: 'x'.repeat(5000) })
    const { payload } = await events.take('the message', ({ event }) => event === 'message')
    assert.equal(payload.data.length, 5000)
    assert.ok(socket.conn._socket.bytesRead < 3000, 'five thousand bytes travelled in fewer')
    await disconnect(socket)
  })

  it('selects the subprotocol phoenix and never echoes the token', async () => {
    const socket = phoenix(weir, { client_id: 'token' }, { authToken: 'secret~?>' })
    await socket.opens.take('the socket to open')
    assert.equal(socket.conn.protocol, 'phoenix')
    await disconnect(socket)
  })

  it('serves phoenix.js on the port named for SSE as well', async () => {
    const socket = phoenix({ wsUrl: path => weir.wsUrl(path, 'sse') }, { client_id: 'other port' })
    assert.equal((await join(socket, 'mcp:gateway')).status, 'ok')
    await disconnect(socket)
  })
})
