// What is said on the bus: the SSE stream of the admin port, and an endpoint that webhooks and handlers post to.

import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'

import { deadline, Inbox } from './inbox.js'

/** An open `GET /mcp/admin/events`; `inbox` holds the records in order, `arrived` being when each came (ms). */
export class Bus {
  static async open(weir, topics = '', headers = {}) {
    const bus = new Bus()
    bus.inbox = new Inbox()
    const url = weir.url(`/mcp/admin/events${topics && `?topics=${topics}`}`, 'admin')
    bus.request = http.get(url, { agent: false, headers: { accept: 'text/event-stream', ...headers } })
    const [response] = await deadline(once(bus.request, 'response'), 'the stream of events')
    bus.status = response.statusCode
    bus.type = response.headers['content-type']
    let text = ''
    response.setEncoding('utf8')
    response.on('error', () => {})
    response.on('data', part => {
      text += part
      for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) bus.#take(text.slice(0, end))
    })
    return bus
  }

  /** The next record of that name. */
  said(event, wanted = () => true) {
    return this.inbox.take(`the event ${event}`, item => item.event === event && wanted(item))
  }

  close() {
    this.request.destroy()
  }

  #take(text) {
    const field = name => text.split('\n').find(line => line.startsWith(`${name}:`))?.slice(name.length + 1).trimStart()
    const data = field('data')
    if (data) this.inbox.put({ arrived: Date.now(), name: field('event'), ...JSON.parse(data) })
  }
}

/** A server that keeps what is posted to it; `answer(request, response)` answers, with 204 unless said otherwise. */
export class Receiver {
  static async start(answer = (_, response) => response.writeHead(204).end()) {
    const receiver = new Receiver()
    receiver.answer = answer
    receiver.inbox = new Inbox()
    receiver.http = http.createServer(async (request, response) => {
      const parts = []
      for await (const part of request) parts.push(part)
      const body = Buffer.concat(parts).toString()
      const posted = { arrived: Date.now(), path: request.url, headers: request.headers, body, json: JSON.parse(body) }
      receiver.inbox.put(posted)
      receiver.answer(posted, response)
    })
    receiver.http.listen(0, '127.0.0.1')
    await once(receiver.http, 'listening')
    return receiver
  }

  get url() {
    return `http://127.0.0.1:${this.http.address().port}/hook`
  }

  /** The next post of that event. */
  told(event) {
    return this.inbox.take(`a post of ${event}`, ({ json }) => json.event === event)
  }

  close() {
    this.http.close()
    this.http.closeAllConnections()
  }
}

/** What the signature of a post must be. */
export function signature(secret, { headers, body }) {
  const text = `${headers['x-weir-timestamp']}.${body}`
  return `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`
}
