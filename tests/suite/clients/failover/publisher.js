// A backend that does not stop.

import assert from 'node:assert/strict'

import { post } from '../lib/http.js'

/** Between two rounds, milliseconds. */
const PAUSE = 50

/** Publishes to all clients, one message each, round after round, until it is stopped. */
export class Publisher {
  rounds = 0
  #stopped = false

  constructor(weir, clients) {
    this.weir = weir
    this.clients = clients
    this.done = this.#run()
  }

  async stop() {
    this.#stopped = true
    await this.done
  }

  async #run() {
    while (!this.#stopped) {
      this.rounds += 1
      const lines = this.clients.map(({ name }) => JSON.stringify({ client: name, type: 'chat', data: this.rounds }))
      const { status, body } = await this.#post(lines.join('\n'))
      assert.equal(status, 200)
      for (const line of body.trim().split('\n')) assert.equal(JSON.parse(line).sequence, this.rounds, line)
      await new Promise(resolve => setTimeout(resolve, PAUSE))
    }
  }

  /** Hundreds of clients that reconnect keep this process busy: a request that left too late (408) was not read, and goes again. */
  async #post(lines) {
    const answer = await post(this.weir.url('/mcp/batch'), lines)
    return answer.status === 408 ? this.#post(lines) : answer
  }
}
