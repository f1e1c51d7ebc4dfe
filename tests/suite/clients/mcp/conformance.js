// The official conformance suites, direct to the fixture and through the gateway, compared check by check.
//
//   node conformance.js                     every run
//   node conformance.js 2026-07-28 stdio    those whose name has all these words
//   node conformance.js --table             with the whole table, not only what differs
//
// A run fails when a scored check that passes direct does not pass through the gateway. Unscored ones are shown.

import { parseArgs } from 'node:util'

import { Weir } from '../lib/weir.js'
import { command, Fixture, upstream } from './lib/fixture.js'
import { found, kept, passed, run, SUITES } from './lib/suites.js'
import { UNTRANSLATABLE } from './untranslatable.js'

const options = { table: { type: 'boolean' } }
const { values: { table }, positionals: words } = parseArgs({ options, allowPositionals: true })

const fixtures = { legacy: await Fixture.start('legacy'), modern: await Fixture.start('modern') }
const other = { legacy: 'modern', modern: 'legacy' }

/** What each suite is run through: the gateway with one upstream, at a URL or by a command. */
const RUNS = SUITES.flatMap(suite => [
  { name: `${suite.name} over http`, suite, where: fixtures[suite.era].url },
  { name: `${suite.name} over stdio`, suite, where: command(suite.era) },
  ...suite.requirements ? [
    { name: `${suite.name} translated over http`, suite, where: fixtures[other[suite.era]].url, translated: true },
    { name: `${suite.name} translated over stdio`, suite, where: command(other[suite.era]), translated: true },
  ] : [],
])

const direct = new Map()
let failed = 0
for (const { name, suite, where, translated } of RUNS.filter(({ name }) => words.every(word => name.includes(word)))) {
  if (!direct.has(suite)) direct.set(suite, await run(suite, fixtures[suite.era].url))
  const via = await through(suite, where)
  const excused = translated ? UNTRANSLATABLE.filter(entry => entry.suite === suite.name) : []
  failed += report(name, direct.get(suite), via, excused)
}
for (const fixture of Object.values(fixtures)) await fixture.close()
process.exit(failed === 0 ? 0 : 1)

/** The suite's checks through a gateway with this one upstream. */
async function through(suite, where) {
  const weir = await Weir.start({ config: upstream('fixture', where) })
  try {
    return await run(suite, weir.url('/mcp'))
  } finally {
    await weir.close()
  }
}

/** Prints what differs and answers how many scored checks were lost. */
function report(name, direct, via, excused) {
  const rows = [...new Set([...direct.keys(), ...via.keys()])].map(key => {
    const { scenario, check, scored } = direct.get(key) ?? via.get(key)
    const worse = passed(direct.get(key)) ? !kept(via.get(key)) : !direct.has(key) && found(via.get(key))
    const excuse = excused.find(entry => entry.scenario === scenario && entry.check === check)
    const verdict = !scored ? 'not scored' : excuse ? (worse ? 'excused' : 'STALE') : worse ? 'LOST' : 'kept'
    return { scenario, check, direct: direct.get(key), via: via.get(key), worse, verdict, reason: excuse?.reason }
  })
  const stale = excused.filter(({ scenario, check }) => !rows.some(row => row.scenario === scenario && row.check === check))

  console.log(`\n-- ${name}`)
  for (const row of rows.filter(({ worse, verdict }) => table || worse || verdict === 'STALE')) print(row)
  for (const { scenario, check } of stale) console.log(`STALE       ${scenario} | ${check}: no run has this check`)
  const count = verdict => rows.filter(row => row.verdict === verdict).length
  const [lost, old] = [count('LOST'), count('STALE') + stale.length]
  const same = rows.filter(row => row.verdict === 'kept' && passed(row.direct)).length
  console.log(`${name}: ${same} scored checks kept, ${count('excused')} excused, ${lost} lost, ${old} stale`)
  return lost + old
}

/** One row: verdict, scenario, check, direct, via, and why. */
function print({ verdict, scenario, check, direct, via, reason }) {
  const status = result => (result?.status ?? 'absent').toLowerCase()
  const why = reason ?? via?.message
  console.log(`${verdict.padEnd(11)} ${scenario} | ${check} | ${status(direct)} | ${status(via)}`)
  if (why) console.log(`            ${why.slice(0, 300)}`)
}
