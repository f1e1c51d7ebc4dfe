// Commands of the binary, other than serve: run to their end, or followed while they run.

import { execFile, spawn } from 'node:child_process'

import { deadline, Inbox } from './inbox.js'
import { BINARY } from './weir.js'

/** Runs a command: its exit code and what it said. `input` is its standard input, `env` beside PATH its environment. */
export function run(words, { env = {}, input = '' } = {}) {
  const end = new Promise(resolve => {
    const child = execFile(BINARY, words, { env: { PATH: process.env.PATH, ...env } }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr })
    })
    child.stdin.on('error', () => {}) // it may not be read
    child.stdin.end(input)
  })
  return deadline(end, `weir ${words.join(' ')} to end`)
}

/** Starts a command that goes on: `lines` gets each line that it prints, `ended` is its exit code or signal. */
export function follow(words, env = {}) {
  const child = spawn(BINARY, words, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = new Inbox()
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    const parts = (rest + text).split('\n')
    rest = parts.pop()
    parts.forEach(line => lines.put(line))
  })
  const ended = new Promise(resolve => child.on('close', (code, signal) => resolve(code ?? signal)))
  return { child, lines, ended }
}
