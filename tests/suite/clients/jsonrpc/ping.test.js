// Raw JSON-RPC over WebSocket: by subprotocol, or by a first frame that says "jsonrpc".

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { plain, tell } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'

describe('JSON-RPC over WebSocket', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  for (const [what, protocols] of [['with the subprotocol mcp', ['mcp']], ['without a subprotocol', []]]) {
    it(`answers ping ${what}`, async () => {
      const socket = await plain(weir, '/mcp/ws?client_id=rpc', { protocols })
      assert.equal(socket.protocol, protocols[0] ?? '')
      for (const id of [1, 'one', 9007199254740991, 'ünïcode "quoted"']) {
        tell(socket, { jsonrpc: '2.0', id, method: 'ping' })
        assert.deepEqual(await socket.messages.take('the answer'), { jsonrpc: '2.0', id, result: {} })
      }
      socket.terminate()
    })
  }

  it('answers many pings in flight, each once, in order', async () => {
    const socket = await plain(weir, '/mcp/ws?client_id=many', { protocols: ['mcp'] })
    for (let id = 0; id < 64; id++) tell(socket, { jsonrpc: '2.0', id, method: 'ping' })
    const answers = await socket.messages.takeMany(64, 'an answer')
    assert.deepEqual(answers.map(answer => answer.id), [...Array(64).keys()])
    socket.terminate()
  })

  for (const [what, text, code, id] of [
    ['no JSON', '{"jsonrpc":', -32700, null],
    ['text that only begins as JSON', '{"jsonrpc":"2.0","id":1,"method":"ping"} trailing', -32700, null],
    ['an object without a method', '{"jsonrpc":"2.0","id":5}', -32600, 5],
    ['a method that is no string', '{"jsonrpc":"2.0","id":6,"method":7}', -32600, 6],
    ['another version', '{"jsonrpc":"1.0","id":7,"method":"ping"}', -32600, 7],
    ['a number', '42', -32600, null],
    ['an empty batch', '[]', -32600, null],
    ['a method nobody knows', '{"jsonrpc":"2.0","id":8,"method":"no/such"}', -32601, 8],
  ]) {
    it(`answers ${what} with ${code} and goes on`, async () => {
      const socket = await plain(weir, '/mcp/ws?client_id=bad', { protocols: ['mcp'] })
      socket.send(text)
      const answer = await socket.messages.take('the error')
      assert.equal(answer.jsonrpc, '2.0')
      assert.equal(answer.error.code, code)
      assert.equal(typeof answer.error.message, 'string')
      // JSON-RPC 2.0, section 5: null where the id could not be made out; an invalid request may go either way.
      assert.ok(answer.id === id || (code === -32600 && answer.id === null))
      tell(socket, { jsonrpc: '2.0', id: 'still there', method: 'ping' })
      assert.deepEqual(await socket.messages.take('the answer'), { jsonrpc: '2.0', id: 'still there', result: {} })
      socket.terminate()
    })
  }

  it('answers no notification', async () => {
    const socket = await plain(weir, '/mcp/ws?client_id=quiet', { protocols: ['mcp'] })
    tell(socket, { jsonrpc: '2.0', method: 'notifications/initialized' })
    tell(socket, { jsonrpc: '2.0', id: 1, method: 'ping' })
    assert.equal((await socket.messages.take('the first answer')).id, 1)
    socket.terminate()
  })

  it('closes binary frames with 1003: one message is one text frame', async () => {
    const socket = await plain(weir, '/mcp/ws?client_id=binary', { protocols: ['mcp'] })
    socket.send(Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}'))
    assert.equal((await socket.closed).code, 1003)
  })
})
