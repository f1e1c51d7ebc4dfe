// The memory budget: the gateway lives within it by letting the oldest messages of the largest streams go, which is
// told; it takes nobody new meanwhile, and says so once.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { describe, it } from 'node:test'

import { event, source } from '../lib/events.js'
import { get } from '../lib/http.js'
import { deadline } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'

const BUDGET = 64 << 20

/** Bytes of the process in memory. */
function resident(weir) {
  return Number(readFileSync(`/proc/${weir.pid}/statm`, 'utf8').split(' ')[1]) * 4096
}

describe('a memory budget', () => {
  it('is kept by dropping the oldest of the largest streams, with a gap', async () => {
    const weir = await Weir.start({ config: `[memory]\nbudget = ${BUDGET}\n`, shards: 2 })
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 })
    const data = JSON.stringify({ type: 'big', data: 'x'.repeat(60_000) })
    const publish = client => deadline(new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': data.length }
      const url = weir.url(`/mcp/clients/${client}/messages`)
      const sent = http.request(url, { method: 'POST', agent, headers }, response => {
        let text = ''
        response.on('data', part => { text += part })
        response.on('end', () => resolve({ status: response.statusCode, json: JSON.parse(text) }))
      })
      sent.on('error', reject)
      sent.end(data)
    }), 'an answer')

    const first = await publish('client0')
    assert.equal(first.status, 202)
    let peak = 0
    // Some 200 MiB, on connections that are open already; new ones may be refused for a while.
    for (let n = 0; n < 3_600; n += 4) {
      const answers = await Promise.all([0, 1, 2, 3].map(k => publish(`client${(n + k) % 500}`).catch(() => null)))
      for (const answer of answers.filter(Boolean)) assert.ok([202, 503].includes(answer.status), answer.status)
      peak = Math.max(peak, resident(weir))
    }
    assert.ok(peak < BUDGET * 2, `${peak >> 20} MiB were in use`)
    const stats = async () => (await get(weir.url('/mcp/stats', 'admin'))).json
    assert.ok((await stats()).squeezed_bytes > 0)
    while (!/within memory\.budget again/.test(weir.output)) await stats()

    const es = source(weir.url(`/mcp/sse?client_id=client0&last_event_id=${first.json.epoch}-0`))
    const { data: connected } = await event(es, 'connected')
    assert.equal(connected.recovered, false)
    assert.equal((await event(es, 'gap')).data.reason, 'evicted')
    es.close()
    agent.destroy()
    assert.equal(weir.output.match(/more memory is in use than memory\.budget/g).length, 1, 'said once')
    await weir.close()
  })
})
