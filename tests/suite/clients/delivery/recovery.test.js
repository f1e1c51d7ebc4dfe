// Recovery tokens: who brings one takes the place of the connection that it was given to.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, message, refused, source } from '../lib/events.js'
import { CLOSE, frame, frames, TEXT, upgraded } from '../lib/frames.js'
import { get, send } from '../lib/http.js'
import { LONG } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'

const isMessage = ({ event }) => event === 'message'

/** A WebSocket of `client` on which nobody reads or answers any more, and the token it was given. */
async function halfOpen(weir, client) {
  const tcp = await upgraded(weir, `/mcp/ws/websocket?vsn=2.0.0&client_id=${client}`)
  tcp.write(frame(TEXT, '["1","1","mcp:gateway","phx_join",{}]'))
  await tcp.until('retention')
  const [{ payload }] = frames(tcp.bytes)
  return { tcp, ...JSON.parse(payload)[4].response }
}

/** What a request for an SSE stream is answered; the stream itself is given up. */
async function answered(weir, query) {
  const response = await fetch(weir.url(`/mcp/sse?${query}`))
  if (response.status === 200) await response.body.cancel()
  return { status: response.status, json: response.status === 200 ? undefined : await response.json() }
}

/** The token that `client` is given with a WebSocket, which it closes. */
async function tokenOf(weir, client) {
  const socket = phoenix(weir, { client_id: client })
  const { response } = await join(socket, 'mcp:gateway')
  await disconnect(socket)
  return response.recovery_token
}

describe('a recovery token', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('ends the connection it was given to, which looks alive, at once', async () => {
    const old = await halfOpen(weir, 'fenced')
    await send(weir, 'fenced', { type: 'chat', data: 1 })
    await old.tcp.until('"sequence":1')
    const socket = phoenix(weir, { client_id: 'fenced' })
    const { events, response } = await join(socket, 'mcp:gateway', { resume: { token: old.recovery_token } })
    assert.equal(response.recovered, true)
    await old.tcp.end()
    const closed = frames(old.tcp.bytes).find(({ opcode }) => opcode === CLOSE)
    assert.equal(closed.payload.readUInt16BE(), 1008)
    const { payload } = await events.take('what was never confirmed', isMessage)
    assert.deepEqual([payload.redelivery, payload.sequence, payload.data], [true, 1, 1])
    assert.equal((await get(weir.url('/mcp/health/fenced'))).json.connected, true)
    await disconnect(socket)
  })

  it('leaves one of two that race with it: the later', async () => {
    const token = await tokenOf(weir, 'racing')
    const sockets = [phoenix(weir, { client_id: 'racing' }), phoenix(weir, { client_id: 'racing' })]
    for (const socket of sockets) {
      assert.equal((await join(socket, 'mcp:gateway', { resume: { token } })).status, 'ok')
    }
    assert.equal((await sockets[0].closes.take('the close of the first')).code, 1008)
    sockets[0].disconnect()
    await disconnect(sockets[1])
  })

  it('moves a client from one transport to the other, and leaves its other connections alone', async () => {
    const bystander = source(weir.url('/mcp/sse?client_id=mover'))
    await event(bystander, 'connected')
    const socket = phoenix(weir, { client_id: 'mover' })
    const { response } = await join(socket, 'mcp:gateway')
    const es = source(weir.url(`/mcp/sse?client_id=mover&recovery_token=${response.recovery_token}`))
    await event(es, 'connected')
    assert.equal((await socket.closes.take('the close')).code, 1008)
    socket.disconnect()
    await send(weir, 'mover', { type: 'chat', data: 1 })
    await message(es, 'chat')
    await message(bystander, 'chat')
    es.close()
    bystander.close()
  })

  it('may be brought back on the connection that has it', async () => {
    const socket = phoenix(weir, { client_id: 'rejoiner' })
    const first = await join(socket, 'mcp:gateway')
    const resume = { token: first.response.recovery_token }
    const again = await join(socket, 'mcp:gateway', { resume })
    assert.equal(again.status, 'ok')
    assert.equal((await push(again.channel, 'ping', {})).status, 'ok')
    assert.equal(socket.closes.items.length, 0)
    await disconnect(socket)
  })

  it('is refused when it is forged or another client\'s', async () => {
    const token = await tokenOf(weir, 'owner')
    for (const [client, brought, status, error, reason] of [
      ['owner', `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`, 401, 'authentication_failed', 'invalid_token'],
      ['owner', 'no token', 401, 'authentication_failed', 'invalid_token'],
      ['thief', token, 403, 'forbidden', 'client_id_mismatch'],
    ]) {
      const query = `client_id=${client}&recovery_token=${encodeURIComponent(brought)}`
      const sse = await answered(weir, query)
      assert.deepEqual([sse.status, sse.json.error, sse.json.reason], [status, error, reason])
      await assert.rejects(upgraded(weir, `/mcp/ws/websocket?vsn=2.0.0&${query}`), new RegExp(`HTTP/1.1 ${status} `))
      const socket = phoenix(weir, { client_id: client })
      const joined = await join(socket, 'mcp:gateway', { resume: { token: brought } })
      assert.deepEqual([joined.status, joined.response.error, joined.response.reason], ['error', error, reason])
      await disconnect(socket)
    }
    const es = source(weir.url('/mcp/sse?client_id=owner&recovery_token=forged'))
    assert.equal(await refused(es), 401, 'EventSource gives up instead of hammering')
  })

  it('is too old at some time', async () => {
    // Who comes back all the time would be suspicious.
    const config = '[session]\nrecovery_window = "1s"\n[suspicion]\nthreshold = 0\n'
    const short = await Weir.start({ config })
    const query = `client_id=late&recovery_token=${await tokenOf(short, 'late')}`
    const end = Date.now() + LONG
    let answer
    do answer = await answered(short, query)
    while (answer.status === 200 && Date.now() < end)
    assert.deepEqual([answer.status, answer.json?.reason], [401, 'token_expired'])
    await short.close()
  })
})

describe('the choice between two transports', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: '[routing]\nsize_threshold = 1000\nmin_dwell = "60s"\n' }) })
  after(() => weir.close())

  /** Both transports of a client, and what it prefers. */
  async function both(client, prefer) {
    const es = source(weir.url(`/mcp/sse?client_id=${client}`))
    await event(es, 'connected')
    const socket = phoenix(weir, { client_id: client })
    const { events } = await join(socket, 'mcp:gateway', prefer ? { prefer } : {})
    return { es, socket, events, close: () => { es.close(); return disconnect(socket) } }
  }

  it('is by size, but not for what is urgent', async () => {
    const { es, events, close } = await both('sizes')
    const large = 'x'.repeat(1000)
    await send(weir, 'sizes', { type: 'chat', data: large })
    await send(weir, 'sizes', { type: 'chat', data: large, priority: 'urgent' })
    await send(weir, 'sizes', { type: 'chat', data: 'small' })
    const { data } = await message(es, 'chat')
    assert.match(data.id, /-1$/)
    const [urgent, small] = await events.takeMany(2, 'a message', isMessage)
    assert.match(urgent.payload.id, /-u1$/)
    assert.equal(small.payload.data, 'small')
    await close()
  })

  it('is the client\'s where it has said so', async () => {
    const { es, events, close } = await both('choosy', 'http_sse')
    await send(weir, 'choosy', { type: 'chat', data: 1 })
    await send(weir, 'choosy', { type: 'chat', data: 2, transport: 'websocket' })
    assert.equal((await message(es, 'chat')).data.data, 1)
    assert.equal((await events.take('the message', isMessage)).payload.data, 2)
    const unknown = await answered(weir, 'client_id=choosy&prefer=pigeon')
    assert.deepEqual([unknown.status, unknown.json.reason], [400, 'malformed'])
    await close()
  })

  it('passes over a WebSocket that was lost three times in a row, until it has proved itself', async () => {
    const es = source(weir.url('/mcp/sse?client_id=flapping'))
    await event(es, 'connected')
    for (let n = 1; n <= 3; n++) {
      const { tcp } = await halfOpen(weir, 'flapping')
      await send(weir, 'flapping', { type: 'chat', data: n })
      await tcp.until(`"sequence":${n}`)
      tcp.destroy('reset')
      const { data } = await event(es, 'transport_switched')
      assert.deepEqual(data, { from: 'websocket', to: 'http_sse', reason: 'connection_lost' })
      assert.equal((await message(es, 'chat')).data.redelivery, true)
    }
    const { tcp } = await halfOpen(weir, 'flapping')
    await send(weir, 'flapping', { type: 'chat', data: 4 })
    const { data } = await message(es, 'chat')
    assert.deepEqual([data.data, data.redelivery], [4, undefined])
    const { json } = await get(weir.url('/mcp/health/flapping'))
    assert.equal(json.transport, 'http_sse')
    const ways = json.switches.map(({ from, to, reason }) => `${from} ${to} ${reason}`)
    assert.deepEqual(ways.slice(-2), ['http_sse websocket connected', 'websocket http_sse connection_lost'])
    tcp.destroy()
    es.close()
  })

  it('comes back to a WebSocket that has stayed up, with nothing lost on the way', async () => {
    const quick = await Weir.start({ config: '[routing]\nmin_dwell = "2s"\nfailover_threshold = 1\n' })
    const es = source(quick.url('/mcp/sse?client_id=steady'))
    await event(es, 'connected')
    const { tcp } = await halfOpen(quick, 'steady')
    await send(quick, 'steady', { type: 'chat', data: 1 })
    await tcp.until('"sequence":1')
    tcp.destroy('reset')
    await event(es, 'transport_switched')
    const socket = phoenix(quick, { client_id: 'steady' })
    const { events } = await join(socket, 'mcp:gateway')
    await send(quick, 'steady', { type: 'chat', data: 2 })
    const { payload } = await events.take('the return', ({ event }) => event === 'transport_switched')
    assert.deepEqual(payload, { from: 'http_sse', to: 'websocket', reason: 'stable' })
    await send(quick, 'steady', { type: 'chat', data: 3 })
    assert.equal((await events.take('what follows', isMessage)).payload.data, 3)
    assert.deepEqual([(await message(es, 'chat')).data.data, (await message(es, 'chat')).data.data], [1, 2])
    es.close()
    await disconnect(socket)
    await quick.close()
  })

  it('falls on the WebSocket when SSE is lost', async () => {
    const { es, events, close } = await both('reverse', 'http_sse')
    await send(weir, 'reverse', { type: 'chat', data: 1 })
    await message(es, 'chat')
    es.close()
    const { payload } = await events.take('the switch', ({ event }) => event === 'transport_switched')
    assert.deepEqual([payload.from, payload.to], ['http_sse', 'websocket'])
    const again = await events.take('what SSE may have lost', isMessage)
    assert.deepEqual([again.payload.sequence, again.payload.redelivery], [1, true])
    await close()
  })
})
