// Every transport over TLS, with clients that do not know it is there.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { Authority, trust } from '../lib/certificates.js'
import { event, message, source } from '../lib/events.js'
import { get, send } from '../lib/http.js'
import { Inbox } from '../lib/inbox.js'
import { plain } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'
import * as v1 from '../mcp/lib/v1.js'
import { text, tools } from '../mcp/lib/lists.js'

/** Clients enough that both shards are home to some, wherever they connect. */
const CLIENTS = 12

describe('over TLS', () => {
  const authority = new Authority()
  let weir
  before(async () => {
    trust(authority)
    weir = await Weir.start({ tls: authority.issue() })
  })
  after(() => weir.close())

  it('phoenix.js joins, pushes and is sent messages, on every core', async () => {
    const names = Array.from({ length: CLIENTS }, (_, number) => `phoenix-${number}`)
    const sockets = names.map(client_id => phoenix(weir, { client_id }))
    const joined = await Promise.all(sockets.map(socket => join(socket, 'mcp:gateway')))
    for (const [at, { channel, events }] of joined.entries()) {
      const { status } = await send(weir, names[at], { type: 'note', data: at })
      assert.equal(status, 202)
      const { payload } = await events.take('the note', ({ event }) => event === 'message')
      assert.equal(payload.data, at)
      assert.equal((await push(channel, 'message', { type: 'back', data: at })).status, 'ok')
    }
    await Promise.all(sockets.map(disconnect))
  })

  it('a bare phoenix.js socket moves to its client\'s core with its join', async () => {
    const sockets = Array.from({ length: CLIENTS }, () => phoenix(weir))
    const joined = await Promise.all(sockets.map((socket, number) => join(socket, 'mcp:gateway', { client_id: `bare-${number}` })))
    for (const [number, { status, events }] of joined.entries()) {
      assert.equal(status, 'ok')
      await send(weir, `bare-${number}`, { type: 'note', data: number })
      assert.equal((await events.take('the note', ({ event }) => event === 'message')).payload.data, number)
    }
    await Promise.all(sockets.map(disconnect))
    const { json } = await get(weir.url('/mcp/stats', 'admin'))
    assert.ok(json.handed_over > 0, 'connections moved between cores')
    assert.equal(json.tls.failed, 0)
  })

  it('EventSource reads its stream', async () => {
    const streams = Array.from({ length: CLIENTS }, (_, number) => source(weir.url(`/mcp/sse?client_id=sse-${number}`)))
    for (const [number, es] of streams.entries()) {
      await event(es, 'connected')
      await send(weir, `sse-${number}`, { type: 'note', data: number })
      assert.equal((await message(es, 'note')).data.data, number)
      es.close()
    }
  })

  it('big messages come back whole, to a client that reads late', async () => {
    const socket = await plain(weir, '/mcp/ws/echo')
    const echoes = new Inbox()
    socket.on('message', bytes => echoes.put(bytes))
    const sent = [1, 1 << 10, 16 << 10, (16 << 10) + 1, 1 << 20, 8 << 20].map(size => randomBytes(size))
    socket.pause()
    for (const bytes of sent) socket.send(bytes)
    socket.resume()
    for (const bytes of sent) {
      const echo = await echoes.take(`an echo of ${bytes.length} bytes`)
      assert.ok(bytes.equals(echo), `the echo of ${bytes.length} bytes`)
    }
    socket.close()
  })

  it('curl asks and publishes, and checks the certificate', async () => {
    const run = promisify(execFile)
    const curl = (...args) => run('curl', ['-sS', '--cacert', authority.cert, '--max-time', '20', ...args])
    const one = await curl('-o', '/dev/null', '-w', '%{http_code} %{http_version}', weir.url('/mcp/health/nobody'))
    assert.equal(one.stdout, '404 1.1')
    const twice = weir.url('/mcp/clients/curl/messages')
    const body = ['-H', 'content-type: application/json', '-d', '{"type":"note","data":1}']
    const two = await curl('-w', ' %{num_connects}', ...body, twice, twice)
    assert.match(two.stdout, / 1.* 0/s, 'the second request used the same connection')
    await assert.rejects(run('curl', ['-sS', weir.url('/mcp/health/nobody')]), /certificate/)
  })

  for (const transport of v1.V1) {
    it(`the official MCP SDK works over ${transport}`, async () => {
      const client = await v1.connect(weir, transport)
      assert.deepEqual((await tools(client)).sort(), ['add', 'echo', 'now', 'sleep'])
      const long = 'x'.repeat(200_000)
      assert.equal(text(await client.use('echo', { message: long })), long)
      await client.close()
    })
  }
})
