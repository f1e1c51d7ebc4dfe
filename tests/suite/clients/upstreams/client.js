// An MCP client over WebSocket that counts what it gets: each request one answer, and nothing else.

import assert from 'node:assert/strict'

import { deadline } from '../lib/inbox.js'
import { plain, tell } from '../lib/plain.js'

/** A session of the revision 2025-11-25. */
export class Client {
  #socket
  #waiting = new Map()
  #next = 1
  /** Answers nobody waits for: second ones, and those to requests that were never sent. */
  #strays = []

  /** `name` is what the client is called, if it says so. */
  static async open(weir, name) {
    const client = new Client()
    client.#socket = await plain(weir, `/mcp/ws${name ? `?client_id=${name}` : ''}`, { protocols: ['mcp'] })
    client.#socket.on('message', text => client.#take(JSON.parse(text)))
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'weir-suite', version: '1' } }
    const { result } = await client.request('initialize', params)
    assert.equal(result.protocolVersion, '2025-11-25')
    tell(client.#socket, { jsonrpc: '2.0', method: 'notifications/initialized' })
    return client
  }

  /** The whole response to a request. */
  request(method, params = {}) {
    const id = this.#next++
    const answer = new Promise(resolve => this.#waiting.set(id, resolve))
    tell(this.#socket, { jsonrpc: '2.0', id, method, params })
    return deadline(answer, `the answer to ${method} ${JSON.stringify(params).slice(0, 100)}`)
  }

  /** The response to the call of the tool `work` of an upstream; `input` is what it is to work on. */
  work(upstream, input) {
    return this.request('tools/call', { name: `${upstream}__work`, arguments: { input } })
  }

  /** Calls until one is answered with a result: a server that comes back takes its time. */
  async workAgain(upstream, input) {
    let answer
    do answer = await this.work(upstream, input); while (answer.error)
    return answer
  }

  /** Ends the session; every request must have had one answer by now. */
  async close() {
    await this.request('ping')
    assert.deepEqual(this.#strays, [], 'answers nobody asked for')
    assert.deepEqual([...this.#waiting.keys()], [], 'requests without an answer')
    this.#socket.terminate()
  }

  #take(message) {
    if ('method' in message) return // a notification: lists change when servers come and go
    const waiting = this.#waiting.get(message.id)
    if (!waiting) return this.#strays.push(message)
    this.#waiting.delete(message.id)
    waiting(message)
  }
}

/** The text a call of `work` answers. */
export function worked({ result, error }) {
  assert.ok(result, JSON.stringify(error))
  return result.content[0].text
}

/** Asserts that a response is an error that says something. */
export function failed({ result, error }) {
  assert.ok(error, `there is a result: ${JSON.stringify(result)}`)
  assert.equal(typeof error.code, 'number')
  assert.ok(error.message.length > 0)
}
