// Limits of single methods, beside those of the client: MCP's methods, and the types of what clients push.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { post } from '../lib/http.js'
import { plain, tell } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'

const CONFIG = '[rate_limiting.methods]\n"tools/call" = { limit = 2, per = "1h" }\norder = { limit = 3, per = "1h" }\n'

let weir
before(async () => { weir = await Weir.start({ config: CONFIG }) })
after(() => weir.close())

const call = id => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: { message: 'x' } } })
const initialize = {
  jsonrpc: '2.0', id: 0, method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'limits', version: '1' } },
}

describe('a limit of tools/call', () => {
  it('holds over HTTP for each session, and for nothing else', async () => {
    for (let session = 0; session < 2; session++) {
      const { headers } = await post(weir.url('/mcp'), initialize, { headers: { accept: 'application/json, text/event-stream' } })
      const options = {
        headers: { accept: 'application/json, text/event-stream', 'mcp-session-id': headers['mcp-session-id'] },
      }
      for (let n = 1; n <= 2; n++) assert.equal((await post(weir.url('/mcp'), call(n), options)).status, 200)
      const { status, json, headers: more } = await post(weir.url('/mcp'), call(3), options)
      assert.equal(status, 429)
      assert.equal(json.error.code, 429)
      assert.deepEqual([json.error.data.error, json.error.data.reason], ['rate_limit_exceeded', 'method'])
      assert.ok(json.error.data.retry_after > 0 && more['retry-after'])
      const list = { jsonrpc: '2.0', id: 4, method: 'tools/list' }
      assert.equal((await post(weir.url('/mcp'), list, options)).status, 200)
    }
  })

  it('holds over WebSocket', async () => {
    const socket = await plain(weir, '/mcp/ws?client_id=caller', { protocols: ['mcp'] })
    tell(socket, initialize)
    await socket.messages.take('the answer to initialize')
    for (let n = 1; n <= 3; n++) tell(socket, call(n))
    const answers = await socket.messages.takeMany(3, 'an answer')
    const refused = answers.filter(({ error }) => error)
    assert.deepEqual(refused.map(({ id, error }) => [id, error.code, error.data.reason]), [[3, 429, 'method']])
    socket.terminate()
  })
})

describe('a limit of one type of push', () => {
  it('holds for events and for the type of a message', async () => {
    const socket = phoenix(weir, { client_id: 'orders' })
    const { channel } = await join(socket, 'mcp:gateway')
    assert.equal((await push(channel, 'order', {})).status, 'ok')
    assert.equal((await push(channel, 'message', { type: 'order', data: 1 })).status, 'ok')
    assert.equal((await push(channel, 'order', {})).status, 'ok')
    const { status, response } = await push(channel, 'message', { type: 'order', data: 2 })
    assert.equal(status, 'error')
    assert.deepEqual([response.error, response.reason], ['rate_limit_exceeded', 'method'])
    assert.equal((await push(channel, 'message', { type: 'other', data: 2 })).status, 'ok')
    await disconnect(socket)
  })
})
