// A bare TCP connection: bytes out as they are, bytes in as text or as a whole.

import net from 'node:net'
import { once } from 'node:events'

import { deadline, LONG } from './inbox.js'

/** One connection to a listener of the gateway; nothing is added to what a test writes. */
export class Tcp {
  static async open(weir, listener = 'sse', options = {}) {
    const socket = net.connect({ host: '127.0.0.1', port: weir.ports[listener], ...options })
    await deadline(once(socket, 'connect'), `a connection to ${listener}`)
    return new Tcp(socket)
  }

  constructor(socket) {
    this.socket = socket
    this.bytes = Buffer.alloc(0)
    this.ended = false
    this.changed = () => {}
    socket.on('data', part => {
      this.bytes = Buffer.concat([this.bytes, part])
      this.changed()
    })
    for (const end of ['end', 'close']) {
      socket.on(end, () => {
        this.ended = true
        this.changed()
      })
    }
    socket.on('error', () => {})
  }

  /** Everything that came, byte for byte. */
  get text() {
    return this.bytes.toString('latin1')
  }

  write(bytes) {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  }

  /** Waits until `done(this)` is true. */
  async reach(what, done, ms = LONG) {
    const reached = (async () => {
      while (!done(this)) {
        if (this.ended) throw new Error(`the gateway closed before ${what}; it sent ${JSON.stringify(this.text)}`)
        await new Promise(resolve => { this.changed = resolve })
      }
    })()
    await deadline(reached, what, ms)
  }

  /** Waits until `part` has come and answers all the text so far. */
  async until(part) {
    await this.reach(JSON.stringify(part), () => this.text.includes(part))
    return this.text
  }

  /** Waits until the gateway closed its side and answers all the text. */
  async end(ms = LONG) {
    const closed = (async () => {
      while (!this.ended) await new Promise(resolve => { this.changed = resolve })
    })()
    await deadline(closed, `the gateway to close; it sent ${JSON.stringify(this.text)}`, ms)
    return this.text
  }

  /** Ends the connection: with FIN, or with a reset. */
  destroy(how = 'fin') {
    if (how === 'reset') this.socket.resetAndDestroy()
    else this.socket.destroy()
  }
}

/** The raw response of a GET that does not end. */
export async function stream(weir, path) {
  const tcp = await Tcp.open(weir)
  tcp.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`)
  return tcp
}

/** Splits what came into responses with a Content-Length: `{status, headers, body}` each. */
export function responses(text) {
  const all = []
  while (text.length > 0) {
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) break
    const [line, ...fields] = text.slice(0, end).split('\r\n')
    const headers = Object.fromEntries(fields.map(field => [
      field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 1).trim(),
    ]))
    const length = Number(headers['content-length'] ?? 0)
    all.push({ status: Number(line.split(' ')[1]), headers, body: text.slice(end + 4, end + 4 + length) })
    text = text.slice(end + 4 + length)
  }
  return all
}
