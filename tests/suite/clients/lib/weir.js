// The gateway as a process: started on free ports, watched while it lives, ended by its own pid.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { deadline, LONG } from './inbox.js'
import { get } from './http.js'

/** The binary under test; `tests/run` builds it before any suite. */
export const BINARY = process.env.WEIR_BIN ?? new URL('../../../../target/release/weir', import.meta.url).pathname

/** What the gateway asks the kernel with, where that is not its own choice: `io_uring` or `epoll`. */
export const DRIVER = process.env.WEIR_DRIVER

const LISTENING = /listening on (\S+):(\d+) \((sse|ws|admin)\)/g
const PANIC = /panicked at|RUST_BACKTRACE|fatal runtime error|memory allocation of/

/** Runs that a test began and, having failed, did not close: they end with the test's process. */
const open = new Set()
process.on('exit', () => { for (const weir of open) weir.dispose() })
process.on('SIGTERM', () => process.exit(1)) // how the test runner ends a file that takes too long

/** One run of `weir serve`. */
export class Weir {
  /**
   * Starts the gateway and waits until `/ready` answers 200.
   *
   * @param {object} options
   * @param {string} [options.config] TOML text handed over with `-c`
   * @param {Record<string, string>} [options.files] further files in its folder, which is where it runs
   * @param {string[]} [options.flags] further flags of `weir serve`
   * @param {number} [options.shards] two unless said otherwise, so that clients live on different ones
   * @param {boolean} [options.testEndpoints] whether /mcp/ws/echo is there; it is unless said otherwise
   * @param {{cert: string, key: string}} [options.tls] files of a certificate and its key: the data ports speak TLS
   * @param {string} [options.host] the address it listens on; 127.0.0.1 unless said otherwise
   * @param {string[]} [options.inside] the command that runs it, which must become it (exec)
   * @param {{sse: number, ws: number, admin: number}} [options.ports] fixed ports; free ones otherwise
   */
  static async start(options = {}) {
    const weir = new Weir(options)
    await weir.#ready()
    return weir
  }

  /** Starts the gateway without waiting for anything: for runs that are expected to fail. */
  static launch(options = {}) {
    return new Weir(options)
  }

  constructor({
    config, files = {}, flags = [], shards = 2, testEndpoints = true, ports = { sse: 0, ws: 0, admin: 0 }, host = '127.0.0.1', inside = [],
    tls,
  } = {}) {
    this.output = ''
    this.host = host
    this.ports = {}
    this.expectExit = false
    this.secure = tls !== undefined
    this.folder = mkdtempSync(join(tmpdir(), 'weir-suite-'))
    const args = ['serve', '--shards', String(shards)]
    if (host !== '127.0.0.1') args.push('--bind', host, '--insecure')
    if (testEndpoints) args.push('--test-endpoints')
    if (tls) args.push('--tls-cert', tls.cert, '--tls-key', tls.key)
    for (const name of ['sse', 'ws', 'admin']) args.push(`--${name}-port`, String(ports[name]))
    if (config !== undefined) {
      const file = join(this.folder, 'weir.toml')
      writeFileSync(file, config)
      args.push('-c', file)
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.folder, name), text)
    // A clean environment: every variable named WEIR_ or MCP_ is a setting. All suites run on either driver.
    const env = { PATH: process.env.PATH, RUST_BACKTRACE: '1', ...(DRIVER && { WEIR_DRIVER: DRIVER }) }
    const [command, ...rest] = [...inside, BINARY, ...args, ...flags]
    this.child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'], cwd: this.folder, env })
    open.add(this)
    this.spawnError = null
    this.child.on('error', error => { this.spawnError = error })
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', text => { this.output += text })
    }
    this.exited = once(this.child, 'close').then(([code, signal]) => ({ code, signal }))
  }

  get pid() {
    return this.child.pid
  }

  get running() {
    return this.child.exitCode === null && this.child.signalCode === null && this.spawnError === null
  }

  /** `http://HOST:PORT` of a listener, or https, with `path` behind it. */
  url(path, listener = 'sse') {
    const scheme = this.secure && listener !== 'admin' ? 'https' : 'http'
    return `${scheme}://${this.host}:${this.ports[listener]}${path}`
  }

  /** `ws://HOST:PORT` of a listener, or wss, with `path` behind it. */
  wsUrl(path, listener = 'ws') {
    return `${this.secure ? 'wss' : 'ws'}://${this.host}:${this.ports[listener]}${path}`
  }

  /** Sends a signal to this process and answers how it ended. */
  async end(signal) {
    this.expectExit = true
    const servers = signal === 'SIGKILL' ? this.#children() : []
    this.child.kill(signal)
    const end = await deadline(this.exited, `weir to end after ${signal}`, LONG)
    // Their input has ended; not every server ends with it.
    for (const server of servers) {
      try { process.kill(-server, 'SIGKILL') } catch { /* it has */ }
    }
    return end
  }

  /** The groups of the MCP servers it has started. */
  #children() {
    try {
      const tasks = readdirSync(`/proc/${this.pid}/task`)
      return tasks.flatMap(id => readFileSync(`/proc/${this.pid}/task/${id}/children`, 'utf8').split(' ').filter(Boolean))
    } catch {
      return []
    }
  }

  /** Stops it where it is: SIGSTOP is not obeyed by every thread at once. */
  async freeze() {
    this.child.kill('SIGSTOP')
    const tasks = `/proc/${this.pid}/task`
    const state = id => readFileSync(`${tasks}/${id}/stat`, 'utf8').replace(/.*\) /s, '')[0]
    await this.#poll('every thread to stop', () => readdirSync(tasks).every(id => state(id) === 'T'))
  }

  /** As `end('SIGKILL')`, then a new process with the same options on the same ports. */
  async restart(options = {}) {
    await this.end('SIGKILL')
    return Weir.start({ ...options, ports: this.ports })
  }

  /** The last act of every test: it must still be alive, unless the test ended it, and have said nothing of a panic. */
  async close() {
    const alive = this.running
    if (alive) await this.end('SIGKILL')
    this.dispose()
    assert.doesNotMatch(this.output, PANIC, 'the gateway panicked')
    assert.ok(alive || this.expectExit, `the gateway ended by itself:\n${this.output}`)
  }

  /** Ends it if it still runs and removes its folder. */
  dispose() {
    open.delete(this)
    if (this.running) this.child.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Waits until the listeners are announced and `/ready` says yes. */
  async #ready() {
    await this.#poll('its three listeners', () => {
      for (const [, , port, name] of this.output.matchAll(LISTENING)) this.ports[name] = Number(port)
      return ['sse', 'ws', 'admin'].every(name => name in this.ports)
    })
    await this.#poll('/ready', async () => {
      const answer = await get(this.url('/ready', 'admin')).catch(() => null)
      return answer?.status === 200
    })
  }

  async #poll(what, done) {
    const end = Date.now() + LONG
    while (!(await done())) {
      if (!this.running) throw new Error(`weir ended before ${what}: ${this.spawnError ?? ''}\n${this.output}`)
      if (Date.now() > end) throw new Error(`weir did not reach ${what}:\n${this.output}`)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }
}
