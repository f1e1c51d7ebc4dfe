// A backend that publishes batches without end and keeps the books.

import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

/** Until the next try when the gateway is not there, milliseconds. */
const RETRY = 20

/** One publisher: one connection, one batch after the other. */
export class Publisher {
  #agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  #number = 0
  #running = true

  /**
   * @param {string} name goes into the messages' keys
   * @param {string} url of `POST /mcp/batch`
   * @param {string[]} clients for whom
   * @param {import('./check.js').Ledger} ledger its books
   * @param {{batch: number, interval: number}} pace messages in a batch, and milliseconds between two batches
   * @param {boolean} persists sends a batch again until it is answered, under idempotency keys
   */
  constructor(name, url, clients, ledger, pace, persists) {
    Object.assign(this, { name, url, clients, ledger, pace, persists })
    this.ended = this.#run()
  }

  /** Lets the batch under way end; nothing follows it. */
  async stop() {
    this.#running = false
    await this.ended
    this.#agent.destroy()
  }

  async #run() {
    while (this.#running) {
      const keys = Array.from({ length: this.pace.batch }, () => `${this.name}-${++this.#number}`)
      const lines = keys.map(key => this.#line(key))
      while (!(await this.#publish(keys, lines)) && this.persists) await pause(RETRY)
      await pause(this.pace.interval)
    }
  }

  #line(key) {
    const client = this.clients[Math.floor(Math.random() * this.clients.length)]
    this.ledger.attempt(key, client)
    const once = this.persists ? { idempotency_key: key } : {}
    return JSON.stringify({ client, type: 'job', data: { key }, ...once })
  }

  /** One batch; false if nobody answered, and then nobody knows what became of it, unless nobody was there. */
  async #publish(keys, lines) {
    const answer = await this.#post(lines.join('\n')).catch(error => error)
    if (answer.code === 'ECONNREFUSED' && !this.persists) for (const key of keys) this.ledger.attempted.delete(key)
    if (answer.status !== 200) return false
    for (const [at, line] of answer.body.trimEnd().split('\n').entries()) {
      const receipt = JSON.parse(line)
      if (receipt.epoch) this.ledger.acknowledge(keys[at], receipt)
      else this.ledger.refused.add(keys[at])
    }
    return true
  }

  #post(body) {
    const headers = { 'content-type': 'application/x-ndjson', 'content-length': Buffer.byteLength(body) }
    return new Promise((resolve, reject) => {
      const request = http.request(this.url, { method: 'POST', headers, agent: this.#agent }, response => {
        const parts = []
        response.on('data', part => parts.push(part))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(parts).toString() }))
      })
      request.on('error', reject)
      request.end(body)
    })
  }
}
