// The collector as a process.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import { deadline, Inbox } from '../lib/inbox.js'

const PYTHON = process.env.COLLECTOR ?? new URL('../../../.deps/collector/bin/python', import.meta.url).pathname
const PROGRAM = new URL('collector.py', import.meta.url).pathname

/** Those still running: they end with the test's process. */
const open = new Set()
process.on('exit', () => { for (const collector of open) collector.child.kill('SIGKILL') })

/** A collector of spans; `spans` are all it was sent and took, `requests` is every request, `raw` all it printed. */
export class Collector {
  static async start(port = 0) {
    const collector = new Collector(port)
    const { listening } = await collector.#said.take('the collector to listen', line => 'listening' in line)
    collector.port = listening
    return collector
  }

  #said = new Inbox()

  constructor(port) {
    this.raw = ''
    this.spans = new Inbox()
    this.requests = new Inbox()
    this.child = spawn(PYTHON, [PROGRAM, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] })
    open.add(this)
    this.exited = once(this.child, 'close')
    createInterface({ input: this.child.stdout }).on('line', line => {
      this.raw += line
      const said = JSON.parse(line)
      if (!said.spans) return this.#said.put(said)
      this.requests.put(said)
      if (said.answered === 200) said.spans.forEach(span => this.spans.put(span))
    })
  }

  get url() {
    return `http://127.0.0.1:${this.port}`
  }

  /** From now on it answers so. */
  async answer(how) {
    this.child.stdin.write(`${JSON.stringify(how)}\n`)
    await this.#said.take('the collector to obey', line => 'answering' in line)
  }

  /** The spans of one trace, as soon as all of `names` are there. */
  async trace(id, names) {
    const spans = []
    for (const name of names) spans.push(await this.spans.take(`the span ${name} of ${id}`, span => span.trace === id && span.name === name))
    return spans
  }

  async close() {
    open.delete(this)
    this.child.kill('SIGKILL')
    await deadline(this.exited, 'the collector to end')
  }
}
