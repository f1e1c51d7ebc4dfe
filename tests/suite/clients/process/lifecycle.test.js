// The process: what it says when it cannot start, how it stops, what its admin port tells.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'

import { disconnect, join, phoenix } from '../lib/channel.js'
import { event, source } from '../lib/events.js'
import { get, send } from '../lib/http.js'
import { deadline } from '../lib/inbox.js'
import { plain } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'

/** Runs a start that must fail; answers what it said. */
async function failing(options) {
  const weir = Weir.launch(options)
  weir.expectExit = true
  const { code, signal } = await deadline(weir.exited, 'weir to give up')
  await weir.close()
  assert.equal(signal, null)
  assert.notEqual(code, 0)
  return weir.output
}

/** A port somebody else listens on. */
async function taken() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: server.address().port, close: () => server.close() }
}

describe('a start that cannot be', () => {
  for (const name of ['sse', 'ws', 'admin']) {
    it(`names the ${name} port that is taken, and what to do`, async () => {
      const { port, close } = await taken()
      const said = await failing({ ports: { sse: 0, ws: 0, admin: 0, [name]: port } })
      close()
      assert.match(said, new RegExp(String(port)))
      assert.match(said, /held|in use|taken/i)
      assert.match(said, new RegExp(`--${name}-port`))
    })
  }

  it('says no when another gateway has the port', async () => {
    const weir = await Weir.start()
    assert.match(await failing({ ports: { ...weir.ports, admin: 0, ws: 0 } }), new RegExp(String(weir.ports.sse)))
    await weir.close()
  })

  it('says no when another gateway has the data folder, and which', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'weir-data-'))
    const flags = ['--data-dir', folder]
    const weir = await Weir.start({ flags })
    const said = await failing({ flags })
    assert.match(said, new RegExp(`${folder} is used by another process \\(${weir.pid}\\)`))
    await weir.close()
    rmSync(folder, { recursive: true })
  })

  it('names a secret that is damaged', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'weir-data-'))
    writeFileSync(path.join(folder, 'secret'), 'short')
    assert.match(await failing({ flags: ['--data-dir', folder] }), /secret is damaged: 5 bytes instead of 32/)
    rmSync(folder, { recursive: true })
  })

  for (const [what, config, said] of [
    ['an unknown key, with the nearest one', '[websocket]\nping_intervall = "3s"\n', /ping_interval\b/],
    ['an unknown section', '[web_socket]\n', /websocket/],
    ['a value out of bounds', '[http_sse]\nheartbeat_interval = "0.5ms"\n', /heartbeat_interval/],
    ['a value of the wrong type', '[message]\nmax_size = "many"\n', /max_size/],
    ['text that is no TOML', '[message\n', /line 1|:1/],
  ]) {
    it(`names ${what} in its configuration`, async () => {
      assert.match(await failing({ config }), said)
    })
  }

  it('refuses all interfaces without authentication', async () => {
    assert.match(await failing({ flags: ['--bind', '0.0.0.0'] }), /--insecure/)
  })
})

describe('SIGTERM', () => {
  it('tells every client, closes with 1012, never 1000, and exits 0', async () => {
    const weir = await Weir.start()
    const es = source(weir.url('/mcp/sse?client_id=told'))
    await event(es, 'connected')
    const socket = phoenix(weir, { client_id: 'told too' })
    const { events } = await join(socket, 'mcp:gateway')
    const rpc = await plain(weir, '/mcp/ws?client_id=rpc', { protocols: ['mcp'] })
    const ended = weir.end('SIGTERM')
    for (const { data } of [await event(es, 'shutdown_pending'), await pending(events)]) {
      assert.ok(data.message && data.reason && data.deadline)
      assert.ok(data.reconnect_after >= 0)
    }
    assert.equal((await socket.closes.take('the close')).code, 1012)
    assert.equal((await rpc.closed).code, 1012)
    assert.deepEqual(await ended, { code: 0, signal: null })
    es.close()
    await disconnect(socket)
    await weir.close()
  })

  it('lets an idle gateway go at once, and keep-alive connections with it', async () => {
    const weir = await Weir.start()
    await get(weir.url('/mcp/none'), { headers: { connection: 'keep-alive' } })
    assert.deepEqual(await weir.end('SIGTERM'), { code: 0, signal: null })
    await weir.close()
  })

  it('is what SIGINT means, too', async () => {
    const weir = await Weir.start()
    assert.deepEqual(await weir.end('SIGINT'), { code: 0, signal: null })
    await weir.close()
  })

  async function pending(events) {
    const { payload } = await events.take('shutdown_pending', item => item.event === 'shutdown_pending')
    return { data: payload }
  }
})

describe('SIGKILL', () => {
  it('leaves nothing behind that keeps the next start from the same ports', async () => {
    let weir = await Weir.start()
    const runs = [weir]
    for (let round = 0; round < 3; round++) {
      const clients = await Promise.all(Array.from({ length: 50 }, (_, n) => plain(weir, `/mcp/ws?client_id=k${n}`)))
      weir = await weir.restart()
      runs.push(weir)
      await Promise.all(clients.map(client => client.closed))
      assert.equal((await send(weir, 'after', { type: 'chat', data: 1 })).status, 202)
    }
    for (const run of runs) await run.close()
  })
})

describe('the admin port', () => {
  it('tells health, readiness, figures, and one client', async () => {
    const weir = await Weir.start()
    const admin = path => get(weir.url(path, 'admin'))
    const es = source(weir.url('/mcp/sse?client_id=known'))
    await event(es, 'connected')
    const rpc = await plain(weir, '/mcp/ws?client_id=known', { protocols: ['mcp'] })
    await send(weir, 'known', { type: 'chat', data: 1, transport: 'http_sse' })

    assert.equal((await admin('/health')).status, 200)
    assert.equal((await admin('/ready')).status, 200)
    const { json: stats } = await admin('/mcp/stats')
    assert.equal(stats.http_sse.connections, 1)
    assert.equal(stats.websocket.connections, 1)
    const { json: client } = await admin('/mcp/health/client/known')
    assert.equal(client.client_id, 'known')
    assert.equal(client.connected, true)
    assert.equal(client.messages_sent, 1)
    assert.ok(client.connection_age >= 0 && !Number.isNaN(Date.parse(client.last_activity)))
    assert.equal((await admin('/mcp/health/client/nobody')).status, 404)
    assert.equal((await admin('/no/such/path')).status, 404)
    es.close()
    rpc.terminate()
    await weir.close()
  })

  it('shows health and figures on the data port, too', async () => {
    const weir = await Weir.start()
    await send(weir, 'seen', { type: 'chat', data: 1 })
    const { status, json } = await get(weir.url('/mcp/health/seen'))
    assert.deepEqual([status, json.client_id, json.connected], [200, 'seen', false])
    assert.equal((await get(weir.url('/mcp/health/nobody'))).status, 404)
    assert.equal((await get(weir.url('/mcp/stats'))).status, 200)
    await weir.close()
  })

  it('is not the data path', async () => {
    const weir = await Weir.start()
    assert.equal((await get(weir.url('/mcp/sse?client_id=u1', 'admin'))).status, 404)
    await weir.close()
  })
})
