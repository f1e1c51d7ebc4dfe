// A guide as a test reads it: sections with the commands that they show, and what those print. A block
//
//     ```console
//     $ weir breakers
//     tools  open  ...
//     ```
//
// is run as it stands, with 127.0.0.1:4000 to 4002 being the gateway's ports, and must print those lines, one after the
// other, somewhere in its output. Spaces count as one; `…` is any text, alone on a line any number of lines.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { LONG } from '../lib/inbox.js'
import { BINARY } from '../lib/weir.js'

const DOCS = new URL('../../../../docs/', import.meta.url)
const PORTS = { 4000: 'admin', 4001: 'sse', 4002: 'ws' }

/** The sections of a page by their headings of second rank: `{heading, steps: [{command, expected}], files: [toml]}`. */
export function sections(page) {
  const found = new Map()
  let section = { steps: [], files: [] }
  let block = null
  for (const line of readFileSync(new URL(page, DOCS), 'utf8').split('\n')) {
    const [, indent, fence] = /^(\s*)```(\w*)/.exec(line) ?? []
    if (fence !== undefined) {
      if (block?.kind === 'toml') section.files.push(block.lines.join('\n'))
      if (block?.kind === 'console') section.steps.push(...steps(block.lines))
      block = block ? null : { kind: fence, indent: indent.length, lines: [] }
    } else if (block) {
      block.lines.push(line.slice(block.indent))
    } else if (line.startsWith('## ')) {
      section = { heading: line.slice(3), steps: [], files: [] }
      found.set(section.heading, section)
    }
  }
  return found
}

/** The commands of a block, each with the lines that follow it. */
function steps(lines) {
  const all = []
  for (const line of lines) {
    const last = all.at(-1)
    if (line.startsWith('$ ')) all.push({ command: line.slice(2), expected: [] })
    else if (last.expected.length === 0 && last.command.endsWith('\\')) last.command = `${last.command.slice(0, -1)}${line.trim()}`
    else last.expected.push(line)
  }
  return all
}

/** Whether a command's output has what the page says. */
export function shows(output, expected) {
  const lines = output.split('\n')
  const patterns = expected.map(line => (line.trim() === '…' ? null : pattern(line)))
  const fit = (at, n) => {
    if (n === patterns.length) return true
    if (patterns[n]) return at < lines.length && patterns[n].test(lines[at]) && fit(at + 1, n + 1)
    return lines.slice(at).some((_, skipped) => fit(at + skipped, n + 1)) || n + 1 === patterns.length
  }
  return lines.some((_, at) => fit(at, 0))
}

function pattern(line) {
  const texts = line.trim().split('…').map(text => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\s+/g, '\\s+'))
  return new RegExp(`^\\s*${texts.join('.*?')}\\s*$`)
}

/** Follows one section, command by command, at a gateway. */
export class Reader {
  #left
  #folder = mkdtempSync(join(tmpdir(), 'weir-guide-'))

  constructor(section, weir) {
    this.section = section
    this.weir = weir
    this.#left = [...section.steps]
    symlinkSync(BINARY, join(this.#folder, 'weir'))
  }

  /**
   * Runs the next command, and asserts that it is one with `word` in it and prints what the page says. It is run again
   * until it does: figures are a second old at most. With `once` it is not, as for what changes something.
   */
  async next(word, { once = false } = {}) {
    const { command, expected } = this.#left.shift() ?? assert.fail(`the section has no command with ${word}`)
    assert.ok(command.includes(word), `the next command is ${command}, not one with ${word}`)
    for (const end = Date.now() + LONG; ;) {
      const output = await this.run(command)
      if (shows(output, expected)) return output
      if (once || Date.now() > end) assert.fail(`$ ${command}\n${output}\nis not what the page says:\n${expected.join('\n')}`)
    }
  }

  /** What a command prints, on either stream. */
  run(command) {
    const text = command.replace(/127\.0\.0\.1:(400[012])/g, (_, port) => `127.0.0.1:${this.weir.ports[PORTS[port]]}`)
    const env = { PATH: `${this.#folder}:${process.env.PATH}`, WEIR_SERVER_ADMIN_PORT: String(this.weir.ports.admin) }
    return new Promise(resolve => {
      execFile('bash', ['--norc', '-c', text], { env, timeout: LONG }, (_, stdout, stderr) => resolve(`${stdout}${stderr}`.replaceAll('\r', '')))
    })
  }

  /** Every command of the section was run. */
  end() {
    rmSync(this.#folder, { recursive: true })
    assert.deepEqual(this.#left.map(({ command }) => command), [], 'commands of the page that this test did not run')
  }
}
