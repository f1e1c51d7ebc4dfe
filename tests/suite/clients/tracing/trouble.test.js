// A collector that is not there, does not answer, or does not want to: it costs its spans and nothing else.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'

import { connect } from '../mcp/lib/v1.js'
import { event, message, source } from '../lib/events.js'
import { get, post, request, send } from '../lib/http.js'
import { deadline } from '../lib/inbox.js'
import { Scrape } from '../lib/metrics.js'
import { plain, refusal } from '../lib/plain.js'
import { bearer, required, SECRET, token } from '../lib/tokens.js'
import { BINARY, Weir } from '../lib/weir.js'
import { freePort } from '../mcp/lib/fixture.js'
import { Collector } from './collector.js'

const config = (url, ...lines) => ['[tracing]', `endpoint = "${url}"`, 'sampling_rate = 1', ...lines, ''].join('\n')

/** How sampling and export do. */
const figures = async weir => (await get(weir.url('/mcp/admin/sampling', 'admin'))).json

/** The same, as soon as `wanted`. */
async function until(weir, what, wanted) {
  const look = async () => {
    for (;;) {
      const now = await figures(weir)
      if (wanted(now)) return now
    }
  }
  return deadline(look(), what)
}

/** Lines of the log. */
const lines = (weir, text) => weir.output.split('\n').filter(line => line.includes(text))

describe('a collector', () => {
  it('that is not there is said once, costs its spans, and is found when it comes', async () => {
    const port = await freePort()
    const weir = await Weir.start({ config: config(`http://127.0.0.1:${port}`) })
    const es = source(weir.url('/mcp/sse?client_id=u1'))
    await event(es, 'connected')
    for (let n = 0; n < 200; n += 1) {
      assert.equal((await send(weir, 'u1', { type: 'chat', data: n })).status, 202)
      assert.equal((await message(es, 'chat')).data.data, n)
    }
    es.close()
    await until(weir, 'the failure', ({ failing }) => failing)
    const collector = await Collector.start(port)
    const { failed, dropped, exported } = await until(weir, 'spans exported', ({ failing, exported }) => !failing && exported > 0)
    assert.ok(exported > 0 && failed + dropped >= 0)
    await until(weir, 'the line that it is over', () => lines(weir, 'takes spans again').length > 0)
    assert.deepEqual(['does not take spans', 'takes spans again'].map(text => lines(weir, text).length), [1, 1])
    await weir.close()
    await collector.close()
  })

  it('that does not answer holds nobody up; what is too much is dropped and counted', async () => {
    const collector = await Collector.start()
    await collector.answer({ silent: true })
    const weir = await Weir.start({ config: config(collector.url, 'batch_size = 10', 'max_per_second = 0') })
    const line = JSON.stringify({ client: 'u1', type: 'chat', data: 1 })
    const body = Array.from({ length: 4_000 }, () => line).join('\n')
    const answer = await post(weir.url('/mcp/batch'), body)
    assert.equal(answer.body.trim().split('\n').length, 4_000)
    const now = await until(weir, 'drops', ({ dropped }) => dropped > 0)
    assert.equal(now.exported, 0)
    assert.ok(now.waiting <= 8_192 + 10, `${now.waiting} wait`)
    assert.equal((await weir.end('SIGTERM')).code, 0, 'nor does it hold up the end')
    await weir.close()
    await collector.close()
  })

  it('gets no more than a core may record, and what is left out is counted', async () => {
    const collector = await Collector.start()
    const weir = await Weir.start({ shards: 1, config: config(collector.url, 'max_per_second = 5') })
    const line = JSON.stringify({ client: 'u1', type: 'chat', data: 1 })
    await post(weir.url('/mcp/batch'), Array.from({ length: 500 }, () => line).join('\n'))
    await collector.spans.take('a span', span => span.name === 'accept')
    const scrape = await Scrape.of(weir)
    // As much again is refilled each second that the batch takes.
    assert.ok(scrape.sum('weir_traces_left_out_total') >= 400)
    await until(weir, 'spans exported', ({ exported }) => exported > 0)
    const { exported } = await figures(weir)
    assert.ok((await Scrape.of(weir)).sum('weir_spans_total', { outcome: 'exported' }) >= exported)
    await weir.close()
    await collector.close()
  })

  it('that is busy is asked again, with the same spans', async () => {
    const collector = await Collector.start()
    await collector.answer({ status: 503, headers: { 'Retry-After': '2' } })
    const weir = await Weir.start({ config: config(collector.url) })
    await send(weir, 'u1', { type: 'chat', data: 1 })
    const first = await collector.requests.take('the first try')
    await collector.answer({ status: 200 })
    const again = await collector.requests.take('the second')
    assert.deepEqual(again.spans, first.spans)
    await until(weir, 'spans exported', ({ exported, failed }) => exported >= first.spans.length && failed === 0)
    await weir.close()
    await collector.close()
  })

  it('that refuses for good, or some spans, is believed', async () => {
    const collector = await Collector.start()
    await collector.answer({ status: 400 })
    const weir = await Weir.start({ config: config(collector.url) })
    await send(weir, 'u1', { type: 'chat', data: 1 })
    const { failed } = await until(weir, 'a failure', ({ failed }) => failed > 0)
    await collector.answer({ status: 200, rejected: 1 })
    await send(weir, 'u1', { type: 'chat', data: 1 })
    const now = await until(weir, 'spans exported', ({ exported }) => exported > 0)
    assert.equal(now.failed, failed + 1)
    await until(weir, 'the line that says so', () => lines(weir, 'not taken all spans of a batch: too many').length > 0)
    await weir.close()
    await collector.close()
  })

  it('gets what waits when the gateway ends', async () => {
    const collector = await Collector.start()
    const weir = await Weir.start({ config: config(collector.url) })
    await send(weir, 'u1', { type: 'last', data: 1 })
    await weir.end('SIGTERM')
    await collector.spans.take('the last span', span => span.name === 'accept' && span.attributes['weir.message.type'] === 'last')
    await weir.close()
    await collector.close()
  })

  it('of gRPC is refused before anything starts, with what to do', async () => {
    const weir = Weir.launch({ config: config('http://127.0.0.1:4317') })
    weir.expectExit = true
    assert.equal((await weir.exited).code, 2)
    assert.match(weir.output, /tracing\.endpoint is "http:\/\/127\.0\.0\.1:4317".*4317 is the port of OTLP over gRPC.*4318/s)
    await weir.close()
  })
})

describe('the operator', () => {
  let collector, weir
  before(async () => {
    collector = await Collector.start()
    weir = await Weir.start({ config: config(collector.url, 'headers = "x-scope=team%20a"', 'api_key = "key of the collector"') })
  })
  after(async () => {
    await weir.close()
    await collector.close()
  })

  it('sets the rate by command', async () => {
    const run = (...args) => promisify(execFile)(BINARY, ['sampling', ...args, '--url', weir.url('', 'admin')])
    assert.match((await run()).stdout, /rate +1\n/)
    assert.match((await run('0.25')).stdout, /rate +0\.25\n/)
    assert.equal(JSON.parse((await run('--json')).stdout).rate, 0.25)
    await assert.rejects(run('2'), /rate is a number from 0 to 1/)
    await run('1')
  })

  it('proves who sends the spans', async () => {
    await send(weir, 'u1', { type: 'chat', data: 1 })
    const { path, headers } = await collector.requests.take('spans')
    assert.deepEqual([path, headers['content-type']], ['/v1/traces', 'application/x-protobuf'])
    assert.deepEqual([headers['x-api-key'], headers['x-scope']], ['key of the collector', 'team a'])
  })
})

describe('the log', () => {
  it('is JSON if that is wanted', async () => {
    const weir = await Weir.start({ config: '[log]\nformat = "json"\n' })
    const records = weir.output.split('\n').filter(line => line.startsWith('{')).map(line => JSON.parse(line))
    const { level, message: said, connections_per_shard: connections } = records.find(record => record.message === 'ready')
    assert.deepEqual([level, said], ['INFO', 'ready'])
    assert.ok(connections > 0)
    assert.doesNotMatch(weir.output, /\u001b\[/)
    await weir.close()
  })

  it('and the spans hold no secret: no token, key or what queries carry', async () => {
    const collector = await Collector.start()
    const admin = 'the admin token of this suite'
    const rest = config(collector.url, 'headers = "authorization=Bearer%20header-of-the-collector"', 'api_key = "key-of-the-collector"')
    const weir = await Weir.start({
      config: required({ rest: `[admin]\ntoken = "${admin}"\n${rest}[log]\nformat = "json"\n` }),
    })
    const good = token('u1', { permissions: ['read', 'write', 'publish'] })
    const bad = `${good.slice(0, -4)}AAAA`
    const stale = token('u1', { exp: 1 })
    for (const credential of [good, bad, stale]) {
      await get(weir.url(`/mcp/stats?token=${credential}`))
      await send(weir, 'u1', { type: 'chat', data: 1 }, { headers: bearer(credential) })
      const es = source(weir.url(`/mcp/sse?token=${credential}`))
      if (credential === good) await event(es, 'connected')
      es.close()
      const path = `/mcp/ws/websocket?vsn=2.0.0&token=${credential}`
      if (credential === good) (await plain(weir, path)).terminate()
      else assert.equal(await refusal(weir, path), 401)
    }
    const client = await connect(weir, 'http', { headers: bearer(good) })
    await client.listTools()
    await client.close()
    await request('PUT', weir.url('/mcp/admin/sampling', 'admin'), { body: '{"rate":1}', headers: bearer(admin) })
    await weir.end('SIGTERM')
    await collector.spans.take('spans of the last call', span => span.attributes['weir.message.type'] === 'tools/list')
    const told = weir.output + collector.requests.items.map(({ spans }) => JSON.stringify(spans)).join()
    assert.ok(collector.requests.items.length > 0 && weir.output.includes('"level"'))
    const secrets = [good, bad, stale].map(text => text.split('.')[2])
    for (const secret of [...secrets, SECRET, admin, 'header-of-the-collector', 'key-of-the-collector']) {
      assert.ok(!told.includes(secret), `${secret} is told`)
    }
    await weir.close()
    await collector.close()
  })
})
