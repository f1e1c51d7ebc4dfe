// The Autobahn cases against /mcp/ws/echo, run by `kosoku`: node autobahn.js [--plain]. Environment: KOSOKU, its path; REPORT, where
// its report goes; AUTOBAHN_AT (HOST:PORT/PATH), another server to judge instead of the gateway.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { Weir } from './lib/weir.js'

/** With --plain without the sections on compression, which are most of the time. */
const PLAIN = process.argv.includes('--plain')
const LEFT_OUT = PLAIN ? ['12.*', '13.*'] : []
const CASES = PLAIN ? 301 : 517
const GOOD = ['OK', 'NON-STRICT', 'INFORMATIONAL']
const { KOSOKU, REPORT, AUTOBAHN_AT } = process.env

rmSync(REPORT, { recursive: true, force: true })
const weir = AUTOBAHN_AT ? null : await Weir.start()
try {
  await kosoku(AUTOBAHN_AT ?? `127.0.0.1:${weir.ports.ws}/mcp/ws/echo`)
} finally {
  await weir?.close()
}
judge(join(REPORT, 'index.json'))

/** Runs every case; its exit code says only what the report says better. */
async function kosoku(address) {
  const without = LEFT_OUT.flatMap(glob => ['-x', glob])
  const child = spawn(KOSOKU, ['-m', 'fuzzingclient', '-p', '4', '-o', REPORT, ...without, address], { stdio: 'inherit' })
  await once(child, 'close')
}

/** Prints the counts of each verdict and fails on any bad one or a missing case. */
function judge(file) {
  const agents = Object.values(JSON.parse(readFileSync(file, 'utf8')))
  assert.equal(agents.length, 1, 'one server was judged')
  const cases = Object.entries(agents[0])
  for (const part of ['behavior', 'behaviorClose']) {
    const counts = {}
    for (const [, verdict] of cases) counts[verdict[part]] = (counts[verdict[part]] ?? 0) + 1
    console.log(`autobahn ${part}:`, JSON.stringify(counts))
  }
  const bad = cases.filter(([, { behavior, behaviorClose }]) => {
    return !GOOD.includes(behavior) || !GOOD.includes(behaviorClose)
  })
  for (const [name, { behavior, behaviorClose }] of bad) console.log(`case ${name}: ${behavior}, close ${behaviorClose}`)
  console.log(`autobahn: ${cases.length} cases, ${bad.length} failed`)
  assert.equal(bad.length, 0, 'cases failed')
  assert.equal(cases.length, CASES, 'every case ran')
}
