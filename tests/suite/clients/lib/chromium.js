// Chromium without a window, driven over its own protocol (CDP): for what only a real browser decides.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import WebSocket from 'ws'

import { deadline } from './inbox.js'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']

/** The browser's command, or null where there is none. */
export const CHROMIUM = process.env.CHROMIUM
  ?? NAMES.find(name => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0)
  ?? null

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-extensions',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--remote-debugging-port=0',
]

/** One browser with an empty profile. */
export class Chromium {
  /** Starts it; each of `names` leads to 127.0.0.1. */
  static async start(names) {
    const folder = mkdtempSync(join(tmpdir(), 'weir-chromium-'))
    const rules = names.map(name => `MAP ${name} 127.0.0.1`).join(', ')
    const flags = [...FLAGS, `--user-data-dir=${folder}`, `--host-resolver-rules=${rules}`, 'about:blank']
    const child = spawn(CHROMIUM, flags, { stdio: ['ignore', 'ignore', 'pipe'] })
    const browser = new Chromium(child, folder)
    try {
      const socket = new WebSocket(await browser.#endpoint())
      await deadline(once(socket, 'open'), 'the browser\'s protocol')
      browser.#listen(socket)
      return browser
    } catch (error) {
      await browser.close()
      throw error
    }
  }

  #asked = 0
  #answers = new Map()
  #socket

  constructor(child, folder) {
    this.child = child
    this.folder = folder
    this.said = ''
    process.on('exit', this.#kill)
  }

  /** Ends the browser, and waits until it and all it has started are gone. */
  async close() {
    process.off('exit', this.#kill)
    this.#socket?.terminate()
    const ended = once(this.child, 'close')
    this.#kill()
    if (this.child.exitCode === null && this.child.signalCode === null) await ended
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  }

  #kill = () => this.child.kill('SIGKILL')

  /** A page that shows `url`. */
  async open(url) {
    const { targetId } = await this.#ask('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await this.#ask('Target.attachToTarget', { targetId, flatten: true })
    const page = new Page((method, params) => this.#ask(method, params, sessionId))
    await page.go(url)
    return page
  }

  #endpoint() {
    const found = new Promise((resolve, reject) => {
      this.child.stderr.setEncoding('utf8')
      this.child.stderr.on('data', text => {
        this.said += text
        const at = /DevTools listening on (ws:\S+)/.exec(this.said)
        if (at) resolve(at[1])
      })
      this.child.on('exit', () => reject(new Error(`${CHROMIUM} ended: ${this.said}`)))
      this.child.on('error', reject)
    })
    return deadline(found, 'the browser')
  }

  #listen(socket) {
    this.#socket = socket
    socket.on('message', text => {
      const { id, result, error } = JSON.parse(text)
      const answer = this.#answers.get(id)
      this.#answers.delete(id)
      if (error) answer?.reject(new Error(error.message))
      else answer?.resolve(result)
    })
  }

  #ask(method, params = {}, sessionId = undefined) {
    const id = ++this.#asked
    const answer = new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject }))
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }))
    return deadline(answer, `the browser's answer to ${method}`)
  }
}

/** One page. */
class Page {
  #ask

  constructor(ask) {
    this.#ask = ask
  }

  /** Shows `url` and waits until it is there. */
  async go(url) {
    await this.run('globalThis.before = true')
    await this.#ask('Page.navigate', { url })
    await this.run(`new Promise(there => {
      const look = () => !globalThis.before && document.readyState === 'complete' ? there() : setTimeout(look, 5)
      look()
    })`)
  }

  /** From the next document on, what the page's Content-Security-Policy forbids is allowed; it is loaded again. */
  async lift() {
    await this.#ask('Page.setBypassCSP', { enabled: true })
    await this.go(await this.run('location.href'))
  }

  /** What JavaScript comes to in the page; promises are waited for. */
  async run(expression) {
    const options = { expression, awaitPromise: true, returnByValue: true }
    for (;;) {
      const { result, exceptionDetails } = await this.#ask('Runtime.evaluate', options).catch(error => {
        // The page it ran in has gone for the one it was sent to.
        if (/context|navigated/i.test(error.message)) return {}
        throw error
      })
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
      if (result) return result.value
    }
  }

  /** Calls a function in the page with values. */
  call(what, ...values) {
    return this.run(`(${what})(...${JSON.stringify(values)})`)
  }
}
