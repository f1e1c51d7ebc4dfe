// An attack beside service. Clients that behave are measured alone, then while others do all of this at once: hold
// connections open in silence, send heads that never end, reconnect without pause, and send a hundred times what one
// client may. All of them come from many loopback addresses, and none of those is exempt from limits.
//
//   node run.js GENERATOR [1]
//
// With 1 the attack has its full size. Fails if a client that behaves is cut off, misses a message or gets a wrong
// answer, if the gateway needs more memory than it may, or if it talks too much about it. Prints the times.
//
// Attackers and clients are elsewhere; here they share the gateway's cores. So attackers get what time nobody else wants
// (SCHED_IDLE) and make their system calls one by one, as the kernel may let nobody in before one ends; and clients that
// behave read the clock when their message is there (SCHED_FIFO, where that is allowed).

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import { get, send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const [generator, long] = process.argv.slice(2)
const FULL = long === '1'

/** Per second of one client: the default of `rate_limiting.default.limit`. */
const LIMIT = 100
const ATTACK = FULL ? { silent: 10_000, slow: 5_000, reconnects: 2_000 } : { silent: 1_000, slow: 500, reconnects: 200 }
const FLOOD = 100 * LIMIT
/** Clients that behave: half of them over WebSocket, half over SSE, each sent so many messages, one a second. */
const USERS = 500
const MESSAGES = FULL ? 20 : 10
/** Of both, in turn: the machine is not the same from one minute to the next. */
const ROUNDS = FULL ? 5 : 1
/** From the first of them to the attack, milliseconds: they are there before. */
const HEAD_START = 1_000
/** What the gateway may need, and say. */
const MEMORY_BUDGET = 512 << 20
const LOG_LINES_MAX = 100

/** How the generator's commands are scheduled. */
const PROMPT = spawnSync('chrt', ['-f', '10', 'true']).status === 0 ? ['-f', '10'] : ['-o', '0']
const SCHEDULED = { mixed: PROMPT, storm: ['-i', '0'] }

const folder = mkdtempSync(join(tmpdir(), 'weir-attack-'))
try {
  const rounds = []
  for (let round = 0; round < ROUNDS; round++) rounds.push(await oneRound())
  report(rounds)
} finally {
  rmSync(folder, { recursive: true })
}

/** On a gateway of its own, which knows none of the attackers yet; answers p99 alone and under attack, microseconds. */
async function oneRound() {
  const weir = await Weir.start({ config: `[security]\nexempt_loopback = false\n[memory]\nbudget = ${MEMORY_BUDGET}\n` })
  try {
    const before = await serve(weir, 'alone', 'a')
    const [during] = await Promise.all([serve(weir, 'under attack', 'b'), attack(weir, MESSAGES)])
    await judge(weir)
    return [before, during].map(({ latency }) => latency.p99)
  } finally {
    await weir.close()
  }
}

/** Runs a command of the generator and waits for its end; answers its figures. */
async function run(weir, command, options) {
  const json = join(folder, `${Object.keys(options).join('-')}.json`)
  const flags = Object.entries({ url: weir.wsUrl('/mcp/ws'), ...options, json }).flatMap(([name, value]) => [`--${name}`, `${value}`])
  const child = spawn('chrt', [...SCHEDULED[command], generator, command, ...flags], { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = await once(child, 'close')
  assert.equal(code, 0, `${command}: a client that behaves was not served`)
  return JSON.parse(readFileSync(json, 'utf8'))
}

/** Clients that behave; each message to each of them must come, once and in order. */
async function serve(weir, when, names) {
  console.log(`-- clients ${when}`)
  return run(weir, 'mixed', { names, users: USERS, messages: MESSAGES, rate: USERS, pid: weir.pid })
}

/** Everything at once, in two processes: one may have fewer descriptors than there are connections. */
async function attack(weir, seconds) {
  await pause(HEAD_START)
  const { silent, slow, reconnects } = ATTACK
  const [, storm] = await Promise.all([
    run(weir, 'storm', { silent, slow, seconds }), run(weir, 'storm', { reconnects, flood: FLOOD, seconds }),
  ])
  // A storm may not shut the door for newcomers.
  assert.ok(storm.reconnects_upgraded > storm.reconnects_refused, `${storm.reconnects_refused} newcomers were refused`)
}

function report(rounds) {
  const { silent, slow, reconnects } = ATTACK
  console.log(`-- ${silent} silent and ${slow} slow connections, ${reconnects} reconnects/s, one client with ${FLOOD} messages/s`)
  const times = rounds.map(([alone, attacked]) => attacked / alone)
  rounds.forEach(([alone, attacked], round) => {
    console.log(`clients      p99 ${alone.toFixed(0)} us alone, ${attacked.toFixed(0)} us under attack: ${times[round].toFixed(2)} times`)
  })
  const median = times.sort((a, b) => a - b)[(ROUNDS - 1) / 2]
  console.log(`             ${median.toFixed(2)} times, the median (bar: 2)`)
}

/** What must hold whatever the machine is like. */
async function judge(weir) {
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${weir.pid}/status`, 'utf8'))[1]) << 10
  const lines = weir.output.split('\n').length
  console.log(`gateway      at most ${(peak / (1 << 20)).toFixed(0)} MiB (budget ${MEMORY_BUDGET >> 20}), ${lines} lines of log`)
  assert.ok(peak < MEMORY_BUDGET, 'the memory budget holds')
  assert.ok(lines < LOG_LINES_MAX, weir.output)
  const { status } = await send(weir, 'afterwards', { type: 'chat', data: 1 })
  assert.equal(status, 202, 'it serves on')
  assert.equal((await get(weir.url('/health', 'admin'))).status, 200)
}
