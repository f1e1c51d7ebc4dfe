// Phoenix V1: objects instead of arrays, on the bare path and on the channels path.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { send } from '../lib/http.js'
import { plain, tell } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'

const REPLY_KEYS = ['event', 'payload', 'ref', 'topic']

describe('Phoenix V1 objects', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  for (const [what, path] of [
    ['/mcp/ws, first frame with a topic', '/mcp/ws?client_id='],
    ['/mcp/ws/websocket?vsn=1.0.0', '/mcp/ws/websocket?vsn=1.0.0&client_id='],
    ['/mcp/ws/websocket without vsn', '/mcp/ws/websocket?client_id='],
  ]) {
    it(`are served on ${what}`, async () => {
      const client = `v1 ${path.length}`
      const socket = await plain(weir, path + encodeURIComponent(client))
      tell(socket, { topic: 'mcp:gateway', event: 'phx_join', payload: {}, ref: '1' })
      const joined = await socket.messages.take('the join reply')
      assert.deepEqual(Object.keys(joined).sort(), REPLY_KEYS)
      assert.deepEqual([joined.event, joined.ref, joined.payload.status], ['phx_reply', '1', 'ok'])
      assert.equal(joined.payload.response.client_id, client)

      tell(socket, { topic: 'mcp:gateway', event: 'message', payload: { type: 'chat', data: 1 }, ref: '2' })
      const reply = await socket.messages.take('the reply')
      const payload = { status: 'ok', response: { accepted: true, handlers: 0 } }
      assert.deepEqual(reply, { topic: 'mcp:gateway', event: 'phx_reply', ref: '2', payload })

      tell(socket, { topic: 'phoenix', event: 'heartbeat', payload: {}, ref: '3' })
      const beat = await socket.messages.take('the heartbeat reply')
      assert.deepEqual(beat, { topic: 'phoenix', event: 'phx_reply', ref: '3', payload: { status: 'ok', response: {} } })

      await send(weir, client, { type: 'chat', data: { n: 1 } })
      const message = await socket.messages.take('the message')
      assert.deepEqual(Object.keys(message).sort(), REPLY_KEYS)
      assert.deepEqual([message.topic, message.event, message.ref], ['mcp:gateway', 'message', null])
      assert.deepEqual(message.payload.data, { n: 1 })
      socket.terminate()
    })
  }

  it('name a bare socket by the first join', async () => {
    const socket = await plain(weir, '/mcp/ws')
    tell(socket, { topic: 'mcp:gateway', event: 'phx_join', payload: { client_id: 'first join' }, ref: '1' })
    const joined = await socket.messages.take('the join reply')
    assert.equal(joined.payload.response.client_id, 'first join')
    assert.equal((await send(weir, 'first join', { type: 'chat', data: 1 })).json.state, 'delivered')
    socket.terminate()
  })

  it('without a name are refused, the connection stays', async () => {
    const socket = await plain(weir, '/mcp/ws')
    tell(socket, { topic: 'mcp:gateway', event: 'phx_join', payload: {}, ref: '1' })
    const refused = await socket.messages.take('the join reply')
    assert.deepEqual([refused.payload.status, refused.payload.response.reason], ['error', 'client_id_required'])
    tell(socket, { topic: 'mcp:gateway', event: 'phx_join', payload: { client_id: 'second try' }, ref: '2' })
    assert.equal((await socket.messages.take('the second reply')).payload.status, 'ok')
    socket.terminate()
  })
})
