// What an operator does while the gateway runs: switches features, looks where CPU time goes, lets others probe it.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { Bus } from '../lib/bus.js'
import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, source } from '../lib/events.js'
import { get, request, send } from '../lib/http.js'
import { run, Scrape } from '../lib/metrics.js'
import { Tcp } from '../lib/tcp.js'
import { BINARY, Weir } from '../lib/weir.js'

const FEATURES = '/mcp/admin/features'

const features = async weir =>
  Object.fromEntries((await get(weir.url(FEATURES, 'admin'))).json.features.map(feature => [feature.name, feature]))

const put = (weir, order) => request('PUT', weir.url(FEATURES, 'admin'), { body: JSON.stringify(order) })

/** What the log has said so far that is for those who look for a fault. */
const debugLines = weir => weir.output.split('\n').filter(line => line.includes('weir::debug'))

/** Waits until the log has such a line. */
async function logged(weir, what, wanted) {
  for (;;) {
    const line = debugLines(weir).find(wanted)
    if (line) return line
    assert.ok((await get(weir.url('/health', 'admin'))).status === 200, what)
  }
}

describe('features', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: '[intelligence]\ntimed_turns = 1\n' }) })
  after(() => weir.close())

  it('are shown with what they cost', async () => {
    for (let n = 0; n < 20; n++) await send(weir, `u${n}`, { type: 'chat', data: n })
    const shown = await features(weir)
    assert.deepEqual(
      Object.values(shown).filter(({ on }) => on).map(({ name }) => name),
      ['events', 'compression', 'timing', 'intelligence', 'alerts'],
    )
    for (const name of ['events', 'timing']) {
      const { pieces, ns_per_piece: each, share } = shown[name].cost
      assert.ok(pieces > 0 && each >= 0 && share >= 0 && share < 1, `${name} ${JSON.stringify(shown[name].cost)}`)
    }
    assert.ok(Object.values(shown).every(({ what, counted, available }) => what && counted && available))
  })

  it('are switched one by one, and wrong orders change nothing', async () => {
    const { status, json } = await put(weir, { events: false, alerts: false })
    assert.equal(status, 200)
    const off = json.features.filter(({ on }) => !on).map(({ name }) => name)
    assert.deepEqual(off.slice(0, 2), ['events', 'alerts'])
    const scrape = await Scrape.of(weir)
    assert.deepEqual([scrape.sum('weir_feature_enabled', { feature: 'events' }), scrape.sum('weir_feature_enabled', { feature: 'timing' })], [0, 1])
    for (const [order, why] of [[{ limits: false }, 'events, compression'], [{}, 'names and states'], [[], ''], [{ events: 'no' }, '']]) {
      const wrong = await put(weir, order)
      assert.equal(wrong.status, 400)
      assert.ok(wrong.json.message.includes(why), wrong.json.message)
    }
    assert.equal((await features(weir)).events.on, false)
    assert.equal((await put(weir, { events: true, alerts: true })).status, 200)
  })

  it('that are off do nothing: no event comes while events are off', async () => {
    const bus = await Bus.open(weir, 'transport')
    await put(weir, { events: false })
    const off = Date.now()
    const quiet = source(weir.url('/mcp/sse?client_id=quiet'))
    await event(quiet, 'connected')
    const on = Date.now()
    await put(weir, { events: true })
    const told = source(weir.url('/mcp/sse?client_id=told'))
    await event(told, 'connected')
    // Who came in the pause is told after it, with who came then or before.
    for (let opened = 0; opened < 2;) {
      const { timestamp, data } = await bus.said('connections')
      const at = Date.parse(timestamp)
      assert.ok(at <= off || at >= on, `told in the pause from ${off} to ${on}, at ${at}`)
      if (at >= on) opened += data.http_sse.opened
    }
    for (const es of [quiet, told]) es.close()
    bus.close()
  })

  it('compression ends and begins on sockets that are open', async () => {
    const socket = phoenix(weir, { client_id: 'packed' })
    const { events } = await join(socket, 'mcp:gateway')
    const data = 'x'.repeat(20_000)
    const sent = async () => {
      const before = await Scrape.of(weir)
      await send(weir, 'packed', { type: 'chat', data })
      await events.take('the message', ({ event }) => event === 'message')
      return (await Scrape.of(weir)).since(before, 'weir_bytes_sent_total', { transport: 'websocket' })
    }
    assert.ok(await sent() < 5_000)
    await put(weir, { compression: false })
    assert.ok(await sent() > 20_000)
    await put(weir, { compression: true })
    assert.ok(await sent() < 5_000)
    await disconnect(socket)
  })

  it('debug.* put into the log who comes, what is said and where it goes, and no payload', async () => {
    await put(weir, { 'debug.log_connections': true, 'debug.log_messages': true, 'debug.trace_routing': true })
    const socket = phoenix(weir, { client_id: 'watched' })
    const { channel } = await join(socket, 'mcp:gateway')
    await push(channel, 'message', { type: 'order', data: 'a secret of mine' })
    await logged(weir, 'the connection', line => line.includes('connection_opened') && line.includes('websocket'))
    await logged(weir, 'the push', line => line.includes('client:watched') && line.includes('received'))
    await disconnect(socket)
    await logged(weir, 'its end', line => line.includes('connection_closed') && line.includes('watched'))
    assert.ok(!weir.output.includes('a secret of mine'))
    await put(weir, { 'debug.log_connections': false, 'debug.log_messages': false, 'debug.trace_routing': false })
    const before = debugLines(weir).length
    const es = source(weir.url('/mcp/sse?client_id=unseen'))
    await event(es, 'connected')
    es.close()
    assert.deepEqual(debugLines(weir).slice(before), [])
  })

  it('debug.* are all on from the start where GATEWAY_DEBUG says so', async () => {
    const debugged = await Weir.start({ inside: ['env', 'GATEWAY_DEBUG=true'] })
    const es = source(debugged.url('/mcp/sse?client_id=watched'))
    await event(es, 'connected')
    await logged(debugged, 'the connection', line => line.includes('connection_opened') && line.includes('watched'))
    es.close()
    await debugged.close()
  })

  it('are shown and switched from a terminal', async () => {
    const ask = (...words) => run(BINARY, ['features', ...words, '--url', weir.url('', 'admin')])
    const list = await ask()
    assert.equal(list.code, 0, list.output)
    assert.match(list.output, /^feature +on .*\nevents +true /)
    assert.match((await ask('timing', 'off')).output, /^timing +false /m)
    assert.equal((await features(weir)).timing.on, false)
    assert.match((await ask('timing', 'on')).output, /^timing +true /m)
    const wrong = await ask('limits', 'off')
    assert.deepEqual([wrong.code, wrong.output.includes('none of what can be switched')], [1, true])
    assert.equal((await ask('timing', 'maybe')).code, 2)
    assert.equal((await ask('timing')).code, 2)
  })

  it('cannot be switched on where the configuration leaves nothing of them', async () => {
    const bare = await Weir.start({ config: '[intelligence]\ntimed_turns = 0\n[websocket]\ncompression = false\n' })
    const shown = await features(bare)
    assert.deepEqual([shown.timing.available, shown.compression.available, shown.events.available], [false, false, true])
    const { status, json } = await put(bare, { timing: true })
    assert.deepEqual([status, json.message.includes('off in the configuration')], [400, true])
    await bare.close()
  })
})

describe('turns', () => {
  it('are in /mcp/stats, core by core', async () => {
    const weir = await Weir.start()
    const { json: { shards, turn_times: all } } = await get(weir.url('/mcp/stats', 'admin'))
    assert.equal(shards.length, 2)
    for (const { turn_times: { count, sum_seconds: sum, p50_ms: p50, p99_ms: p99, max_ms: max, buckets } } of shards) {
      assert.ok(count > 0 && sum > 0 && p50 <= p99 && p99 <= max)
      assert.ok(buckets.at(-1)[1] <= count && buckets.every(([bound, seen]) => bound > 0 && seen > 0))
    }
    assert.equal(all.count, shards.reduce((sum, { turn_times: { count } }) => sum + count, 0))
    await weir.close()
  })
})

describe('a profile', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('is a flame graph of what runs, while clients notice nothing', { timeout: 120_000 }, async () => {
    const es = source(weir.url('/mcp/sse?client_id=busy'))
    await event(es, 'connected')
    let profiled = false
    const profile = get(weir.url('/debug/pprof/profile?seconds=2', 'admin')).finally(() => { profiled = true })
    let sent = 0
    while (!profiled) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => send(weir, `u${sent % 7}`, { type: 'chat', data: 'x'.repeat(2_000) })))
      assert.deepEqual(answers.filter(({ status }) => status !== 202 && status !== 429), [])
      sent += answers.length
    }
    const { status, headers, body } = await profile
    assert.deepEqual([status, headers['content-type']], [200, 'image/svg+xml'])
    assert.match(headers['content-security-policy'], /default-src 'none'/)
    assert.match(body, /<svg /)
    assert.match(body, /weir-[01]/, 'the data threads')
    assert.match(body, /weir_shard::|Shard>?::turn/, 'functions by their names')
    assert.ok(sent > 0)
    await send(weir, 'busy', { type: 'chat', data: 1 })
    await es.inbox.take('the message', item => item.name === 'message')
    es.close()
  })

  it('is taken one at a time, and for a minute at most', async () => {
    const path = '/debug/pprof/profile?seconds=60'
    const first = await Tcp.open(weir, 'admin')
    first.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    let second
    do second = await get(weir.url('/debug/pprof/profile?seconds=1', 'admin')); while (second.status === 200)
    assert.deepEqual([second.status, second.json.error, second.json.reason], [409, 'conflict', 'in_progress'])
    first.destroy()
    let again
    do again = await get(weir.url('/debug/pprof/profile?seconds=1', 'admin')); while (again.status === 409)
    assert.ok([200, 503].includes(again.status), 'who hangs up ends it')
    for (const seconds of ['0', '61', 'x', '-1']) {
      assert.equal((await get(weir.url(`/debug/pprof/profile?seconds=${seconds}`, 'admin'))).status, 400, seconds)
    }
  })
})

describe('with authentication', () => {
  const config = '[auth.jwt]\nsecret = "a secret of at least thirty-two bytes"\n[admin]\ntoken = "operators only here"\n'
    + 'probe_bind = "127.0.0.1:0"\n'
  let weir
  before(async () => {
    weir = await Weir.start({ config })
    weir.ports.probe = Number(/listening on \S+:(\d+) \(probe\)/.exec(weir.output)[1])
  })
  after(() => weir.close())

  it('metrics are figures, profiles and features are for operators', async () => {
    const status = async (path, headers = {}) => (await get(weir.url(path, 'admin'), { headers })).status
    const operator = { authorization: 'Bearer operators only here' }
    assert.equal(await status('/metrics'), 200, 'from this machine, as /mcp/stats')
    assert.deepEqual([await status(FEATURES), await status(FEATURES, operator)], [401, 200])
    assert.deepEqual([await status('/debug/pprof/profile?seconds=x'), await status('/debug/pprof/profile?seconds=x', operator)], [401, 400])
  })

  it('what is for probes is at admin.probe_bind for everybody, by any name, and nothing else', async () => {
    const ask = (path, headers = {}) => get(weir.url(path, 'probe'), { headers })
    const headers = { host: 'weir.monitoring.svc:9100' }
    for (const path of ['/health', '/ready', '/metrics']) assert.equal((await ask(path, headers)).status, 200, path)
    for (const path of ['/', '/mcp/stats', FEATURES, '/debug/pprof/profile', '/mcp/admin/dlq']) {
      assert.equal((await ask(path)).status, 404, path)
    }
    assert.equal((await request('POST', weir.url('/health', 'probe'))).status, 405)
    assert.equal((await ask('/metrics', { origin: 'https://evil.example' })).status, 403)
    assert.ok((await Scrape.of(weir, 'probe')).sum('weir_build_info') === 1)
  })

  it('which must be an address with a port', async () => {
    const wrong = Weir.launch({ config: '[admin]\nprobe_bind = "9100"\n' })
    const { code } = await wrong.exited
    assert.equal(code, 2)
    assert.match(wrong.output, /probe_bind.*an IP address with a port, such as "0.0.0.0:9100"/s)
    wrong.expectExit = true
    await wrong.close()
  })
})
