// The eight traps of phoenix.js: what the gateway does so that the unmodified client recovers.

import assert from 'node:assert/strict'
import net from 'node:net'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'

import { answer, disconnect, join, phoenix, push } from '../lib/channel.js'
import { send } from '../lib/http.js'
import { deadline } from '../lib/inbox.js'
import { plain, tell } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'

const V2 = '/mcp/ws/websocket?vsn=2.0.0&client_id='

/** Joins by raw V2 frames and answers the reply's frame. */
async function rawJoin(socket, ref, topic = 'mcp:gateway') {
  tell(socket, [ref, ref, topic, 'phx_join', {}])
  return socket.messages.take(`the reply to join ${ref}`, frame => frame[1] === ref)
}

describe('the eight traps of phoenix.js, on one gateway', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('1. two joins on one new socket: both are answered, the live one stays', async () => {
    const socket = await plain(weir, `${V2}trap1`)
    tell(socket, ['3', '3', 'mcp:gateway', 'phx_join', {}])
    tell(socket, ['4', '4', 'mcp:gateway', 'phx_join', {}])
    const frames = await socket.messages.takeMany(3, 'a frame')
    const replies = frames.filter(frame => frame[3] === 'phx_reply')
    const answers = replies.map(([joinRef, ref, , , { status }]) => [joinRef, ref, status])
    assert.deepEqual(answers, [['3', '3', 'ok'], ['4', '4', 'ok']])
    assert.deepEqual(frames.find(frame => frame[3] === 'phx_close').slice(0, 3), ['3', '3', 'mcp:gateway'])
    await send(weir, 'trap1', { type: 'chat', data: 1 })
    const event = await socket.messages.take('the message', frame => frame[3] === 'message')
    assert.ok(event[0] === '4' || event[0] === null, 'delivered to the live join')
    socket.terminate()
  })

  it('2. a duplicate join closes the old channel under its own join_ref, never null', async () => {
    const socket = await plain(weir, `${V2}trap2`)
    await rawJoin(socket, '1')
    await rawJoin(socket, '2')
    const close = await socket.messages.take('phx_close', frame => frame[3] === 'phx_close')
    assert.equal(close[0], '1')
    tell(socket, ['1', '9', 'mcp:gateway', 'message', { type: 'chat', data: 'from the dead join' }])
    tell(socket, ['2', '10', 'mcp:gateway', 'message', { type: 'chat', data: 'from the live join' }])
    const reply = await socket.messages.take('a reply', frame => frame[3] === 'phx_reply')
    assert.deepEqual(reply.slice(0, 2), ['2', '10'], 'the stale join_ref is ignored silently')
    tell(socket, [null, '11', 'mcp:gateway', 'message', { type: 'chat', data: 'without join_ref' }])
    const late = await socket.messages.take('a reply', frame => frame[3] === 'phx_reply')
    assert.deepEqual([late[1], late[4].status], ['11', 'ok'], 'a null join_ref is valid after the join')
    socket.terminate()
  })

  it('2. two channels of the real client on one topic: the second one lives', async () => {
    const socket = phoenix(weir, { client_id: 'trap2b' })
    await join(socket, 'mcp:gateway')
    const second = await join(socket, 'mcp:gateway')
    assert.equal((await push(second.channel, 'message', { type: 'chat' })).status, 'ok')
    assert.equal(second.channel.state, 'joined')
    await disconnect(socket)
  })

  it('3. only replies carry a ref, so no message is taken for a heartbeat', async () => {
    const socket = phoenix(weir, { client_id: 'trap3' }, { heartbeatIntervalMs: 40 })
    const { channel } = await join(socket, 'mcp:gateway')
    for (let n = 1; n <= 60; n++) {
      await send(weir, 'trap3', { type: 'chat', data: n })
      await push(channel, 'message', { type: 'chat', data: n })
    }
    await socket.frames.take('the last message', frame => frame.event === 'message' && frame.payload.sequence === 60)
    const answered = new Set()
    for (const { event, ref } of socket.frames.items) {
      if (event !== 'phx_reply') assert.equal(ref, null, `${event} carries a ref`)
      else assert.ok(!answered.has(ref) && answered.add(ref), `two replies to ${ref}`)
    }
    assert.equal(socket.closes.items.length, 0)
    await disconnect(socket)
  })

  it('7. a refused join is retried for ever: each try is answered, and the first good one wins', async () => {
    const socket = phoenix(weir, {}, { rejoinAfterMs: () => 10 })
    let tries = 0
    const channel = socket.channel('mcp:gateway', () => (++tries < 6 ? {} : { client_id: 'trap7' }))
    let refusals = 0
    const joined = new Promise(resolve => {
      channel.join().receive('error', () => refusals++).receive('ok', resolve)
    })
    assert.equal((await deadline(joined, 'the join that names somebody')).client_id, 'trap7')
    assert.equal(refusals, 5)
    assert.equal(socket.closes.items.length, 0, 'the connection stays')
    await disconnect(socket)
  })

  it('8. a leave during a pending join is answered in order, then the channel is closed', async () => {
    const socket = await plain(weir, `${V2}trap8`)
    tell(socket, ['1', '1', 'mcp:gateway', 'phx_join', {}])
    tell(socket, ['1', '2', 'mcp:gateway', 'phx_leave', {}])
    const frames = await socket.messages.takeMany(3, 'a frame')
    assert.deepEqual(frames.map(([joinRef, ref, , event]) => [joinRef, ref, event]),
      [['1', '1', 'phx_reply'], ['1', '2', 'phx_reply'], ['1', '1', 'phx_close']])
    tell(socket, ['1', '3', 'topic:never', 'phx_leave', {}])
    const late = await socket.messages.take('a reply', frame => frame[1] === '3')
    assert.equal(late[4].status, 'ok', 'leaving what was never joined is fine')
    tell(socket, ['1', '4', 'topic:never', 'shout', {}])
    const unmatched = await socket.messages.take('a reply', frame => frame[1] === '4')
    assert.deepEqual(unmatched[4], { status: 'error', response: { reason: 'unmatched topic' } })
    socket.terminate()
  })
})

describe('the traps that need the gateway to go away', () => {
  it('1. the real client, whose first connect failed, is joined at once when the gateway comes', async () => {
    const [sse, ws, admin] = await Promise.all([freePort(), freePort(), freePort()])
    const socket = phoenix({ wsUrl: path => `ws://127.0.0.1:${ws}${path}` }, { client_id: 'early' })
    const channel = socket.channel('mcp:gateway', {})
    const joined = answer(channel.join(), 'the join')
    await socket.closes.take('the first failure')
    const weir = await Weir.start({ ports: { sse, ws, admin } })
    assert.equal((await joined).status, 'ok')
    assert.equal((await push(channel, 'message', { type: 'chat' })).status, 'ok')
    assert.equal(channel.state, 'joined')
    await disconnect(socket)
    await weir.close()
  })

  it('4. pushes in flight are lost with the connection; the channel goes on and buffered ones arrive', async () => {
    const first = await Weir.start()
    const socket = phoenix(first, { client_id: 'trap4' })
    const { channel } = await join(socket, 'mcp:gateway')
    await first.freeze()
    const lost = new Promise(resolve => {
      channel.push('message', { type: 'in flight' }, 3000).receive('timeout', () => resolve('timeout'))
    })
    await first.end('SIGKILL')
    await socket.closes.take('the end of the connection')
    const buffered = push(channel, 'message', { type: 'while away' })
    const second = await Weir.start({ ports: first.ports })
    assert.deepEqual(await buffered, { status: 'ok', response: { accepted: true, handlers: 0 } })
    assert.equal(await deadline(lost, 'the push in flight to time out'), 'timeout')
    await disconnect(socket)
    await first.close()
    await second.close()
  })

  it('5. an orderly stop closes with 1012, never 1000, and the client comes back', async () => {
    const first = await Weir.start()
    const socket = phoenix(first, { client_id: 'trap5' })
    const { channel } = await join(socket, 'mcp:gateway')
    const { code } = await first.end('SIGTERM')
    assert.equal(code, 0)
    assert.equal((await socket.closes.take('the close')).code, 1012)
    const second = await Weir.start({ ports: first.ports })
    assert.equal((await push(channel, 'message', { type: 'back' })).status, 'ok')
    await disconnect(socket)
    await first.close()
    await second.close()
  })

  it('6. whoever cannot be served is refused before the upgrade, not accepted and closed', async () => {
    const weir = await Weir.start()
    const socket = phoenix(weir, { client_id: 'trap6' })
    await join(socket, 'mcp:gateway')
    await socket.opens.take('the first open')
    const ended = weir.end('SIGTERM')
    await socket.closes.take('the close')
    await ended
    await socket.closes.takeMany(3, 'a refused try')
    assert.deepEqual(socket.opens.items, [], 'no try was let in to be thrown out')
    await disconnect(socket)
    await weir.close()
  })
})

/** A port that was free a moment ago. */
async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
