// What is measured: per transport in /mcp/stats, over an hour in /mcp/admin/intelligence, and by the command line.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { event, source } from '../lib/events.js'
import { get, send } from '../lib/http.js'
import { deadline, LONG } from '../lib/inbox.js'
import { Tcp } from '../lib/tcp.js'
import { BINARY, Weir } from '../lib/weir.js'

/** A command of the gateway's binary: `{code, stdout, stderr}`. */
function weirCommand(args, env = {}) {
  const ran = new Promise(resolve => {
    execFile(BINARY, args, { env: { PATH: process.env.PATH, ...env } }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr })
    })
  })
  return deadline(ran, `weir ${args.join(' ')}`)
}

/** Asks each second, when the gateway has looked at its figures, until the answer is as `wanted`. */
async function until(what, bus, ask, wanted) {
  const asked = (async () => {
    for (;;) {
      await bus.inbox.take('a second')
      const answer = await ask()
      if (wanted(answer)) return answer
    }
  })()
  return deadline(asked, what, 2 * LONG)
}

describe('the figures', () => {
  let weir
  let es
  let bus
  before(async () => {
    weir = await Weir.start()
    bus = source(weir.url('/mcp/admin/events?topics=s4_intelligence', 'admin'), {}, ['gateway_performance'])
    es = source(weir.url('/mcp/sse?client_id=reader'))
    await event(es, 'connected')
  })
  after(async () => {
    for (const stream of [es, bus]) stream.close()
    await weir.close()
  })

  it('say of each transport how it fares', async () => {
    const { json: figures } = await until(
      'figures of deliveries',
      bus,
      async () => {
        await send(weir, 'reader', { type: 'chat', data: 1 })
        return get(weir.url('/mcp/stats', 'admin'))
      },
      ({ json }) => json.http_sse.p99_latency_ms > 0 && json.http_sse.messages_per_second > 0,
    )
    const { connections, avg_latency_ms: avg, p99_latency_ms: p99, errors_per_minute: errors, healthy } = figures.http_sse
    assert.deepEqual([connections, errors, healthy], [1, 0, true])
    assert.ok(avg > 0 && avg < p99 * 1.01, `${avg} ${p99}`)
    assert.equal(figures.http_sse.recommendation, null)
    assert.equal(figures.websocket.p99_latency_ms, null, 'nothing was delivered there')
    assert.ok(figures.bytes_out > 0 && figures.bytes_in > 0)
  })

  it('are kept for an hour, a value each second', async () => {
    const { json } = await until(
      'some seconds',
      bus,
      () => get(weir.url('/mcp/admin/intelligence/active_connections', 'admin')),
      ({ json: { values } }) => values.filter(value => value >= 1).length >= 3,
    )
    assert.deepEqual([json.metric, json.unit], ['active_connections', 'connections'])
    const { json: { values } } = await get(weir.url('/mcp/admin/intelligence/cpu?seconds=2', 'admin'))
    assert.ok(values.length <= 2)
    assert.equal((await get(weir.url('/mcp/admin/intelligence/luck', 'admin'))).status, 404)
  })

  it('name who behaves oddly, for what, and how old connections are', async () => {
    const bad = await Tcp.open(weir)
    bad.write('GET /mcp HTTP/1.1\r\nHost: localhost\r\nX-Client-ID: odd\r\nbad header\r\n\r\n')
    await bad.end()
    const { json: { clients, metrics } } = await get(weir.url('/mcp/admin/intelligence', 'admin'))
    assert.equal(clients.ages['0-1h'], 1)
    for (const { who, kind, score, offences } of clients.suspects) {
      assert.ok(who.length > 0 && ['client', 'address'].includes(kind) && score > 0)
      assert.ok(Object.values(offences).every(count => count > 0))
    }
    assert.ok(metrics.some(({ metric, hour }) => metric === 'memory' && hour.max > 0))
  })

  it('are printed by the command line, as text or JSON', async () => {
    const url = weir.url('', 'admin')
    const stats = await weirCommand(['stats', '--url', url])
    assert.equal(stats.code, 0, stats.stderr)
    assert.match(stats.stdout, /^transport +connections/)
    assert.match(stats.stdout, /^http_sse +1 /m)
    const json = await weirCommand(['stats', '--url', url, '--json'])
    assert.equal(JSON.parse(json.stdout).http_sse.connections, 1)
    const analysis = await weirCommand(['analyze', '--url', url])
    assert.equal(analysis.code, 0, analysis.stderr)
    for (const word of ['latency_p99', 'limit in s', '24h+']) assert.ok(analysis.stdout.includes(word), word)
    const nobody = await weirCommand(['stats', '--url', 'http://127.0.0.1:9'])
    assert.equal(nobody.code, 1)
    assert.match(nobody.stderr, /no gateway answers at http:\/\/127.0.0.1:9/)
  })
})

describe('the cost of features', () => {
  const costs = async weir => (await get(weir.url('/mcp/stats/features', 'admin'))).json

  it('is measured: pieces of work, what each takes, and its share', async () => {
    const weir = await Weir.start({ shards: 1, config: '[intelligence]\ntimed_turns = 1\n' })
    for (let n = 0; n < 50; n++) await send(weir, 'somebody', { type: 'chat', data: '<b>'.repeat(1_000) })
    const bill = await costs(weir)
    const { rate_limits: limits, message_rules: rules, tls } = Object.fromEntries(bill.features.map(item => [item.feature, item]))
    assert.ok(bill.turns >= 50 && bill.turn_ns > 0 && bill.clock_ns > 0)
    assert.ok(limits.pieces >= 50 && rules.pieces >= 50)
    assert.ok(rules.ns_per_piece > limits.ns_per_piece, 'reading 3 KB takes longer than taking a token')
    assert.ok(rules.standard_error_ns > 0)
    assert.deepEqual([tls.pieces, tls.ns_per_piece, tls.share], [0, null, 0], 'what is not used costs nothing')
    const shares = bill.features.reduce((sum, { share }) => sum + share, 0)
    assert.ok(shares > 0 && shares < 1, `${shares}`)
    await weir.close()
  })

  it('is not known where nothing is timed', async () => {
    const weir = await Weir.start({ config: '[intelligence]\ntimed_turns = 0\n' })
    await send(weir, 'somebody', { type: 'chat', data: 1 })
    const { turns, turn_ns: turn, features } = await costs(weir)
    assert.deepEqual([turns, turn], [0, null])
    assert.ok(features.every(({ pieces, ns_per_piece: each, share }) => pieces === 0 && each === null && share === null))
    await weir.close()
  })
})

describe('the command line with authentication', () => {
  it('finds the admin token of the gateway, or says what to do', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-suite-'))
    const config = '[auth.jwt]\nsecret = "a secret of at least thirty-two bytes"\n'
    const weir = await Weir.start({ config, flags: ['--data-dir', folder] })
    const args = ['analyze', '--url', weir.url('', 'admin')]
    const refused = await weirCommand(args)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /set WEIR_ADMIN_TOKEN, or name the gateway's data folder/)
    const found = await weirCommand([...args, '--data-dir', folder])
    assert.equal(found.code, 0, found.stderr)
    const wrong = await weirCommand(args, { WEIR_ADMIN_TOKEN: 'not the admin token of this gateway' })
    assert.equal(wrong.code, 1)
    await weir.close()
    rmSync(folder, { recursive: true, force: true })
  })
})
