// A client with both transports up: unmodified phoenix.js and EventSource, and all that either of them was given.

import { join, phoenix } from '../lib/channel.js'
import { source } from '../lib/events.js'
import { Inbox } from '../lib/inbox.js'

/** Milliseconds since 1970, finer than Date.now(). */
export const now = () => performance.timeOrigin + performance.now()

export class Client {
  /** Every message as it came: `{transport, connection, at, envelope}`. */
  received = []
  arrivals = new Inbox()
  rejoins = new Inbox()
  #events = new Inbox()
  #token
  #epoch
  #connection = 0
  /** Everything up to here was received, and beyond it these. */
  #floor = 0
  #beyond = new Set()

  constructor(weir, name) {
    this.name = name
    this.weir = weir
  }

  /** Opens SSE, then the WebSocket, which from then on carries the stream. */
  async connect() {
    this.es = source(this.weir.url(`/mcp/sse?client_id=${this.name}`))
    this.es.inbox.put = event => this.#sse(event)
    await this.told('connected')
    // Its own heartbeats are how phoenix.js learns that nobody is there any more.
    const options = { heartbeatIntervalMs: 500, reconnectAfterMs: () => 50, rejoinAfterMs: () => 50 }
    this.socket = phoenix(this.weir, { client_id: this.name }, options)
    this.socket.onOpen(() => { this.#connection += 1 })
    const resume = () => this.#token ? { resume: { cursor: `${this.#epoch}-${this.#floor}`, token: this.#token } } : {}
    const { channel, response } = await join(this.socket, 'mcp:gateway', resume)
    this.#joined(response)
    channel.joinPush.receive('ok', response => {
      this.#joined(response)
      this.rejoins.put(response)
    })
    channel.onMessage = (name, payload) => {
      if (name === 'message') this.#message('websocket', this.#connection, payload)
      return payload
    }
  }

  /** Waits for an event of its SSE stream that is no message. */
  told(name, ms) {
    return this.#events.take(`${name} at ${this.name}`, event => event.name === name, ms)
  }

  /** When the first message came over SSE. */
  get firstOverSse() {
    return this.received.find(({ transport }) => transport === 'sse')?.at
  }

  /** Waits until it has everything up to `last`. */
  async complete(last, ms) {
    while (this.#floor < last) await this.arrivals.take(`number ${last} at ${this.name}`, () => true, ms)
  }

  /** What it must not have been given, in words. */
  faults() {
    const faults = []
    const bodies = new Map()
    const plain = new Map()
    const last = new Map()
    for (const { transport, connection, envelope } of this.received) {
      const { redelivery, ...rest } = envelope
      const body = JSON.stringify(rest)
      if ((bodies.get(rest.id) ?? body) !== body) faults.push(`${rest.id} has two bodies`)
      bodies.set(rest.id, body)
      if (!redelivery) plain.set(rest.id, (plain.get(rest.id) ?? 0) + 1)
      const way = `${transport} ${connection}`
      if (rest.sequence <= (last.get(way) ?? 0)) faults.push(`${rest.id} came out of order over ${way}`)
      last.set(way, rest.sequence)
    }
    for (const [id, times] of plain) if (times > 1) faults.push(`${times} copies of ${id} say they are the first`)
    return faults.map(fault => `${this.name}: ${fault}`)
  }

  close() {
    this.es.close()
    this.socket.disconnect()
  }

  #joined({ epoch, recovery_token: token }) {
    this.#epoch = epoch
    this.#token = token
  }

  #sse(event) {
    if (event.name === 'message') this.#message('sse', 0, event.data)
    else this.#events.put({ ...event, at: now() })
  }

  #message(transport, connection, envelope) {
    this.received.push({ transport, connection, at: now(), envelope })
    if (envelope.sequence > this.#floor) this.#beyond.add(envelope.sequence)
    while (this.#beyond.delete(this.#floor + 1)) this.#floor += 1
    this.arrivals.put(envelope.sequence)
  }
}
