// Counters move by what was sent: real clients of every kind, and what /metrics says before and after.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { Receiver } from '../lib/bus.js'
import { Authority, trust } from '../lib/certificates.js'
import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, message, source } from '../lib/events.js'
import { get, post, request, send } from '../lib/http.js'
import { Scrape, until } from '../lib/metrics.js'
import { plain, tell } from '../lib/plain.js'
import { stream, Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'
import { Client, failed, worked } from '../upstreams/client.js'
import { Server, well } from '../upstreams/server.js'

/** What has moved on any gateway of these tests. */
const moved = new Set()

/** Remembers what a gateway has counted, then ends it. */
async function done(weir) {
  for (const name of (await Scrape.of(weir)).moved()) moved.add(name)
  await weir.close()
}

describe('messages of real-time clients', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: '[outbox]\nmax_messages = 3\n' }) })
  after(() => done(weir))

  it('are counted by what they are, what carries them and how long they take', async () => {
    const before = await Scrape.of(weir)
    const es = source(weir.url('/mcp/sse?client_id=reader'))
    await event(es, 'connected')
    for (let n = 0; n < 5; n++) await send(weir, 'reader', { type: 'chat', data: n })
    for (let n = 0; n < 5; n++) await message(es, 'chat')
    const now = await Scrape.of(weir)
    assert.equal(now.since(before, 'weir_messages_received_total', { type: 'publish' }), 5)
    assert.equal(now.since(before, 'weir_messages_sent_total', { type: 'message' }), 5)
    assert.equal(now.since(before, 'weir_transport_messages_sent_total', { transport: 'http_sse' }), 5)
    assert.equal(now.since(before, 'weir_messages_appended_total'), 5)
    assert.equal(now.sum('weir_connections', { transport: 'http_sse' }), 1)
    assert.equal(now.since(before, 'weir_connections_opened_total', { transport: 'http_sse' }), 1)
    const bytes = now.since(before, 'weir_bytes_sent_total', { transport: 'http_sse' })
    assert.ok(bytes > 5 * 100 && bytes < 5_000, `${bytes}`)
    assert.ok(now.since(before, 'weir_bytes_received_total', { transport: 'http' }) > 5 * 100)
    // What came in the second in which the connection began is left out.
    const timed = async () => {
      await send(weir, 'reader', { type: 'chat', data: 6 })
      return (await Scrape.of(weir)).since(before, 'weir_delivery_seconds_sum', { transport: 'http_sse' })
    }
    while (await timed() === 0);
    es.close()
  })

  it('and those of channels by what they ask for', async () => {
    const before = await Scrape.of(weir)
    // Without heartbeats of the sockets, which come after 30 s.
    const [one, other] = ['ann', 'ben'].map(client_id => phoenix(weir, { client_id }, { heartbeatIntervalMs: 3_600_000 }))
    const [ann, ben] = await Promise.all([one, other].map(socket => join(socket, 'topic:news')))
    await join(one, 'mcp:gateway')
    assert.equal((await push(ann.channel, 'said', { text: 'hello' })).status, 'ok')
    await ben.events.take('what ann said', ({ event }) => event === 'said')
    assert.equal((await post(weir.url('/mcp/topics/topic%3Anews/messages'), { type: 'note', data: 1 })).status, 202)
    for (const { events } of [ann, ben]) await events.take('the note', ({ event }) => event === 'message')
    const gateway = one.channels.find(({ topic }) => topic === 'mcp:gateway')
    await push(gateway, 'message', { type: 'order', data: 1 })
    await push(gateway, 'ping', {})
    await push(gateway, 'ack', { sequence: 0 })
    await push(gateway, 'nonsense', { sequence: 0 })
    const now = await Scrape.of(weir)
    const received = type => now.since(before, 'weir_messages_received_total', { type })
    assert.deepEqual(
      ['join', 'event', 'publish', 'push', 'heartbeat', 'acknowledgement'].map(received),
      [3, 1, 1, 2, 1, 1],
    )
    assert.equal(now.since(before, 'weir_messages_sent_total', { type: 'event' }), 3)
    assert.ok(now.since(before, 'weir_messages_sent_total', { type: 'reply' }) >= 9)
    assert.equal(now.since(before, 'weir_transport_messages_received_total', { transport: 'websocket' }), 8)
    assert.ok(now.since(before, 'weir_bytes_received_total', { transport: 'websocket' }) > 0)
    await Promise.all([one, other].map(disconnect))
    const left = await until(weir, 'the end of both', scrape => scrape.sum('weir_connections', { transport: 'websocket' }) === 0)
    assert.ok(left.sum('weir_topics') >= 1)
  })

  it('over LongPoll, too', async () => {
    const before = await Scrape.of(weir)
    const socket = phoenix(weir, { client_id: 'poller' }, { transport: (await import('phoenix')).LongPoll })
    const { events } = await join(socket, 'mcp:gateway')
    await send(weir, 'poller', { type: 'chat', data: 1 })
    await events.take('the message', ({ event }) => event === 'message')
    const now = await Scrape.of(weir)
    assert.equal(now.sum('weir_connections', { transport: 'longpoll' }), 1)
    assert.ok(now.since(before, 'weir_transport_messages_sent_total', { transport: 'longpoll' }) >= 2)
    await disconnect(socket)
  })

  it('that are not delivered are counted by reason', async () => {
    const before = await Scrape.of(weir)
    let epoch
    for (let n = 1; n <= 6; n++) epoch = (await send(weir, 'away', { type: 'chat', data: n })).json.epoch
    const es = source(weir.url(`/mcp/sse?client_id=away&last_event_id=${epoch}-1`))
    assert.deepEqual((await event(es, 'gap')).data, { epoch, from: 2, to: 3, reason: 'evicted' })
    es.close()
    const now = await Scrape.of(weir)
    assert.equal(now.since(before, 'weir_gaps_total', { reason: 'evicted' }), 1)
    assert.equal(now.since(before, 'weir_messages_dropped_total', { reason: 'evicted' }), 2)
  })

  it('that are repeated under their key are not done again', async () => {
    const before = await Scrape.of(weir)
    for (let n = 0; n < 2; n++) await send(weir, 'once', { type: 'chat', data: 1, idempotency_key: 'k1' })
    const now = await Scrape.of(weir)
    assert.equal(now.since(before, 'weir_publish_duplicates_total'), 1)
    assert.equal(now.sum('weir_idempotency_keys'), 1)
  })
})

describe('refusals', () => {
  const config = '[rate_limiting.default]\nlimit = 1\nburst = 2\nper = "1m"\n[security]\nblacklist = ["client:mallory"]\n'
    + '[audit]\nlimit = 1\n'
  let weir
  before(async () => { weir = await Weir.start({ config, shards: 1 }) })
  after(() => done(weir))

  const since = (now, before, error, reason) => now.since(before, 'weir_refusals_total', { error, reason })

  it('are counted by the names that clients were told', async () => {
    const before = await Scrape.of(weir)
    const socket = phoenix(weir, { client_id: 'hasty' })
    const { channel } = await join(socket, 'mcp:gateway')
    const answers = []
    for (let n = 0; n < 4; n++) answers.push((await push(channel, 'message', { type: 'x', data: n })).status)
    assert.deepEqual(answers, ['ok', 'ok', 'error', 'error'])
    assert.equal((await send(weir, 'u1', { data: 1 })).status, 400)
    assert.equal((await get(weir.url('/mcp/nothing'))).status, 404)
    assert.equal((await get(weir.url('/mcp/sse?client_id=mallory'))).status, 403)
    const evil = Array.from({ length: 10 }, () => send(weir, 'u1', { type: 'x', data: '<script>' }))
    assert.deepEqual([...new Set((await Promise.all(evil)).map(({ status }) => status))], [400])
    const now = await Scrape.of(weir)
    assert.equal(since(now, before, 'rate_limit_exceeded', 'client'), 2)
    assert.equal(since(now, before, 'invalid_message', 'missing_fields'), 1)
    assert.equal(since(now, before, 'not_found', 'not_found'), 1)
    assert.equal(since(now, before, 'forbidden', 'blacklisted'), 1)
    assert.equal(since(now, before, 'invalid_message', 'potential_injection'), 10)
    assert.equal(now.since(before, 'weir_denials_total', { policy: 'limit' }), 2)
    assert.equal(now.since(before, 'weir_denials_total', { policy: 'blacklist_or_suspicion' }), 1)
    assert.ok(now.sum('weir_audit_records_total') >= 1 && now.sum('weir_audit_records_dropped_total') >= 1)
    await disconnect(socket)
  })

  it('as are bytes that are no request', async () => {
    const before = await Scrape.of(weir)
    const bad = await Tcp.open(weir)
    bad.write('GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n')
    await bad.end()
    assert.equal(since(await Scrape.of(weir), before, 'invalid_message', 'malformed'), 1)
  })

  it('and those for load, by priority', async () => {
    const before = await Scrape.of(weir)
    const body = JSON.stringify({ shedding: 2, admission: 'hard' })
    await request('PUT', weir.url('/mcp/admin/control', 'admin'), { body })
    const held = await until(weir, 'shedding', scrape => scrape.sum('weir_shedding_level') === 2)
    assert.equal(held.sum('weir_admission_level'), 2)
    await request('PUT', weir.url('/mcp/admin/control', 'admin'), { body: '{"admission":"auto"}' })
    for (const priority of ['low', 'low', 'normal', 'high', 'urgent']) await send(weir, 'u1', { type: 'x', data: 1, priority })
    await request('PUT', weir.url('/mcp/admin/control', 'admin'), { body: '{"admission":"hard"}' })
    const es = source(weir.url('/mcp/sse?client_id=new'))
    await es.responses.take('a refusal').catch(() => {})
    es.close()
    const now = await Scrape.of(weir)
    const shed = priority => now.since(before, 'weir_publishes_shed_total', { priority })
    assert.deepEqual(['low', 'normal', 'high'].map(shed), [2, 1, 0])
    assert.equal(since(now, before, 'unavailable', 'load_shed'), 3)
    assert.ok(now.since(before, 'weir_newcomers_refused_total') >= 1)
  })
})

describe('acknowledgements', () => {
  it('that do not come are counted: redeliveries, dead letters, what is sent again', async () => {
    const config = '[delivery]\nack_timeout = "50ms"\nretry_max = "100ms"\nattempts_max = 3\n[dlq]\nmax_messages = 2\n'
    const weir = await Weir.start({ config, shards: 1 })
    const socket = phoenix(weir, { client_id: 'deaf' })
    const { events } = await join(socket, 'mcp:gateway', { ack: true })
    await send(weir, 'deaf', { type: 'chat', data: 1 })
    await send(weir, 'deaf', { type: 'chat', data: 2 })
    await events.take('the second gap', ({ event, payload }) => event === 'gap' && payload.to === 2)
    const now = await until(weir, 'two dead letters', scrape => scrape.sum('weir_dead_letters_total') === 2)
    assert.deepEqual([now.sum('weir_redeliveries_total'), now.sum('weir_dead_letters_held')], [4, 2])
    assert.equal(now.sum('weir_messages_dropped_total', { reason: 'dead' }), 2)
    assert.ok(now.sum('weir_dead_letters_held_bytes') > 0)
    await send(weir, 'deaf', { type: 'chat', data: 3 })
    await until(weir, 'a message that finds no room', scrape => scrape.sum('weir_dead_letters_refused_total') > 0)
    await post(weir.url('/mcp/admin/dlq/redrive?client=deaf', 'admin'), '')
    assert.equal((await Scrape.of(weir)).sum('weir_dead_letters_redriven_total'), 2)
    await disconnect(socket)
    await done(weir)
  })
})

describe('MCP', () => {
  it('is counted by method, by server and by what pools and breakers do', async () => {
    const server = await Server.start(well)
    const config = `[circuit_breaker]\nminimum = 2\n[[upstream]]\nname = "tools"\nurl = "${server.url}"\npool.size = 1\npool.overflow = 0\n`
      + 'pool.queue = 1\n'
    const weir = await Weir.start({ config, shards: 1 })
    const client = await Client.open(weir)
    for (let n = 0; n < 3; n++) assert.equal(worked(await client.request('tools/call', { name: 'work', arguments: { input: n } })), `worked on ${n}`)
    const now = await Scrape.of(weir)
    assert.equal(now.sum('weir_mcp_requests_total', { method: 'tools/call' }), 3)
    assert.equal(now.sum('weir_mcp_requests_total', { method: 'initialize' }), 1)
    assert.equal(now.sum('weir_mcp_sessions'), 1)
    assert.ok(now.sum('weir_messages_received_total', { type: 'mcp' }) >= 5)
    assert.ok(now.sum('weir_messages_sent_total', { type: 'mcp' }) >= 4)
    assert.ok(now.sum('weir_upstream_request_seconds_count', { upstream: 'tools' }) >= 3)
    assert.ok(now.sum('weir_upstream_requests_total') >= 3)
    assert.ok(now.sum('weir_bytes_sent_total', { transport: 'upstream' }) > 0)
    assert.equal(now.sum('weir_pool_size', { upstream: 'tools' }), 1)
    assert.equal(now.sum('weir_breaker_state', { breaker: 'tools', state: 'closed' }), 1)
    assert.equal(now.sum('weir_breaker_state', { breaker: 'tools' }), 1)

    // One connection, one request that waits for it, and one too many.
    const answers = []
    server.work = (message, response) => answers.push(() => well(message, response))
    const calls = [1, 2, 3].map(input => client.request('tools/call', { name: 'work', arguments: { input } }))
    const busy = await until(weir, 'a full pool', scrape => scrape.sum('weir_pool_exhausted_total') > 0)
    assert.equal(busy.sum('weir_pool_connections', { upstream: 'tools', state: 'in_use' }), 1)
    assert.equal(busy.sum('weir_pool_waiting', { upstream: 'tools' }), 1)
    server.work = well
    await server.calls.take('the calls')
    while (answers.length === 0) await Scrape.of(weir)
    answers.pop()()
    const outcomes = await Promise.all(calls)
    assert.equal(outcomes.filter(({ error }) => error).length, 1)
    assert.ok((await Scrape.of(weir)).sum('weir_pool_wait_seconds_count', { upstream: 'tools' }) >= 1)

    server.work = (message, response) => response.destroy()
    failed(await client.request('tools/call', { name: 'work', arguments: { input: 4 } }))
    await until(weir, 'a failure', scrape => scrape.sum('weir_upstream_failures_total', { upstream: 'tools' }) > 0)
    await server.close()
    const open = async () => {
      await client.request('tools/call', { name: 'work', arguments: { input: 5 } })
      return (await Scrape.of(weir)).sum('weir_breaker_state', { breaker: 'tools', state: 'open' }) === 1
    }
    while (!(await open()));
    const last = await Scrape.of(weir)
    assert.equal(last.sum('weir_breaker_opened_total', { of: 'upstream' }), 1)
    assert.ok(last.sum('weir_refusals_total', { reason: 'breaker_open' }) >= 0)
    await done(weir)
  })
})

describe('what the gateway says of itself', () => {
  it('is counted: the bus, webhooks, rules, letters, turns, the ring, the process', async () => {
    let refusals = 1
    const hook = await Receiver.start((_, response) => response.writeHead(refusals-- > 0 ? 503 : 204).end())
    const rules = '[[rule]]\nname = "no-secrets"\ntypes = ["secret"]\neffect = "deny"\n'
    const config = `[rules]\nfile = "rules.toml"\n[[webhook]]\nname = "ops"\nurl = "${hook.url}"\ntopics = ["transport"]\n`
    const weir = await Weir.start({ config, files: { 'rules.toml': rules } })
    const socket = phoenix(weir, { client_id: 'u1' })
    const { channel } = await join(socket, 'mcp:gateway')
    const other = phoenix(weir, { client_id: 'u2' })
    await join(other, 'mcp:gateway')
    assert.equal((await push(channel, 'message', { type: 'secret', data: 1 })).status, 'error')
    for (let n = 0; n < 4; n++) await send(weir, `u${n}`, { type: 'chat', data: n })
    const now = await until(weir, 'a delivered event', scrape =>
      scrape.sum('weir_webhook_events_total', { webhook: 'ops', outcome: 'delivered' }) > 0)
    assert.ok(now.sum('weir_bus_events_total', { system: 'transport', event: 'connections' }) > 0)
    assert.ok(now.sum('weir_webhook_retries_total', { webhook: 'ops' }) >= 1)
    assert.equal(now.sum('weir_rule_decisions_total', { rule: 'no-secrets', decision: 'refused' }), 1)
    assert.equal(now.sum('weir_refusals_total', { error: 'policy_violation', reason: 'rule' }), 1)
    for (const shard of ['0', '1']) {
      assert.equal(now.sum('weir_shard_up', { shard }), 1)
      const counters = ['weir_letters_received_total', 'weir_letters_sent_total', 'weir_ring_enters_total',
        'weir_ring_submissions_total', 'weir_ring_completions_total', 'weir_turn_seconds_count']
      for (const name of counters) assert.ok(now.sum(name, { shard }) > 0, `${name} of shard ${shard}`)
    }
    assert.equal(now.sum('weir_sessions'), 4)
    assert.ok(now.sum('process_cpu_seconds_total') > 0 && now.sum('process_resident_memory_bytes') > 1e6)
    assert.ok(Math.abs(now.sum('process_start_time_seconds') - Date.now() / 1000) < 120)
    assert.ok(now.sum('process_open_fds') > 5 && now.sum('process_max_fds') >= now.sum('process_open_fds'))
    await Promise.all([socket, other].map(disconnect))
    await done(weir)
    hook.close()
  })

  it('also of TLS, the log on the disk and breakers of transports', async () => {
    const authority = new Authority()
    trust(authority)
    const folder = mkdtempSync(path(tmpdir(), 'weir-data-'))
    const config = '[circuit_breaker]\ntimeout = "1h"\n[control]\nbreaker_minimum = 5\n[intelligence]\ntimed_turns = 1\n'
    const weir = await Weir.start({ tls: authority.issue(), config, shards: 1, flags: ['--data-dir', folder] })
    assert.equal((await send(weir, 'kept', { type: 'chat', data: 1 })).status, 202)
    const bare = await Tcp.open(weir)
    bare.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await bare.end()
    const now = await until(weir, 'the log', scrape => scrape.sum('weir_log_append_seconds_count') > 0)
    assert.ok(now.sum('weir_log_appends_total') > 0 && now.sum('weir_log_bytes') > 0)
    assert.ok(now.sum('weir_tls_handshakes_total', { kind: 'full' }) > 0)
    assert.equal(now.sum('weir_tls_plaintext_total'), 1)
    assert.ok(now.sum('weir_timed_turns_total') > 0 && now.sum('weir_feature_cost_ratio', { feature: 'tls' }) > 0)
    await done(weir)
    rmSync(folder, { recursive: true, force: true })
  })
})

describe('connections', () => {
  it('that break, that cannot keep up and that are superseded are counted', async () => {
    const config = '[connection]\nqueue_bytes = 200000\n[message]\nmax_size = 100000\n[circuit_breaker]\ntimeout = "1h"\n'
      + '[control]\nbreaker_minimum = 5\n'
    const weir = await Weir.start({ config, shards: 1 })
    const es = source(weir.url('/mcp/sse?client_id=moves'))
    const { data: { recovery_token: token, epoch } } = await event(es, 'connected')
    const socket = phoenix(weir, { client_id: 'moves' })
    await join(socket, 'mcp:gateway', { resume: { epoch, sequence: 0, token } })
    await until(weir, 'the end of the first', scrape => scrape.sum('weir_connections_fenced_total') >= 1)
    es.close()
    await disconnect(socket)

    const deaf = await stream(weir, '/mcp/sse?client_id=deaf&vsm=transport')
    await deaf.until('event: connected')
    deaf.destroy('reset')
    await until(weir, 'a lost stream', scrape => scrape.sum('weir_connections_lost_total', { transport: 'http_sse' }) >= 1)

    const slow = await plain(weir, '/mcp/ws?client_id=slow')
    tell(slow, { topic: 'topic:flood', event: 'phx_join', payload: {}, ref: '1' })
    await slow.messages.take('the join reply')
    slow.pause()
    const flood = { type: 'flood', data: 'x'.repeat(90_000) }
    const full = () => post(weir.url('/mcp/topics/topic%3Aflood/messages'), flood)
    for (;;) {
      await full()
      const scrape = await Scrape.of(weir)
      if (scrape.sum('weir_connections_overflowed_total') > 0) {
        assert.ok(scrape.sum('weir_queued_bytes_peak') > 0)
        break
      }
    }
    slow.terminate()
    await done(weir)
  })
})

/** What these tests cannot move, and where it is moved or why nobody can at will. */
const ELSEWHERE = {
  weir_breaker_refused_total: 'the suite control opens breakers of transports',
  weir_bus_dropped_total: 'more than 256 events in one turn',
  weir_bus_missed_total: 'an operator 1,024 events behind',
  weir_connections_handed_over_total: 'depends on where the kernel accepts',
  weir_connections_emigrated_total: 'the suite drain has a successor',
  weir_connections_taken_up_total: 'the suite drain has a successor',
  weir_log_appends_refused_total: 'the suite process fills a disk',
  weir_ring_overflows_total: 'more completions in a turn than the queue takes',
  weir_ring_starved_total: 'more input in a turn than there are buffers',
  weir_spans_total: 'the suite tracing has collectors',
  weir_squeezed_bytes_total: 'the suite limits exceeds the memory budget',
  weir_tls_failures_total: 'the suite tls breaks handshakes',
  weir_traces_left_out_total: 'the suite tracing records as much as it may',
  weir_turns_spread_total: 'more than 1,024 deliveries in a turn',
  weir_upstream_garbage_total: 'the suite upstreams has servers that answer garbage',
  weir_upstream_retries_total: 'the suite upstreams has servers that go away',
}

it('there is no counter that nothing moves', async () => {
  const weir = await Weir.start()
  const still = (await Scrape.of(weir)).counters.filter(name => !moved.has(name) && !(name in ELSEWHERE))
  await weir.close()
  assert.deepEqual(still, [])
})
