// Topics and rooms: what one client publishes reaches the others under its own event name.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix, push, withMeta } from '../lib/channel.js'
import { post } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const isTick = ({ event }) => event === 'tick'

describe('topics and rooms', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: '[rate_limiting.default]\nlimit = 1000\nburst = 1000\n' }) })
  after(() => weir.close())

  for (const topic of ['topic:news', 'room:7', 'topic:with:colons/and slashes']) {
    it(`carries an event from one client of ${topic} to all others`, async () => {
      const sockets = ['ann', 'bob', 'cid'].map(name => phoenix(weir, { client_id: `${topic} ${name}` }))
      const [ann, bob, cid] = await Promise.all(sockets.map(socket => join(socket, topic)))
      const { status, response } = await push(ann.channel, 'shout', { text: 'hello' })
      assert.equal(status, 'ok')
      assert.equal(response.delivered_to, 2)
      for (const { events } of [bob, cid]) {
        const { payload } = await events.take('shout', ({ event }) => event === 'shout')
        assert.deepEqual(payload, { text: 'hello' })
      }
      ann.channel.push('ping', {})
      await ann.events.take('pong', ({ event }) => event === 'pong')
      assert.deepEqual(ann.events.items, [], 'not to itself')
      await Promise.all(sockets.map(disconnect))
    })
  }

  it('carries binary events as they are', async () => {
    const sockets = ['s', 't'].map(name => phoenix(weir, { client_id: `binary ${name}` }))
    const [s, t] = await Promise.all(sockets.map(socket => join(socket, 'topic:binary')))
    const bytes = new Uint8Array([0, 1, 2, 0xff, 0, 0x0a])
    const { status, response } = await push(s.channel, 'bin', bytes.buffer)
    assert.deepEqual([status, response.delivered_to], ['ok', 1])
    const { payload } = await t.events.take('the bytes', ({ event }) => event === 'bin')
    assert.deepEqual(new Uint8Array(payload), bytes)
    await Promise.all(sockets.map(disconnect))
  })

  it('numbers a topic without holes, the same for all its clients', async () => {
    const sockets = ['d', 'e', 'f'].map(name => phoenix(weir, { client_id: `order ${name}` }, { decode: withMeta }))
    const [d, e] = await Promise.all(sockets.map(socket => join(socket, 'topic:order')))
    for (let n = 0; n < 40; n++) await push(n % 2 ? d.channel : e.channel, 'tick', { n })
    const ticks = await sockets[2].frames.takeMany(40, 'a tick', isTick)
    assert.deepEqual(ticks.map(({ meta }) => meta.sequence), ticks.map((_, index) => index + 1))
    assert.deepEqual(ticks.map(({ payload }) => payload.n), ticks.map((_, index) => index))
    assert.equal(new Set(ticks.map(({ meta }) => meta.epoch)).size, 1)
    for (const { meta } of ticks) assert.ok(!Number.isNaN(Date.parse(meta.timestamp)))
    await Promise.all(sockets.map(disconnect))
  })

  it('subscribes the room named in the join of mcp:gateway', async () => {
    const [host, guest] = ['host', 'guest'].map(name => phoenix(weir, { client_id: `room ${name}` }))
    const room = await join(host, 'room:123')
    const gateway = await join(guest, 'mcp:gateway', { room: '123' })
    assert.equal(gateway.status, 'ok')
    assert.equal((await push(room.channel, 'shout', { text: 'in the room' })).response.delivered_to, 1)
    const frame = await guest.frames.take('the shout', ({ topic, event }) => topic === 'room:123' && event === 'shout')
    assert.deepEqual(frame.payload, { text: 'in the room' })
    await Promise.all([host, guest].map(disconnect))
  })

  it('gives a backend the same: one POST to all of a topic', async () => {
    const sockets = ['x', 'y'].map(name => phoenix(weir, { client_id: `backend ${name}` }))
    const joined = await Promise.all(sockets.map(socket => join(socket, 'topic:backend')))
    const sent = await post(weir.url('/mcp/topics/topic:backend/messages'), { type: 'alert', data: { level: 3 } })
    assert.equal(sent.status, 202)
    assert.deepEqual([sent.json.sequence, sent.json.delivered_to], [1, 2])
    for (const { events } of joined) {
      const { payload } = await events.take('the alert', ({ event }) => event === 'message')
      assert.deepEqual([payload.type, payload.data], ['alert', { level: 3 }])
      assert.deepEqual([payload.sequence, payload.epoch], [1, sent.json.epoch])
    }
    await Promise.all(sockets.map(disconnect))
  })

  it('stops with the leave, and counts only who is there', async () => {
    const sockets = ['g', 'h'].map(name => phoenix(weir, { client_id: `left ${name}` }))
    const [g, h] = await Promise.all(sockets.map(socket => join(socket, 'topic:left')))
    h.channel.leave()
    await sockets[1].frames.take('phx_close', ({ event }) => event === 'phx_close')
    assert.equal((await push(g.channel, 'shout', {})).response.delivered_to, 0)
    await Promise.all(sockets.map(disconnect))
  })

  it('lets a client that comes back to a topic have what it missed there', async () => {
    const sockets = ['p', 'q'].map(name => phoenix(weir, { client_id: `missed ${name}` }, { decode: withMeta }))
    const [p] = await Promise.all(sockets.map(socket => join(socket, 'topic:missed')))
    await push(p.channel, 'tick', { n: 1 })
    const { meta } = await sockets[1].frames.take('a tick', isTick)
    await disconnect(sockets[1])
    await push(p.channel, 'tick', { n: 2 })
    await push(p.channel, 'tick', { n: 3 })
    const back = phoenix(weir, { client_id: 'missed q' }, { decode: withMeta })
    const cursor = { epoch: meta.epoch, sequence: meta.sequence }
    const { response } = await join(back, 'topic:missed', { resume: cursor })
    assert.equal(response.recovered, true)
    const missed = await back.frames.takeMany(2, 'a missed tick', isTick)
    assert.deepEqual(missed.map(frame => [frame.meta.sequence, frame.payload.n]), [[2, 2], [3, 3]])
    await Promise.all([disconnect(back), disconnect(sockets[0])])
  })

  it('refuses more topics than a connection may join; those it has go on', async () => {
    const socket = phoenix(weir, { client_id: 'greedy' })
    let last
    for (let n = 0; n <= 100; n++) last = await join(socket, `topic:many-${n}`)
    assert.deepEqual([last.status, last.response], ['error', { reason: 'too many channels joined' }])
    assert.equal((await push(socket.channels[0], 'shout', {})).status, 'ok')
    await disconnect(socket)
  })
})
