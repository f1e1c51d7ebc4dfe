// The bus: what happens and what hurts reaches who watches, on the admin port, in a file and over HTTP.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { after, before, describe, it } from 'node:test'

import { record } from '../lib/audit.js'
import { Bus, Receiver, signature } from '../lib/bus.js'
import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, source } from '../lib/events.js'
import { get, request } from '../lib/http.js'
import { Weir } from '../lib/weir.js'
import { Client, failed, worked } from '../upstreams/client.js'
import { Server, well } from '../upstreams/server.js'

const SECRET = 'a secret of the suites: 32 bytes'

describe('the bus', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: '[vsm]\nsink = "events.ndjson"\n' }) })
  after(() => weir.close())

  it('tells who comes, who goes and which transport a client takes', async () => {
    const bus = await Bus.open(weir, 'transport')
    assert.deepEqual([bus.status, bus.type], [200, 'text/event-stream'])
    const es = source(weir.url('/mcp/sse?client_id=u1'))
    await event(es, 'connected')
    const come = await bus.said('connections', ({ data }) => data.http_sse.opened === 1)
    assert.deepEqual([come.system, come.name], ['transport', 'connections'])
    assert.match(come.source, /^shard [01]$/)
    assert.ok(Math.abs(Date.parse(come.timestamp) - Date.now()) < 60_000)
    const socket = phoenix(weir, { client_id: 'u1' })
    await join(socket, 'mcp:gateway')
    const { data } = await bus.said('transport_switched')
    assert.deepEqual(data, { client: 'u1', from: 'http_sse', to: 'websocket', reason: 'connected' })
    es.close()
    const gone = await bus.said('connections', item => item.data.http_sse.closed === 1)
    assert.equal(gone.data.http_sse.open, 0)
    await disconnect(socket)
    bus.close()
  })

  it('tells what is refused, by what refuses it', async () => {
    const bus = await Bus.open(weir, 's5_policy')
    const socket = phoenix(weir, { client_id: 'mallory' })
    const { channel } = await join(socket, 'mcp:gateway')
    assert.equal((await push(channel, 'chat', { text: '<script>' })).status, 'error')
    const { data, system } = await bus.said('refused', item => item.data.forbidden === 1)
    assert.deepEqual([system, data.limited], ['s5_policy', 0])
    assert.deepEqual(bus.inbox.items.filter(item => item.system !== 's5_policy'), [])
    await disconnect(socket)
    bus.close()
  })

  it('is a file, too, if one is named', async () => {
    const bus = await Bus.open(weir)
    const es = source(weir.url('/mcp/sse?client_id=filed'))
    await event(es, 'connected')
    const { arrived, name, ...said } = await bus.said('connections')
    es.close()
    const written = await record(weir, name, line => line.timestamp === said.timestamp, 'events.ndjson')
    assert.deepEqual(written, said)
    bus.close()
  })

  it('has the topics it has', async () => {
    const { status, json } = await get(weir.url('/mcp/admin/events?topics=s6', 'admin'))
    assert.deepEqual([status, json.error], [400, 'invalid_message'])
    assert.equal((await request('DELETE', weir.url('/mcp/admin/events', 'admin'))).status, 405)
  })
})

describe('switched off', () => {
  it('shards say nothing', async () => {
    const weir = await Weir.start({ config: '[vsm]\nevents = false\n' })
    const bus = await Bus.open(weir)
    const es = source(weir.url('/mcp/sse?client_id=u1'))
    await event(es, 'connected')
    // Letters keep their order: what the shard would have said came before its figures.
    assert.equal((await get(weir.url('/mcp/stats', 'admin'))).json.http_sse.opened, 1)
    await get(weir.url('/ready', 'admin'))
    assert.deepEqual(bus.inbox.items, [])
    es.close()
    bus.close()
    await weir.close()
  })
})

describe('a signal', () => {
  const BOUNDS = 'timeout = "2s"\ncircuit_breaker = { minimum = 2, timeout = "100ms", probes = 1 }'
  let server, receiver, weir, deaf

  before(async () => {
    server = await Server.start(well)
    receiver = await Receiver.start()
    const seen = new Map() // how often each was refused
    deaf = await Receiver.start(({ headers }, response) => {
      const id = headers['x-weir-delivery']
      seen.set(id, (seen.get(id) ?? 0) + 1)
      response.writeHead(seen.get(id) > 2 ? 200 : 503).end()
    })
    const hook = (name, url, topics) =>
      `[[webhook]]\nname = "${name}"\nurl = "${url}"\ntopics = ${JSON.stringify(topics)}\nsecret = "${SECRET}"\n`
    const upstream = `[[upstream]]\nname = "tools"\nurl = "${server.url}"\n${BOUNDS}\n`
    const hooks = hook('ops', receiver.url, ['algedonic', 's3_control']) + hook('deaf', deaf.url, ['*'])
    weir = await Weir.start({ shards: 1, config: `[mcp]\nprefix = "always"\n${upstream}${hooks}` })
  })
  after(async () => {
    await weir.close()
    await server.close()
    receiver.close()
    deaf.close()
  })

  it('reaches a subscriber and a webhook, signed, and its end says how long it was', async () => {
    const bus = await Bus.open(weir, 'algedonic_channel')
    const client = await Client.open(weir)
    assert.equal(worked(await client.work('tools', 'one')), 'worked on one')
    // Every core is busy with something else, for 10 s at most.
    const busy = 'for (const end = Date.now() + 10_000; Date.now() < end;);'
    const burners = Array.from({ length: availableParallelism() }, () => spawn(process.execPath, ['-e', busy]))
    await server.kill()
    while (bus.inbox.items.length === 0) failed(await client.work('tools', 'two'))

    const pain = await bus.said('pain')
    const { severity, source: from, message, suggested_action, context } = pain.data
    assert.deepEqual([pain.system, pain.data.signal_type, severity, from], ['algedonic', 'pain', 'high', 'shard 0'])
    assert.deepEqual(context, { cause: 'breaker', name: 'tools' })
    assert.match(message, /breaker of tools is open/)
    assert.ok(suggested_action.length > 0)

    const posted = await receiver.told('pain')
    for (const burner of burners) burner.kill('SIGKILL')
    assert.deepEqual(posted.json.data, pain.data)
    assert.equal(posted.headers['x-weir-signature'], signature(SECRET, posted))
    assert.ok(Math.abs(Number(posted.headers['x-weir-timestamp']) - Date.now() / 1000) < 60)
    console.log(`after the cause, every core busy: subscriber ${pain.arrived - Date.parse(pain.timestamp)} ms, webhook ` +
      `${posted.arrived - Date.parse(pain.timestamp)} ms`)

    await server.listen()
    assert.equal(worked(await client.workAgain('tools', 'three')), 'worked on three')
    const { data } = await bus.said('pleasure')
    assert.ok(data.recovery_time_ms > 0)
    assert.deepEqual(data.context, context)
    assert.equal((await receiver.told('pleasure')).json.data.recovery_time_ms, data.recovery_time_ms)
    const phases = receiver.inbox.items.map(({ json }) => json.event)
    assert.deepEqual([phases[0], phases.at(-1)], ['breaker_opened', 'breaker_closed'])
    assert.ok(phases.includes('breaker_half_open'))
    await client.close()
    bus.close()
  })

  it('is sent again to who does not take it, under the same name', async () => {
    const first = await deaf.told('pain')
    const again = await deaf.told('pain')
    assert.equal(again.headers['x-weir-delivery'], first.headers['x-weir-delivery'])
    assert.equal(again.body, first.body)
    const taken = await deaf.told('pleasure')
    assert.notEqual(taken.headers['x-weir-delivery'], first.headers['x-weir-delivery'])
    const { json } = await get(weir.url('/mcp/admin/webhooks', 'admin'))
    const { signals } = json.webhooks.find(({ name }) => name === 'deaf')
    assert.deepEqual([signals.delivered, signals.lost, signals.dropped], [1, 0, 0])
    assert.ok(signals.retried >= 2)
  })
})
