// The gateway killed with SIGKILL while thousands of unmodified clients listen and publishers run.
//
//   node run.js memory|disk [CLIENTS [KILLS]]
//
// On disk nothing that a publisher was told is kept may be missing at its client; in memory what was lost must be
// told. Prints what came of it, and how long the clients took to be back.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import { Crowd, eventually } from '../lib/crowd.js'
import { Weir } from '../lib/weir.js'
import { check, Ledger } from './check.js'
import { Publisher } from './publisher.js'

const [tier, clientCount = '200', killCount = '1'] = process.argv.slice(2)
const CLIENTS = Number(clientCount)
const KILLS = Number(killCount)
const DISK = tier === 'disk'

/** Of each twenty clients so many are phoenix.js over WebSocket and over LongPoll; the rest are EventSource. */
const KINDS = Array.from({ length: 20 }, (_, at) => ({
  carrier: at < 9 ? 'websocket' : at < 10 ? 'longpoll' : 'sse',
  acknowledges: at < 4,
}))
const PUBLISHERS = 4
const PACE = { batch: 50, interval: 100 }
/** Publishing before a kill and after the last, and the longest downtime, milliseconds. */
const BETWEEN = 3_000
const DOWNTIME = 2_000

const folder = mkdtempSync(join(tmpdir(), 'weir-durability-'))
const options = {
  config: '[rate_limiting.backend]\nlimit = 0\n',
  flags: DISK ? ['--data-dir', join(folder, 'data')] : [],
}
const kinds = new Map(Array.from({ length: CLIENTS }, (_, at) => [`client ${at}`, KINDS[at % KINDS.length]]))
const ledger = new Ledger()
const crowd = new Crowd(kinds, new URL('worker.js', import.meta.url))
const backs = []
let weir = await Weir.start(options)
try {
  await crowd.open(weir)
  await everyoneUp(0)
  const publishers = Array.from({ length: PUBLISHERS }, (_, at) =>
    // Idempotency keys outlive the process on disk only.
    new Publisher(`p${at}`, weir.url('/mcp/batch'), [...kinds.keys()], ledger, PACE, DISK && at % 2 === 0))
  for (let kill = 1; kill <= KILLS; kill++) {
    await pause(BETWEEN)
    backs.push(await killAndRestart())
  }
  await pause(BETWEEN)
  await Promise.all(publishers.map(publisher => publisher.stop()))
  await crowd.caughtUp(ledger)
  report(new Map((await crowd.ask('histories')).flat()))
} finally {
  await crowd.end()
  await weir.close()
  rmSync(folder, { recursive: true, force: true })
}

/** When each client was up again after `since`, once all are. */
async function everyoneUp(since) {
  return eventually('every client to be up', async () => {
    const ups = (await crowd.ask('back', { since })).flat()
    return ups.length === CLIENTS ? ups : null
  })
}

/** Kills the gateway, starts it on the same ports after a while, and answers what that took, milliseconds. */
async function killAndRestart() {
  await weir.end('SIGKILL')
  const downtime = Math.round(200 + Math.random() * (DOWNTIME - 200))
  await pause(downtime)
  const since = Date.now()
  const before = weir
  weir = await Weir.start({ ...options, ports: before.ports })
  await before.close()
  const ready = Date.now() - since
  const ups = await everyoneUp(since)
  return { downtime, ready, times: ups.map(at => at - since).sort((a, b) => a - b) }
}

function report(histories) {
  const violations = []
  const sum = { first: 0, firstFlagged: 0, duplicates: 0 }
  for (const client of kinds.keys()) {
    const judged = check(client, histories.get(client), ledger, { disk: DISK })
    violations.push(...judged.violations)
    for (const name of Object.keys(sum)) sum[name] += judged.counts[name]
  }
  const count = carrier => [...kinds.values()].filter(kind => kind.carrier === carrier).length
  const acknowledged = [...ledger.acknowledged.values()].reduce((all, receipts) => all + receipts.length, 0)
  const unknown = ledger.attempted.size - acknowledged - ledger.refused.size
  const lost = violations.filter(violation => violation.includes(' is lost: ')).length
  console.log(`durability, ${tier}: ${CLIENTS} clients (${count('websocket')} phoenix.js over WebSocket, `
    + `${count('longpoll')} over LongPoll, ${count('sse')} EventSource), `
    + `${[...kinds.values()].filter(kind => kind.acknowledges).length} acknowledge, ${KILLS} times SIGKILL`)
  console.log(`  published ${ledger.attempted.size}: acknowledged ${acknowledged}, refused ${ledger.refused.size}, never answered ${unknown}`)
  console.log(`  received ${sum.first} and ${sum.duplicates} again; ${sum.firstFlagged} first copies flagged as redelivery; acknowledged and lost ${lost}`)
  for (const { downtime, ready, times } of backs) {
    const at = part => times[Math.min(times.length - 1, Math.floor(times.length * part))]
    console.log(`  down ${downtime} ms, ready after ${ready} ms; clients back after `
      + `p50 ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)}, last ${at(1)} ms`)
  }
  for (const violation of violations.slice(0, 40)) console.log(`  VIOLATION ${violation}`)
  assert.equal(violations.length, 0, `${violations.length} violations`)
}
