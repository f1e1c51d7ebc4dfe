// Records what intelligence sees of a load that rises and falls as people do, with clients that come and go: the
// recording by which false alarms are counted. By hand: node record.js MINUTES [STOP_FILE] > recorded.csv

import { existsSync } from 'node:fs'
import http from 'node:http'

import { source } from '../lib/events.js'
import { get } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const METRICS = [
  'cpu', 'active_connections', 'message_rate', 'request_rate', 'byte_rate', 'latency_p99', 'turn_p99', 'error_rate', 'refusal_rate',
]

const CLIENTS = 60

const [minutes, stopFile] = [Number(process.argv[2] ?? 10), process.argv[3]]
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
const weir = await Weir.start({ config: '[alerts]\nenabled = false\n' })
const end = Date.now() + minutes * 60_000

/** A time that passes with the same chance each moment, milliseconds. */
const chance = mean => -Math.log(1 - Math.random()) * mean
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))
const over = () => Date.now() > end || (stopFile !== undefined && existsSync(stopFile))

/** Somebody who comes, stays for a while, and comes again. */
async function client(name) {
  while (!over()) {
    const es = source(weir.url(`/mcp/sse?client_id=${name}`))
    await pause(chance(90_000))
    es.close()
    await pause(chance(10_000))
  }
}

/** A backend: messages as a Poisson stream whose rate rises and falls by two thirds in ten minutes. */
async function backend() {
  const start = Date.now()
  while (!over()) {
    const rate = 60 + 40 * Math.sin(((Date.now() - start) / 600_000) * 2 * Math.PI)
    publish(`c${Math.floor(Math.random() * CLIENTS)}`, 'x'.repeat(Math.random() < 0.05 ? 8_000 : 120))
    await pause(chance(1_000 / rate))
  }
}

function publish(name, data) {
  const request = http.request(weir.url(`/mcp/clients/${name}/messages`), { method: 'POST', agent }, response => response.resume())
  request.on('error', () => {})
  request.end(JSON.stringify({ type: 'chat', data }))
}

Array.from({ length: CLIENTS }, (_, n) => client(`c${n}`))
await backend()
const columns = []
for (const metric of METRICS) {
  const { json } = await get(weir.url(`/mcp/admin/intelligence/${metric}`, 'admin'))
  columns.push(json.values)
}
const seconds = Math.min(...columns.map(values => values.length))
console.log(METRICS.join(','))
for (let second = 0; second < seconds; second++) {
  console.log(columns.map(values => (values[second] === null ? '' : Number(values[second].toPrecision(5)))).join(','))
}
await weir.close()
process.exit()
