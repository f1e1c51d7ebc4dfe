// A flood of publishes beside urgent ones, with shedding and without: with it the least urgent are refused, with a reason,
// and nothing urgent is; without it nothing is refused, and turns take as long as they take.

import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { once } from 'node:events'
import { describe, it } from 'node:test'

import { frame, TEXT, upgrade } from '../lib/frames.js'
import { get, send } from '../lib/http.js'
import { deadline } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'

/** Batches under way at once, and lines of each: half of them for a topic, half of low priority for clients. */
const FLOODERS = 6
const LINES = 600
/** Who gets what is for the topic. */
const SUBSCRIBERS = 60
/** Urgent messages that a run sends, one after the other. */
const URGENT = 150

const BATCH = Array.from({ length: LINES }, (_, n) => JSON.stringify(n % 2
  ? { topic: 'topic:flood', type: 'flood', data: n }
  : { client: `flooded${n % 50}`, type: 'flood', data: n, priority: 'low' })).join('\n')

/** One POST over a connection that stays: status and text. */
function post(agent, url, body) {
  return deadline(new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const sent = http.request(url, { method: 'POST', agent, headers }, response => {
      const parts = []
      response.on('data', part => parts.push(part))
      response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() }))
    })
    sent.on('error', reject)
    sent.end(body)
  }), 'an answer')
}

/** Joins the topic and throws away what comes. */
async function subscribe(weir, name) {
  const socket = net.connect(weir.ports.ws, '127.0.0.1')
  await once(socket, 'connect')
  socket.on('error', () => {})
  socket.write(upgrade(`/mcp/ws/websocket?vsn=2.0.0&client_id=${name}&compression=false`))
  await once(socket, 'data')
  socket.write(frame(TEXT, '["1","1","topic:flood","phx_join",{}]'))
  const [reply] = await once(socket, 'data')
  assert.match(reply.toString('latin1'), /"status":"ok"/)
  socket.resume()
  return socket
}

/** What becomes of urgent messages while batches flood in. */
async function flood(shedding) {
  const config = `[control]\nmax_turn = "5ms"\nadmission = false\nshedding = ${shedding}\n` +
    '[rate_limiting.backend]\nlimit = 0\n[connection]\nqueue_bytes = 67108864\n'
  const weir = await Weir.start({ config, shards: 1 })
  const sockets = []
  for (let n = 0; n < SUBSCRIBERS; n += 1) sockets.push(await subscribe(weir, `subscriber${n}`))
  const agent = new http.Agent({ keepAlive: true, maxSockets: FLOODERS + 1 })
  let over = false
  const reasons = new Set()
  const flooder = async () => {
    while (!over) {
      const { status, text } = await post(agent, weir.url('/mcp/batch'), BATCH)
      assert.equal(status, 200)
      for (const [, reason] of text.matchAll(/"reason":"(\w+)"/g)) reasons.add(reason)
    }
  }
  const flooders = Array.from({ length: FLOODERS }, flooder)
  // The flood has begun to tell.
  const control = async () => (await get(weir.url('/mcp/admin/control', 'admin'))).json
  while ((await control()).load.turns < 1 && (await control()).shedding === 0);
  const took = []
  const urgent = { accepted: 0, refused: 0 }
  const body = JSON.stringify({ type: 'alarm', data: 1, priority: 'urgent' })
  let load = 0
  for (let n = 0; n < URGENT; n += 1) {
    const start = process.hrtime.bigint()
    const { status } = await post(agent, weir.url('/mcp/clients/watch/messages'), body)
    took.push(Number(process.hrtime.bigint() - start) / 1e6)
    urgent[status === 202 ? 'accepted' : 'refused'] += 1
    if (n % 15 === 0) load = Math.max(load, (await control()).load.turns)
  }
  over = true
  await Promise.all(flooders)
  const { control: counted, appended } = (await get(weir.url('/mcp/stats', 'admin'))).json
  took.sort((a, b) => a - b)
  const at = share => took[Math.floor(took.length * share)].toFixed(1)
  console.log(`shedding ${shedding}: urgent p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, load of turns up to ${load.toFixed(1)}, ` +
    `${appended} taken, shed ${counted.shed_high} high, ${counted.shed_normal} normal, ${counted.shed_low} low`)
  sockets.forEach(socket => socket.destroy())
  return { weir, agent, urgent, counted, reasons, load }
}

describe('a flood', () => {
  it('is shed by priority, urgent never, and that ends when it is over', async () => {
    const { weir, agent, urgent, counted, reasons } = await flood(true)
    assert.deepEqual(urgent, { accepted: URGENT, refused: 0 })
    assert.ok(counted.shed_low > 0 && counted.shed_low >= counted.shed_normal, 'the least urgent first')
    assert.deepEqual([...reasons], ['load_shed'], 'each refusal says why')
    for (;;) {
      const { status, json, headers } = await send(weir, 'late', { type: 'a', data: 1, priority: 'low' })
      if (status === 202) break
      assert.deepEqual([status, json.error, json.reason], [503, 'unavailable', 'load_shed'])
      assert.ok(json.retry_after > 0 && Number(headers['retry-after']) > 0)
    }
    agent.destroy()
    await weir.close()
  })

  it('is all taken without shedding, however long turns take', async () => {
    const { weir, agent, counted, reasons, load } = await flood(false)
    assert.deepEqual([counted.shed_low, counted.shed_normal, counted.shed_high, reasons.size], [0, 0, 0, 0])
    assert.ok(load > 1, `turns took ${load} times as long as they may`)
    agent.destroy()
    await weir.close()
  })
})
