// Clients that note what they receive, unmodified libraries all. They resume by themselves: phoenix.js with the cursor its
// join payload names, EventSource with its Last-Event-ID.

import { EventSource } from 'eventsource'
import { LongPoll, Socket } from 'phoenix'
import WebSocket from 'ws'

/** How often clients that acknowledge do so, milliseconds: late enough for the gateway to send again. */
const ACKNOWLEDGE = 1_500

/** How phoenix.js may be carried. */
const CARRIERS = { websocket: WebSocket, longpoll: LongPoll }

/** One client's history, as `durability/check.js` reads it, with the times at which its connections began and ended. */
export class Client {
  constructor(name) {
    this.name = name
    this.history = []
    this.ups = []
    this.closes = []
    this.epoch = null
    this.highest = 0
    this.acknowledged = 0
  }

  up({ epoch, sequence, recovered }) {
    this.ups.push(Date.now())
    this.history.push({ kind: 'up', epoch, sequence, recovered })
    if (epoch !== this.epoch) Object.assign(this, { epoch, highest: sequence, acknowledged: sequence })
  }

  /** Its connection has ended; `code` is that of a WebSocket. */
  closed(code) {
    this.closes.push({ at: Date.now(), code })
  }

  gap({ epoch, from, to, reason }) {
    this.history.push({ kind: 'gap', epoch, from, to, reason })
    if (epoch === this.epoch) this.highest = Math.max(this.highest, to)
  }

  message({ redelivery, ...envelope }) {
    // Who is far behind gets several at once.
    if (envelope.type === 'bundle') return envelope.data.forEach(one => this.message(one))
    const { epoch, sequence, data: { key } } = envelope
    const item = { kind: 'message', epoch, sequence, key, body: JSON.stringify(envelope), again: redelivery === true }
    this.history.push(item)
    if (epoch === this.epoch) this.highest = Math.max(this.highest, sequence)
  }

  /** What it would resume with. */
  get cursor() {
    return this.epoch === null ? {} : { resume: { epoch: this.epoch, sequence: this.highest } }
  }
}

export function openPhoenix(client, { carrier, acknowledges }, { ws }) {
  const socket = new Socket(ws, { transport: CARRIERS[carrier], params: { client_id: client.name } })
  const channel = socket.channel('mcp:gateway', () => ({ ...client.cursor, ack: acknowledges }))
  channel.on('message', envelope => client.message(envelope))
  channel.on('gap', gap => client.gap(gap))
  channel.join().receive('ok', reply => client.up(reply))
  socket.onClose(({ code }) => client.closed(code))
  socket.connect()
  if (acknowledges) setInterval(() => acknowledge(client, channel), ACKNOWLEDGE)
}

/** Acknowledges what has come since the last time; what is on its way when the connection is lost, again. */
function acknowledge(client, channel) {
  const { epoch, highest: sequence, acknowledged } = client
  if (channel.state !== 'joined' || sequence <= acknowledged) return
  channel.push('ack', { epoch, sequence }).receive('ok', () => { client.acknowledged = Math.max(sequence, client.acknowledged) })
}

export function openEventSource(client, { sse }) {
  const es = new EventSource(`${sse}?client_id=${encodeURIComponent(client.name)}`)
  es.addEventListener('connected', event => client.up(JSON.parse(event.data)))
  es.addEventListener('message', event => client.message(JSON.parse(event.data)))
  es.addEventListener('gap', event => client.gap(JSON.parse(event.data)))
  es.addEventListener('error', () => client.closed())
}
