// A flood of publishes, more than the machine can do, beside urgent ones, with shedding and without. With it the
// least urgent are refused, with a reason, nothing urgent is, and it takes about as long as in the calm; without it
// everything melts.

import assert from 'node:assert/strict'
import http from 'node:http'
import { describe, it } from 'node:test'

import { get, send } from '../lib/http.js'
import { deadline, LONG } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'
import { Flood } from './flood.js'

/** Messages a second at first, bytes of each, and who gets what is for the topic: 2 GB a second. */
const FLOOD = { rate: 20_000, bytes: 1_000, subscribers: 200 }
/** For how long a flood may leave the gateway untouched before it doubles, milliseconds. */
const UNTOUCHED = 2_000
/** How long urgent messages are sent, one after the other, milliseconds: several times as long as a level lasts. */
const CALM = 2_000
const WILD = 6_000
/** How many times their p99 of the calm urgent messages may take in the flood, with shedding: asserted on a quiet machine (LONG). */
const FACTOR = 5

/** One POST over a connection that stays: its status. */
function post(agent, url, body) {
  return deadline(new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const sent = http.request(url, { method: 'POST', agent, headers }, response => {
      response.resume()
      response.on('end', () => resolve(response.statusCode))
    })
    sent.on('error', reject)
    sent.end(body)
  }), 'an answer', 60_000)
}

/** Sends urgent messages for so long; how many were accepted and refused, and how long they took, milliseconds. */
async function urgent(weir, agent, span) {
  const body = JSON.stringify({ type: 'alarm', data: 1, priority: 'urgent' })
  const outcome = { accepted: 0, refused: 0, load: 0 }
  const took = []
  for (const end = performance.now() + span; performance.now() < end;) {
    const start = performance.now()
    const status = await post(agent, weir.url('/mcp/clients/watch/messages'), body)
    took.push(performance.now() - start)
    outcome[status === 202 ? 'accepted' : 'refused'] += 1
    if (took.length % 50 === 0) outcome.load = Math.max(outcome.load, (await control(weir)).load.turns)
  }
  took.sort((a, b) => a - b)
  const at = share => took[Math.floor(took.length * share)]
  return { ...outcome, p50: at(0.5), p99: at(0.99) }
}

const control = async weir => (await get(weir.url('/mcp/admin/control', 'admin'))).json

/** Until the flood has begun to tell: a machine that copes with it gets twice as much. */
async function tells(weir, flood) {
  let since = performance.now()
  for (let now = await control(weir); now.load.turns < 1 && now.shedding === 0; now = await control(weir)) {
    if (performance.now() - since < UNTOUCHED) continue
    flood.double()
    since = performance.now()
  }
}

/** Tries a message of low priority until it is taken: the level falls when the flood is over. */
async function taken(weir) {
  for (;;) {
    const { status, json, headers } = await send(weir, 'late', { type: 'a', data: 1, priority: 'low' })
    if (status === 202) return
    assert.deepEqual([status, json.error, json.reason], [503, 'unavailable', 'load_shed'])
    assert.ok(json.retry_after > 0 && Number(headers['retry-after']) > 0)
  }
}

/** What becomes of urgent messages in the calm, then in the flood. */
async function storm(shedding) {
  const config = `[control]\nmax_turn = "2ms"\nadmission = false\nshedding = ${shedding}\n` +
    '[rate_limiting.backend]\nlimit = 0\n[connection]\nqueue_bytes = 67108864\n'
  const weir = await Weir.start({ config, shards: 1 })
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  const calm = await urgent(weir, agent, CALM)
  const flood = await Flood.start(weir, FLOOD)
  await deadline(tells(weir, flood), 'a flood that the gateway feels')
  const wild = await urgent(weir, agent, WILD)
  const { control: counted, appended } = (await get(weir.url('/mcp/stats', 'admin'))).json
  const reasons = await flood.end()
  const times = ({ p50, p99 }) => `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`
  console.log(`urgent, calm: ${times(calm)}; flood with shedding ${shedding ? 'on' : 'off'}: ${times(wild)}, load of turns ` +
    `up to ${wild.load.toFixed(1)}, ${appended} taken, shed ${counted.shed_low} low, ${counted.shed_normal} normal, ` +
    `${counted.shed_high} high; p99 is ${(wild.p99 / calm.p99).toFixed(1)} times that of the calm` +
    (shedding ? `, ${FACTOR} at most` : ''))
  return { weir, agent, calm, wild, counted, reasons }
}

describe('a flood', () => {
  it('is shed by priority, urgent never, and that ends when it is over', async () => {
    const { weir, agent, calm, wild, counted, reasons } = await storm(true)
    assert.ok(wild.accepted > 0 && wild.refused === 0, 'all that is urgent is taken')
    assert.ok(counted.shed_low > 0 && counted.shed_low >= counted.shed_normal, 'the least urgent first')
    assert.deepEqual(reasons, ['load_shed'], 'each refusal says why')
    if (process.env.LONG === '1') assert.ok(wild.p99 <= FACTOR * calm.p99, 'and takes about as long as in the calm')
    await deadline(taken(weir), 'the end of shedding', 3 * LONG)
    agent.destroy()
    await weir.close()
  })

  it('is all taken without shedding, however late that makes everything', async () => {
    // The storm has had the load of turns go over its bar: without shedding nothing else ends its wait.
    const { weir, agent, counted, reasons } = await storm(false)
    assert.deepEqual([counted.shed_low, counted.shed_normal, counted.shed_high, reasons.length], [0, 0, 0, 0])
    agent.destroy()
    await weir.close()
  })
})
