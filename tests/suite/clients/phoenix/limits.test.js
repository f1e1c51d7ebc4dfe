// A client's bucket on WebSocket: the reply says so, the connection stays, heartbeats are free.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { Weir } from '../lib/weir.js'

describe('a client over its rate', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: '[rate_limiting.default]\nlimit = 1\nburst = 5\n' }) })
  after(() => weir.close())

  it('gets an error reply with the figures; the connection stays; others have their own bucket', async () => {
    const greedy = phoenix(weir, { client_id: 'greedy' })
    const modest = phoenix(weir, { client_id: 'modest' })
    const [{ channel }, other] = await Promise.all([greedy, modest].map(socket => join(socket, 'mcp:gateway')))
    const replies = []
    for (let n = 0; n < 10; n++) replies.push(await push(channel, 'message', { type: 'chat', data: n }))
    const refused = replies.filter(({ status }) => status === 'error')
    assert.ok(refused.length >= 4, `${refused.length} of 10 refused`)
    for (const { response } of refused) {
      assert.equal(response.error, 'rate_limit_exceeded')
      assert.equal(response.reason, 'client')
      assert.ok(response.retry_after > 0)
      assert.deepEqual([response.limit, response.remaining], [5, 0])
      assert.ok(response.reset >= 1)
    }
    assert.equal((await push(other.channel, 'message', { type: 'chat' })).status, 'ok')
    assert.equal(greedy.closes.items.length, 0)
    await Promise.all([greedy, modest].map(disconnect))
  })

  it('still has its heartbeats and pings answered', async () => {
    const socket = phoenix(weir, { client_id: 'patient' }, { heartbeatIntervalMs: 30 })
    const { channel, events } = await join(socket, 'mcp:gateway')
    for (let n = 0; n < 8; n++) await push(channel, 'message', { type: 'chat', data: n })
    for (let n = 0; n < 20; n++) channel.push('ping', {})
    await events.takeMany(20, 'pong', ({ event }) => event === 'pong')
    const beat = ({ topic, event }) => topic === 'phoenix' && event === 'phx_reply'
    await socket.frames.takeMany(10, 'a heartbeat reply', beat)
    assert.equal(socket.closes.items.length, 0)
    await disconnect(socket)
  })
})
