// A small MCP server (2025-11-25 over HTTP, without sessions) whose one tool, `work`, answers as a test wants it to.

import http from 'node:http'
import https from 'node:https'
import { once } from 'node:events'

import { Inbox } from '../lib/inbox.js'
import { answer, RESULTS } from './protocol.js'

/** Answers as it should: the input, as JSON. */
export function well(message, response) {
  json(response, answer(message, RESULTS.work(message.params.arguments.input)))
}

/** Ends `response` with a JSON value. */
export function json(response, value, status = 200) {
  const body = JSON.stringify(value)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

/** One server on a free port of the loopback. */
export class Server {
  /**
   * `work(message, response)` answers calls of the tool; `calls` keeps those that came. With `tls`, options of
   * node:https, it speaks that.
   */
  static async start(work, tls) {
    const server = new Server()
    server.work = work
    server.calls = new Inbox()
    const handle = (request, response) => server.#handle(request, response)
    server.scheme = tls ? 'https' : 'http'
    server.http = tls ? https.createServer(tls, handle) : http.createServer(handle)
    await server.listen(0)
    return server
  }

  get url() {
    return `${this.scheme}://127.0.0.1:${this.port}/mcp`
  }

  /** Listens, for the first time or again. */
  async listen(port = this.port) {
    this.http.listen(port, '127.0.0.1')
    await once(this.http, 'listening')
    this.port = this.http.address().port
  }

  /** Goes away as a killed process does: every connection is reset, and none is accepted. */
  async kill() {
    const closed = once(this.http, 'close')
    this.http.close()
    this.http.closeAllConnections()
    await closed
  }

  /** Ends it, if it is still there. */
  async close() {
    if (this.http.listening) await this.kill()
  }

  async #handle(request, response) {
    response.on('error', () => {})
    if (request.method !== 'POST') return response.writeHead(request.method === 'DELETE' ? 200 : 405).end()
    const parts = []
    for await (const part of request) parts.push(part)
    const message = JSON.parse(Buffer.concat(parts).toString())
    if (message.method === 'tools/call') {
      this.calls.put(message)
      return this.work(message, response)
    }
    if (message.id === undefined) return response.writeHead(202).end()
    const result = RESULTS[message.method]
    const unknown = { jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'Method not found' } }
    json(response, result ? answer(message, result) : unknown, result ? 200 : 400)
  }
}
