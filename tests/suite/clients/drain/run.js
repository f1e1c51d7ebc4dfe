// The gateway stops while clients listen, publishers publish and calls are under way, and another takes its place.
//
//   node run.js restart|takeover memory|disk [CLIENTS]
//
// `restart`: SIGTERM, and a successor on the same ports: in memory at once, with a data folder when the first has ended.
// `takeover`: a successor with --takeover, in which streams at rest go on. Nothing accepted may be missing, but for a restart
// in memory, where what was lost must be told. No connection may be closed with 1000 or out of pace, and every call under way
// is answered.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import { check, Ledger } from '../durability/check.js'
import { Publisher } from '../durability/publisher.js'
import { Crowd, eventually, LIVENESS } from '../lib/crowd.js'
import { post, send } from '../lib/http.js'
import { deadline } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'

const [way, tier, clientCount = '500'] = process.argv.slice(2)
const CLIENTS = Number(clientCount)
const DISK = tier === 'disk'
const TAKEOVER = way === 'takeover'

/** Of each ten clients so many are phoenix.js, EventSource and raw WebSockets. */
const KINDS = Array.from({ length: 10 }, (_, at) => ({
  carrier: at < 4 ? 'websocket' : at < 7 ? 'sse' : 'raw',
  acknowledges: at < 2,
}))
const PUBLISHERS = 2
const PACE = { batch: 50, interval: 100 }
/** Publishing before the stop and after it, milliseconds. */
const BETWEEN = 3_000
/** Calls by POST, and publishes that wait for an acknowledgement, that are under way when it comes. */
const CALLS = 20
/** How soon every client should be back after its own close, milliseconds. */
const BAR = 5_000
const SHARDS = 2
/** Which part of the streams must go over to a successor: all but those that somebody waits for just then. */
const STAY = 0.8
/** Connections that a shard closes at once, and how often, milliseconds. */
const BATCH = Math.max(5, Math.ceil(CLIENTS / 25))
const INTERVAL = 100

const folder = mkdtempSync(join(tmpdir(), 'weir-drain-'))
const options = {
  shards: SHARDS,
  config: `[rate_limiting.backend]\nlimit = 0\n[drain]\nbatch = ${BATCH}\nbatch_interval = "${INTERVAL}ms"\n`
    + `[server]\ntakeover = "${join(folder, 'takeover')}"\n[security]\nmax_connections_per_ip = 0\n`,
  flags: DISK ? ['--data-dir', join(folder, 'data')] : [],
}
const kinds = new Map(Array.from({ length: CLIENTS }, (_, at) => [`client ${at}`, KINDS[at % KINDS.length]]))
const listeners = [...kinds].filter(([, { carrier }]) => carrier !== 'raw').map(([name]) => name)
const ledger = new Ledger()
const crowd = new Crowd(kinds, new URL('worker.js', import.meta.url))
let weir = await Weir.start(options)
const runs = [weir]
try {
  await crowd.open(weir)
  await everyoneUp(0)
  const publishers = Array.from({ length: PUBLISHERS }, (_, at) =>
    new Publisher(`p${at}`, weir.url('/mcp/batch'), listeners, ledger, PACE, false))
  await pause(BETWEEN)
  const before = weir
  const calls = begin(before)
  await pause(300)
  await crowd.ask('hold')
  const since = Date.now()
  weir = await succeed(before)
  runs.push(weir)
  const answers = await deadline(calls, 'calls under way', LIVENESS)
  await everyoneUp(since)
  const moves = await everyoneBack(since)
  await pause(BETWEEN)
  await Promise.all(publishers.map(publisher => publisher.stop()))
  await crowd.caughtUp(ledger)
  report({ answers, moves, since, calls: await crowd.ask('calls'), histories: new Map((await crowd.ask('histories')).flat()) })
} finally {
  await crowd.end()
  for (const run of runs) await run.close()
  rmSync(folder, { recursive: true, force: true })
}

/** Calls by POST and publishes that wait: what each was answered. */
function begin(gateway) {
  const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
  const headers = {
    'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'sleep', accept: 'application/json, text/event-stream',
  }
  const params = { name: 'sleep', arguments: { seconds: 2 }, _meta: meta }
  const call = id => post(gateway.url('/mcp'), { jsonrpc: '2.0', id, method: 'tools/call', params }, { headers })
    .then(({ json, body }) => (json?.result ? 'answered' : body))
  const acknowledging = [...kinds].filter(([, { acknowledges }]) => acknowledges).map(([name]) => name)
  const wait = at => {
    const client = acknowledging[at % acknowledging.length]
    const key = `w${at}-1`
    ledger.attempt(key, client)
    return send(gateway, client, { type: 'job', data: { key }, timeout_ms: 10_000 }).then(({ status, json, body }) => {
      if (json?.epoch) ledger.acknowledge(key, json)
      return [200, 202].includes(status) ? 'answered' : body
    })
  }
  const all = Array.from({ length: CALLS }, (_, at) => (at % 2 === 0 ? call(at) : wait(at)))
  return Promise.all(all.map(one => one.catch(error => String(error))))
}

/** Has another gateway take the place of `before`; waits until that has ended. */
async function succeed(before) {
  before.expectExit = true
  let successor
  if (TAKEOVER) {
    successor = await Weir.start({ ...options, flags: [...options.flags, '--takeover'] })
    assert.deepEqual(successor.ports, before.ports)
  } else {
    before.child.kill('SIGTERM')
    if (DISK) await deadline(before.exited, 'the end', LIVENESS)
    successor = await Weir.start({ ...options, ports: { ...before.ports, admin: 0 } })
  }
  assert.deepEqual(await deadline(before.exited, 'the end of the first', LIVENESS), { code: 0, signal: null }, before.output)
  return successor
}

function everyoneUp(since) {
  return eventually('every client to be up', async () => {
    const ups = (await crowd.ask('up', { since })).reduce((sum, count) => sum + count, 0)
    return ups === CLIENTS || null
  })
}

/** When each was closed and back; those that went over to the successor were not. */
function everyoneBack(since) {
  return eventually('every client to be back', async () => {
    const moves = (await crowd.ask('moves', { since })).flat()
    return moves.every(({ closed, back }) => (closed ? back : TAKEOVER)) ? moves : null
  })
}

function report({ answers, moves, since, calls, histories }) {
  const violations = []
  const sum = { first: 0, firstFlagged: 0, duplicates: 0 }
  for (const client of listeners) {
    const judged = check(client, histories.get(client), ledger, { disk: DISK || TAKEOVER })
    violations.push(...judged.violations)
    for (const name of Object.keys(sum)) sum[name] += judged.counts[name]
  }
  const under = calls.reduce((all, of) => Object.fromEntries(Object.entries(of).map(([name, n]) => [name, n + (all[name] ?? 0)])), {})
  if (under.lost > 0) violations.push(`${under.lost} calls on sockets were not answered before the end`)
  for (const answer of answers.filter(one => one !== 'answered')) violations.push(`a request under way: ${answer}`)
  const closed = moves.filter(move => move.closed)
  const codes = new Map()
  for (const { closed: { code } } of closed) codes.set(code, (codes.get(code) ?? 0) + 1)
  for (const { name, codes: all } of moves) if (all.includes(1000)) violations.push(`${name} was closed with 1000`)
  const closes = closed.map(({ closed }) => closed.at).sort((a, b) => a - b)
  const span = closes.at(-1) - closes[0]
  const least = (closes.length / SHARDS / BATCH - 1) * INTERVAL / 2
  if (span < least) violations.push(`${closes.length} connections were closed in ${span} ms`)
  const stayed = listeners.length - closed.filter(({ name }) => kinds.get(name).carrier !== 'raw').length
  if (TAKEOVER && stayed < listeners.length * STAY) violations.push(`only ${stayed} of ${listeners.length} streams went over`)
  const backs = closed.map(({ closed, back }) => back - closed.at).sort((a, b) => a - b)
  const at = part => backs[Math.min(backs.length - 1, Math.floor(backs.length * part))]
  const acknowledged = [...ledger.acknowledged.values()].reduce((all, receipts) => all + receipts.length, 0)
  console.log(`drain, ${way}, ${tier}: ${CLIENTS} clients, ${stayed} streams went over, others closed from ${closes[0] - since} to ${closes.at(-1) - since} ms, `
    + `codes ${[...codes].map(([code, count]) => `${code ?? 'SSE'}: ${count}`).join(', ')}`)
  console.log(`  published ${ledger.attempted.size}: acknowledged ${acknowledged}, refused ${ledger.refused.size}; `
    + `received ${sum.first} and ${sum.duplicates} again, all of them flagged`)
  console.log(`  calls on sockets ${under.asked}: answered ${under.answered}, refused ${under.refused}; by POST ${answers.length}`)
  console.log(`  back after p50 ${at(0.5)}, p99 ${at(0.99)}, last ${at(1)} ms; all within ${BAR} ms: ${at(1) <= BAR ? 'yes' : 'no'}`)
  for (const violation of violations.slice(0, 40)) console.log(`  VIOLATION ${violation}`)
  assert.equal(violations.length, 0, `${violations.length} violations`)
}
