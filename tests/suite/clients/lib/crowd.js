// Processes full of clients, asked by the one that runs them.

import { fork } from 'node:child_process'
import { once } from 'node:events'

/** A process that runs `script`, which answers with `answerAll`. */
export class Worker {
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
