// The fixture as a process on a free port, and as the command of a stdio upstream.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { deadline } from '../../lib/inbox.js'

const SERVER = new URL('../fixture/server.js', import.meta.url).pathname

/** Those still running: they end with the test's process. */
const open = new Set()
process.on('exit', () => { for (const fixture of open) fixture.child.kill('SIGKILL') })

/** The command of the fixture over stdio; `era` is `legacy` or `modern`. Children of one command are one server. */
export function command(era) {
  const folder = mkdtempSync(join(tmpdir(), 'weir-fixture-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return [process.execPath, SERVER, era, 'stdio', '--share', folder]
}

/** An `[[upstream]]` of the configuration: a command as a list, or the URL of a server; further lines as they are. */
export function upstream(name, where, ...lines) {
  const line = Array.isArray(where) ? `command = ${JSON.stringify(where)}` : `url = ${JSON.stringify(where)}`
  return ['[[upstream]]', `name = "${name}"`, line, ...lines, ''].join('\n')
}

/** One run of an MCP server over HTTP that says where it listens. */
export class Fixture {
  /** The fixture of an era, listening; `flags` are those of its command line. */
  static start(era, ...flags) {
    return Fixture.launch([SERVER, era, 'http', ...flags], /listening (\d+)/)
  }

  /** Another server: the arguments of node, what it prints once it listens (its port the first group), its environment. */
  static async launch(args, listening, env = {}) {
    const fixture = new Fixture(args, env)
    const [, port] = await fixture.#said(listening)
    fixture.url = `http://127.0.0.1:${port}/mcp`
    return fixture
  }

  constructor(args, env) {
    this.output = ''
    this.child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
    open.add(this)
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', text => { this.output += text })
    }
    this.exited = once(this.child, 'close')
  }

  /** Ends it by its pid. */
  async close() {
    open.delete(this)
    this.child.kill('SIGKILL')
    await this.exited
  }

  async #said(listening) {
    const said = new Promise((resolve, reject) => {
      const look = () => {
        const found = listening.exec(this.output)
        if (found) resolve(found)
      }
      this.child.stdout.on('data', look)
      this.child.stderr.on('data', look)
      this.child.on('error', reject)
      this.child.on('close', code => reject(new Error(`the server ended with ${code}: ${this.output}`)))
    })
    return deadline(said, 'the server to listen')
  }
}

/** A port nobody listens on, for servers that must be told one. */
export async function freePort() {
  const server = createServer()
  server.listen(0)
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
