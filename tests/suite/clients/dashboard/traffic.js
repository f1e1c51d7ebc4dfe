// Clients of every transport that talk while a dashboard looks on.

import { LongPoll } from 'phoenix'

import { join, phoenix, disconnect } from '../lib/channel.js'
import { event, source } from '../lib/events.js'
import { post, send } from '../lib/http.js'
import { plain, tell } from '../lib/plain.js'

/** Between two rounds of messages, milliseconds. */
const ROUND = 40

const CALL = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }

/** Calls a tool over HTTP as the stateless revision has it. */
export function call(weir, name, args) {
  const params = { name, arguments: args, _meta: CALL }
  const headers = {
    accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': name,
  }
  return post(weir.url('/mcp'), { jsonrpc: '2.0', id: 1, method: 'tools/call', params }, { headers })
}

/** Everybody, and what they say. */
export class Traffic {
  /** Connects so many of each; `tool` is called with `{input}` where there is a server that has it. */
  static async start(weir, { sockets = 6, streams = 4, polls = 2, raw = 2, tool = null } = {}) {
    const traffic = new Traffic(weir, tool)
    const numbers = count => Array.from({ length: count }, (_, number) => number)
    traffic.sockets = numbers(sockets).map(number => phoenix(weir, { client_id: `till-${number}` }))
    traffic.polls = numbers(polls).map(number => phoenix(weir, { client_id: `kiosk-${number}` }, { transport: LongPoll }))
    traffic.channels = await Promise.all([...traffic.sockets, ...traffic.polls].map(async socket => {
      await join(socket, 'mcp:gateway')
      return (await join(socket, 'topic:prices')).channel
    }))
    traffic.streams = numbers(streams).map(number => source(weir.url(`/mcp/sse?client_id=board-${number}`)))
    await Promise.all(traffic.streams.map(stream => event(stream, 'connected')))
    traffic.raw = await Promise.all(numbers(raw).map(() => plain(weir, '/mcp/ws', { protocols: ['mcp'] })))
    traffic.timer = setInterval(() => traffic.round(), ROUND)
    return traffic
  }

  #rounds = 0
  #under = new Set()

  constructor(weir, tool) {
    this.weir = weir
    this.tool = tool
  }

  /** Everybody says something. */
  round() {
    const number = ++this.#rounds
    const burst = 1 + Math.round(2 + 2 * Math.sin(number / 20))
    this.#do(post(this.weir.url('/mcp/topics/topic:prices/messages'), { type: 'price', data: { number } }))
    for (let client = 0; client < burst; client += 1) {
      this.#do(send(this.weir, `board-${(number + client) % this.streams.length}`, { type: 'order', data: number }))
      this.channels[(number + client) % this.channels.length]?.push('bid', { number })
    }
    for (const socket of this.raw) tell(socket, { jsonrpc: '2.0', id: number, method: 'ping' })
    if (this.tool && number % 3 === 0) this.#do(call(this.weir, this.tool, { input: String(number) }))
  }

  /** Ends it all. */
  async stop() {
    clearInterval(this.timer)
    await Promise.allSettled(this.#under)
    for (const stream of this.streams) stream.close()
    for (const socket of this.raw) socket.terminate()
    await Promise.all([...this.sockets, ...this.polls].map(disconnect))
  }

  /** What fails is what the dashboard shows. */
  #do(promise) {
    const settled = promise.catch(() => {}).finally(() => this.#under.delete(settled))
    this.#under.add(settled)
  }
}
