// The operator is told before something runs out: alerts, forecasts, and neither with alerts off.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { source } from '../lib/events.js'
import { get } from '../lib/http.js'
import { Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

/** Connections that a shard serves whose table has 128 places: 64 are kept to say no with. */
const SERVED = 64

/** Without admission, which would refuse guests before. */
const CONFIG = '[server]\nconnections_per_shard = 128\n[control]\nadmission = false\n'

/** What intelligence says, as it says it. */
function intelligence(weir) {
  return source(weir.url('/mcp/admin/events?topics=s4_intelligence', 'admin'), {}, ['alert', 'forecast', 'gateway_performance'])
}

/** The next finding about connections. */
async function finding(bus, name, state, ms) {
  const about = item => item.name === name && item.data.data.metric === 'connections' && item.data.data.state === state
  const { data: { system, data } } = await bus.inbox.take(`${name} ${state}`, about, ms)
  assert.equal(system, 's4_intelligence')
  return data
}

/** Whether one more client is served. */
async function stream(weir, client) {
  const tcp = await Tcp.open(weir)
  tcp.write(`GET /mcp/sse?client_id=${client} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  const text = await tcp.until('\r\n\r\n')
  return { tcp, status: Number(text.split(' ')[1]) }
}

async function streams(weir, from, to) {
  const all = []
  for (let n = from; n < to; n++) {
    const { tcp, status } = await stream(weir, `c${n}`)
    assert.equal(status, 200, `stream ${n}`)
    all.push(tcp)
  }
  return all
}

/** One more stream with each second of the gateway's, whatever that says, until one is refused: those that were served. */
async function ramp(weir, bus, from) {
  const open = await streams(weir, 0, from)
  for (;;) {
    await bus.inbox.take('a second', ({ name }) => name === 'gateway_performance')
    const { tcp, status } = await stream(weir, `c${open.length}`)
    if (status === 503) return open
    open.push(tcp)
  }
}

/** Whether it has said so by now. */
const alerted = bus => bus.inbox.items.some(({ name, data: { data } }) => name === 'alert' && data.metric === 'connections')

describe('alerts', () => {
  it('are raised before connections run out, and cleared when there is room again', async () => {
    const weir = await Weir.start({ shards: 1, config: CONFIG })
    const bus = intelligence(weir)
    // The rise does not wait for the alert: whoever reads it has seconds left to do something.
    const open = await ramp(weir, bus, SERVED - 12)
    assert.equal(open.length, SERVED)
    assert.ok(alerted(bus), 'at the first refusal it has been said')
    const raised = await finding(bus, 'alert', 'raised')
    assert.equal(raised.threshold, 90)
    assert.ok(raised.value >= 90 && raised.value < 100, `${raised.value}`)
    assert.match(raised.suggested_action, /connections_per_shard/)

    const { json: { active } } = await get(weir.url('/mcp/admin/intelligence', 'admin'))
    assert.deepEqual(active.filter(({ metric }) => metric === 'connections').map(({ kind }) => kind), ['alert'])
    const { json: { alerts } } = await get(weir.url('/mcp/stats', 'admin'))
    assert.equal(alerts.length, active.length)
    assert.match(weir.output, /connections: 9\d % in use/)

    for (const tcp of open) tcp.socket.destroy()
    const cleared = await finding(bus, 'alert', 'cleared', 60_000)
    assert.ok(cleared.lasted_ms > 0)
    bus.close()
    await weir.close()
  })

  it('are not raised where they are off, and the limit is reached unannounced', async () => {
    const weir = await Weir.start({ shards: 1, config: `${CONFIG}[alerts]\nenabled = false\n` })
    const bus = intelligence(weir)
    const open = await ramp(weir, bus, SERVED - 12)
    assert.equal(open.length, SERVED)
    assert.ok(!alerted(bus), 'at the first refusal nothing has been said')
    // Each second it says how it performs: three such seconds would have been enough for an alert.
    const full = item => item.name === 'gateway_performance' && item.data.data.active_connections >= SERVED
    await bus.inbox.takeMany(3, 'a second at the limit', full)
    assert.ok(!bus.inbox.items.some(({ name }) => name === 'alert'))
    const { json: { active, metrics } } = await get(weir.url('/mcp/admin/intelligence', 'admin'))
    assert.deepEqual(active, [])
    assert.ok(metrics.find(({ metric }) => metric === 'connections').now >= 100, 'it knows')
    for (const tcp of open) tcp.socket.destroy()
    bus.close()
    await weir.close()
  })

  it('come after a forecast where connections rise steadily', { skip: process.env.LONG !== '1' && 'long' }, async () => {
    const weir = await Weir.start({ shards: 1, config: CONFIG })
    const bus = intelligence(weir)
    const seconds = intelligence(weir)
    const rise = ramp(weir, seconds, 0)
    const forecast = await finding(bus, 'forecast', 'raised', 60_000)
    assert.ok(forecast.value < 90, `${forecast.value}`)
    assert.ok(forecast.limit_in_s > 0 && forecast.limit_in_s < 60, `${forecast.limit_in_s}`)
    assert.match(forecast.message, /connections: the limit is reached in \d+ s/)
    const open = await rise
    assert.ok(alerted(bus), 'at the first refusal it has been said')
    assert.ok((await finding(bus, 'alert', 'raised')).value >= 90)
    for (const tcp of open) tcp.socket.destroy()
    for (const stream of [bus, seconds]) stream.close()
    await weir.close()
  })
})
