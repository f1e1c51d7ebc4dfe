// docs/troubleshooting.md: each symptom with a real gateway and real clients, and the commands that the page answers it with.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { describe, it } from 'node:test'

import { join, phoenix, push } from '../lib/channel.js'
import { event, message, refused, source } from '../lib/events.js'
import { flap } from '../lib/flap.js'
import { frame, frames, TEXT, upgraded } from '../lib/frames.js'
import { get, post, send } from '../lib/http.js'
import { plain } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'
import { Client, worked } from '../upstreams/client.js'
import { Server, well } from '../upstreams/server.js'
import { Reader, sections } from './page.js'

const PAGE = sections('troubleshooting.md')
const told = new Set()

/** One section: what produces its symptom on a gateway with this configuration, and reads it. */
function section(heading, config, scenario) {
  told.add(heading)
  it(heading, async () => {
    const server = await Server.start(well)
    const weir = await Weir.start({ config: config.replace('SERVER', server.url).replace('ORIGIN', new URL(server.url).origin), shards: 1 })
    const reader = new Reader(PAGE.get(heading) ?? assert.fail(`the page has no section ${heading}`), weir)
    try {
      await scenario({ weir, server, reader })
      reader.end()
    } finally {
      await server.close()
      await weir.close()
    }
  })
}

/** Keeps calls of the tool from being answered, until `answer` answers all of them. */
function hold(server) {
  const held = []
  server.work = (...call) => held.push(call)
  return {
    answer: () => {
      server.work = well
      for (const call of held) well(...call)
    },
  }
}

/** A call of the tool over HTTP, with all that a client without a session says. */
function work(weir) {
  const method = 'tools/call'
  const name = 'tools__work'
  const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
  const headers = {
    accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, 'mcp-name': name,
  }
  return post(weir.url('/mcp'), { jsonrpc: '2.0', id: 1, method, params: { name, arguments: { input: 'slow' }, _meta } }, { headers })
}

/** The reason an MCP request was refused for. */
const reason = ({ error }) => error?.data?.reason

const TOOLS = '[mcp]\nprefix = "always"\n[[upstream]]\nname = "tools"\nurl = "SERVER"\n'

describe('the guide', () => {
  section('Pool exhausted', `${TOOLS}pool = { size = 1, overflow = 0, checkout_timeout = "500ms" }\n`, async ({ weir, server, reader }) => {
    const client = await Client.open(weir)
    const held = hold(server)
    const first = client.work('tools', 'first')
    await server.calls.take('the first call')
    assert.equal(reason(await client.work('tools', 'second')), 'pool_timeout')
    // One after the other, so that one always waits.
    let waits = true
    const waiting = (async () => { while (waits) await client.work('tools', 'again') })()
    await reader.next('weir pool')
    waits = false
    await waiting
    await reader.next('--size 20')
    const second = client.work('tools', 'second')
    await server.calls.take('the second call beside the first')
    held.answer()
    assert.deepEqual([worked(await first), worked(await second)], ['worked on first', 'worked on second'])
    await client.close()
  })

  section('Breaker trips', `${TOOLS}circuit_breaker = { minimum = 3, timeout = "60s" }\n`, async ({ weir, server, reader }) => {
    const client = await Client.open(weir)
    worked(await client.work('tools', 'fine'))
    await server.kill()
    while (reason(await client.work('tools', 'broken')) !== 'breaker_open');
    await reader.next('weir breakers')
    await server.listen()
    assert.equal(reason(await client.work('tools', 'too soon')), 'breaker_open')
    await reader.next('closed', { once: true })
    assert.equal(worked(await client.workAgain('tools', 'mended')), 'worked on mended')
    await client.close()
  })

  section('Limits hit', '[rate_limiting.backend]\nlimit = 1\nper = "1h"\n', async ({ weir, reader }) => {
    const headers = { 'x-client-id': 'billing' }
    assert.equal((await send(weir, 'u1', { type: 'chat', data: 0 }, { headers })).status, 202)
    await reader.next('curl', { once: true })
    await reader.next('weir stats')
  })

  section('Memory grows', '', async ({ weir, reader }) => {
    for (let client = 0; client < 30; client++) {
      for (let n = 0; n < 20; n++) await send(weir, `away${client}`, { type: 'chat', data: 'x'.repeat(1_000) })
    }
    await reader.next('weir stats')
    await reader.next('weir clients')
    const idle = async () => (await get(weir.url('/mcp/admin/connections?sort=idle', 'admin'))).json.clients
    while ((await idle()).some(({ idle_seconds }) => idle_seconds < 2));
    await reader.next('weir cleanup', { once: true })
    await reader.next('weir stats')
  })

  section('Failover loop', '', async ({ weir, reader }) => {
    const es = source(weir.url('/mcp/sse?client_id=u1'))
    await event(es, 'connected')
    for (let n = 0; n < 6; n++) await flap(weir, 'u1')
    const switched = es.inbox.items.filter(({ name }) => name === 'transport_switched')
    assert.ok(switched.length <= 3, `it goes on: ${switched.length} switches`)
    await reader.next('/mcp/health/client/u1')
    es.close()
  })

  section('Close code 1006', '[connection]\nqueue_bytes = 1052672\n', async ({ weir, reader }) => {
    const blacklist = weir.url('/mcp/admin/blacklist', 'admin')
    await post(blacklist, { client: 'u1' })
    const barred = phoenix(weir, { client_id: 'u1' })
    assert.equal((await barred.closes.take('a refusal')).code, 1006)
    barred.disconnect()
    await reader.next('Upgrade: websocket', { once: true })
    await reader.next('weir stats')
    await deaf(weir)
    await reader.next('overflowed')
    const cut = await upgraded(weir, '/mcp/ws?client_id=cut', 'Sec-WebSocket-Protocol: mcp\r\n')
    cut.destroy('reset')
    await reader.next('weir stats')
    const left = await plain(weir, '/mcp/ws?client_id=left', { protocols: ['mcp'] })
    await weir.end('SIGKILL')
    assert.equal((await left.closed).code, 1006)
  })

  section('SSE that does not reconnect', '', async ({ weir, reader }) => {
    await reader.run('weir breakers http_sse open --for 10m')
    const es = source(weir.url('/mcp/sse?client_id=u1'))
    assert.equal(await refused(es), 503)
    assert.equal(es.readyState, es.CLOSED)
    await reader.next('curl', { once: true })
    await reader.next('weir breakers')
    await reader.next('auto', { once: true })
    await reader.next('curl')
    const again = source(weir.url('/mcp/sse?client_id=u1'))
    await event(again, 'connected')
    again.close()
  })

  section('Drain that hangs', `${TOOLS}[drain]\ntimeout = "1m"\n`, async ({ weir, server, reader }) => {
    hold(server)
    const call = work(weir)
    call.catch(() => {}) // it ends without an answer
    await server.calls.take('the call')
    await reader.next('weir drain', { once: true })
    await reader.next('/ready')
    await reader.next('weir pool')
    weir.child.kill('SIGTERM')
    assert.deepEqual(await weir.end('SIGTERM'), { code: 130, signal: null })
  })

  section('Traces missing', '[rate_limiting.default]\nlimit = 1\nper = "1h"\nburst = 2\n', async ({ weir, reader }) => {
    const es = source(weir.url('/mcp/sse?client_id=u1'))
    await event(es, 'connected')
    await reader.next('health/client/U1', { once: true })
    await reader.next('weir clients')
    const socket = phoenix(weir, { client_id: 'u1' })
    const { channel } = await join(socket, 'mcp:gateway')
    while ((await push(channel, 'message', { type: 'order', data: 1 })).status === 'ok');
    socket.disconnect()
    await reader.next('admin/trace/u1')
    let traced = false
    const trace = reader.next('weir trace').finally(() => { traced = true })
    while (!traced) {
      await send(weir, 'u1', { type: 'chat', data: 1 })
      await message(es, 'chat')
    }
    await trace
    es.close()
  })

  section('Spans missing at the collector', '[tracing]\nendpoint = "ORIGIN"\n', async ({ weir, server, reader }) => {
    await server.kill()
    await reader.next('weir sampling')
    await reader.next('weir sampling 1', { once: true })
    await send(weir, 'u1', { type: 'chat', data: 1 })
    await reader.next('weir sampling')
    const collector = createServer((_, response) => response.end()).listen(server.port, '127.0.0.1')
    await reader.next('weir sampling')
    collector.close()
    collector.closeAllConnections()
  })

  it('has no section that is not tested, and no configuration that is wrong', async () => {
    assert.deepEqual([...PAGE.keys()].filter(heading => !told.has(heading)), [])
    for (const { files } of PAGE.values()) {
      for (const config of files) await (await Weir.start({ config })).close()
    }
  })
})

/** A subscriber that reads nothing, until the gateway gives it up. */
async function deaf(weir) {
  const tcp = await upgraded(weir, '/mcp/ws/websocket?vsn=2.0.0&client_id=deaf')
  tcp.write(frame(TEXT, '["1","1","topic:all","phx_join",{}]'))
  await tcp.reach('the reply to the join', ({ bytes }) => frames(bytes).length > 0)
  tcp.socket.pause()
  const topic = weir.url('/mcp/topics/topic:all/messages')
  const stats = async () => (await get(weir.url('/mcp/stats', 'admin'))).json
  while ((await stats()).overflowed === 0) await post(topic, { type: 'news', data: 'x'.repeat(500_000) })
  tcp.destroy()
}
