// Processes full of clients, asked by the one that runs them.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'

/** Clients in one process: node keeps up with so many, and their own delay stays out of the figures. */
const PER_WORKER = 250
/** Until which what is waited for must have happened, milliseconds: only so that a broken run ends. */
export const LIVENESS = 120_000

/** Clients in so many processes as they need, each of which runs `script`; `kinds` says what each name is. */
export class Crowd {
  #names
  #workers

  constructor(kinds, script) {
    this.#names = [...kinds]
    this.#workers = Array.from({ length: Math.ceil(kinds.size / PER_WORKER) }, () => new Worker(script))
  }

  /** Has each process open its clients at the gateway `weir`. */
  async open(weir) {
    const urls = { ws: weir.wsUrl('/mcp/ws'), sse: weir.url('/mcp/sse') }
    await Promise.all(this.#workers.map((worker, at) =>
      worker.ask('open', { names: this.#names.slice(at * PER_WORKER, (at + 1) * PER_WORKER), urls })))
  }

  /** What each process answers. */
  ask(question, rest) {
    return Promise.all(this.#workers.map(worker => worker.ask(question, rest)))
  }

  /** Waits until every client has seen the last message that `ledger` has as acknowledged for it in the present epoch. */
  async caughtUp(ledger) {
    const heads = {}
    for (const [client, receipts] of ledger.acknowledged) {
      const { epoch } = receipts.at(-1)
      const numbers = receipts.filter(receipt => receipt.epoch === epoch).map(({ sequence }) => sequence)
      heads[client] = { epoch, sequence: Math.max(...numbers) }
    }
    const behind = async () => (await this.ask('behind', { heads })).reduce((sum, count) => sum + count, 0)
    // What is still missing then is for the judge to name.
    await eventually('every client to catch up', async () => (await behind()) === 0 || null).catch(error => console.log(error.message))
  }

  end() {
    return Promise.all(this.#workers.map(worker => worker.end()))
  }
}

/** What `attempt` answers once that is not null. */
export async function eventually(what, attempt) {
  const end = Date.now() + LIVENESS
  while (Date.now() < end) {
    const result = await attempt()
    if (result !== null) return result
    await pause(100)
  }
  throw new Error(`waited ${LIVENESS} ms in vain for ${what}`)
}

/** A process that runs `script`, which answers with `answerAll`. */
class Worker {
  #child
  #answers = new Map()
  #number = 0

  constructor(script) {
    this.#child = fork(script)
    this.#child.on('message', ({ number, answer }) => this.#answers.get(number)(answer))
  }

  ask(question, rest = {}) {
    const number = ++this.#number
    this.#child.send({ question, number, ...rest })
    return new Promise(resolve => this.#answers.set(number, resolve))
  }

  async end() {
    this.#child.disconnect()
    await once(this.#child, 'exit')
  }
}

/** In the process: what its parent asks is answered by the function of that name, under the question's number. */
export function answerAll(questions) {
  process.on('message', ({ question, number, ...rest }) => {
    process.send({ number, answer: questions[question](rest) })
  })
  process.on('disconnect', () => process.exit())
}

/** How many of `clients` have not seen the number that `heads` names for them. */
export function behind(clients, heads) {
  const isBehind = ({ name, epoch, highest }) => name in heads && (heads[name].epoch !== epoch || highest < heads[name].sequence)
  return clients.filter(isBehind).length
}
