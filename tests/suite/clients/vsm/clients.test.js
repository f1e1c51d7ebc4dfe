// Clients that watch the gateway, by permission; what a client's messages go through; endpoints that answer pushes.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'

import { Bus, Receiver, signature } from '../lib/bus.js'
import { answer, disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, refused, source } from '../lib/events.js'
import { get, post, request, send } from '../lib/http.js'
import { bearer, required, token } from '../lib/tokens.js'
import { BINARY, Weir } from '../lib/weir.js'
import { Client, worked } from '../upstreams/client.js'
import { Server, well } from '../upstreams/server.js'

const SECRET = 'a secret of the suites: 32 bytes'

/** Something that every watcher of `transport` hears: a client comes and goes. */
async function stir(weir, client, headers = {}) {
  const es = source(weir.url(`/mcp/sse?client_id=${client}`), headers)
  await event(es, 'connected')
  es.close()
}

describe('a client that watches', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('joins the topic over Phoenix, gets what is said, and resumes without a hole', async () => {
    const socket = phoenix(weir, { client_id: 'watcher' })
    const { channel, events, status, response } = await join(socket, 'vsm:transport')
    assert.equal(status, 'ok')
    await stir(weir, 'stirrer')
    const { payload } = await events.take('an update', ({ event: name }) => name === 'vsm_update')
    assert.deepEqual([payload.system, payload.event], ['transport', 'connections'])
    assert.match(payload.source, /^shard [01]$/)
    const said = await push(channel, 'connections', {})
    assert.deepEqual([said.status, said.response.reason], ['error', 'insufficient_scope'])
    await disconnect(socket)

    await stir(weir, 'stirrer')
    const again = phoenix(weir, { client_id: 'watcher' })
    const { epoch, sequence } = response
    const back = await join(again, 'vsm:transport', { resume: { epoch, sequence } })
    assert.equal(back.response.recovered, true)
    const first = await back.events.take('the first update', ({ event: name }) => name === 'vsm_update')
    assert.deepEqual(first.payload, payload)
    await disconnect(again)
  })

  it('names topics of its SSE stream, and gets events without an id beside its messages', async () => {
    const es = source(weir.url('/mcp/sse?client_id=sse&vsm=transport,algedonic_channel'))
    await event(es, 'connected')
    // Whether it hears its own beginning depends on how fast the topic's home is.
    await stir(weir, 'stirrer')
    const update = await event(es, 'vsm_update')
    assert.deepEqual([update.data.system, update.data.event], ['transport', 'connections'])
    const { json } = await send(weir, 'sse', { type: 'chat', data: 1 })
    const { id } = await event(es, 'message')
    assert.equal(id, `${json.epoch}-${json.sequence}`)
    es.close()
  })

  it('is shown by debug=true what its own messages go through, as events of that name', async () => {
    const es = source(weir.url('/mcp/sse?client_id=own&debug=true&vsm=client:own'))
    await event(es, 'connected')
    const named = name => es.inbox.items.filter(item => item.name === name).map(({ data }) => data)
    // The topic's home, which may be another shard, has the client followed a moment after the stream begins.
    while (!named('debug').some(({ event: step }) => step === 'delivered')) {
      await send(weir, 'own', { type: 'chat', data: 1 })
      await event(es, 'message')
    }
    const { data } = await event(es, 'debug')
    assert.deepEqual([data.system, data.data.type], ['client', 'chat'])
    // Who watches the same by its name gets the same under the other.
    await event(es, 'vsm_update')
    es.close()
    assert.equal((await get(weir.url('/mcp/events?debug=true'))).status, 400)
  })

  it('finds no topic that there is not, and nobody else publishes there', async () => {
    const socket = phoenix(weir, { client_id: 'lost' })
    assert.equal((await join(socket, 'vsm:s6')).status, 'error')
    await disconnect(socket)
    assert.equal((await get(weir.url('/mcp/sse?client_id=lost&vsm=s6'))).status, 400)
    assert.equal((await post(weir.url('/mcp/topics/vsm:transport/messages'), { type: 'x', data: 1 })).status, 400)
  })
})

describe('with authentication a client that watches', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: required() }) })
  after(() => weir.close())

  it('needs the permission observe', async () => {
    const of = (sub, permissions) => token(sub, { permissions })
    for (const [permissions, status] of [[['read', 'write'], 'error'], [['read', 'observe'], 'ok']]) {
      const socket = phoenix(weir, { token: of('u1', permissions) })
      const joined = socket.channel('vsm:s3_control', {})
      const { status: found, response } = await answer(joined.join(), 'the join')
      assert.equal(found, status, JSON.stringify(response))
      if (status === 'error') assert.equal(response.reason, 'insufficient_scope')
      await disconnect(socket)
    }
    const es = source(weir.url('/mcp/sse?vsm=s3_control'), bearer(of('u2', ['read'])))
    assert.equal(await refused(es), 403)
    assert.equal(await refused(source(weir.url('/mcp/sse?debug=true'), bearer(of('u2', ['read'])))), 403)
    const watching = source(weir.url('/mcp/sse?vsm=s3_control&debug=true'), bearer(of('u2', ['read', 'observe'])))
    await event(watching, 'connected')
    watching.close()
  })
})

describe('a traced client', () => {
  let server, weir
  before(async () => {
    server = await Server.start(well)
    weir = await Weir.start({ config: `[mcp]\nprefix = "always"\n[[upstream]]\nname = "tools"\nurl = "${server.url}"\n` })
  })
  after(async () => {
    await weir.close()
    await server.close()
  })

  const trace = client => weir.url(`/mcp/admin/trace/${client}`, 'admin')
  const steps = (events, kind) => events.filter(item => item.data.type === kind).map(item => item.event)

  it('has each message followed, from its arrival to its acknowledgement', async () => {
    assert.equal((await post(trace('u1'), { for_s: 60 })).status, 200)
    const bus = await Bus.open(weir, 'client:u1')
    const socket = phoenix(weir, { client_id: 'u1' })
    const { channel, events } = await join(socket, 'mcp:gateway', { ack: true })
    await push(channel, 'note', { n: 1 })
    await send(weir, 'u1', { type: 'chat', data: 2 })
    const { payload } = await events.take('the message', ({ event: name }) => name === 'message')
    assert.equal((await push(channel, 'ack', { sequence: payload.sequence })).status, 'ok')
    assert.equal((await push(channel, 'note', { text: '<script>' })).status, 'error')
    const { operation } = (await bus.said('acknowledged')).data
    assert.match(operation, /^[0-9a-f]{16}$/)
    const denied = await bus.said('denied')
    assert.deepEqual([denied.data.type, denied.data.detail], ['note', 'potential_injection'])

    const { json } = await get(trace('u1'))
    assert.equal(json.traced, true)
    assert.deepEqual(steps(json.events, 'chat'), ['received', 'allowed', 'dispatched', 'delivered', 'acknowledged'])
    assert.deepEqual(steps(json.events, 'note'), ['received', 'allowed', 'dispatched', 'answered', 'received', 'denied'])
    assert.ok(json.events.filter(item => item.data.type === 'chat').every(item => item.data.operation === operation))
    assert.equal((await request('DELETE', trace('u1'))).status, 200)
    await push(channel, 'quiet', {})
    await get(weir.url('/mcp/stats', 'admin'))
    assert.deepEqual(steps((await get(trace('u1'))).json.events, 'quiet'), [])
    // From now on, though it is connected already.
    await post(trace('u1'), {})
    await push(channel, 'loud', {})
    await get(weir.url('/mcp/stats', 'admin'))
    assert.deepEqual(steps((await get(trace('u1'))).json.events, 'loud'), ['received', 'allowed', 'dispatched', 'answered'])
    await disconnect(socket)
    bus.close()
  })

  it('has its MCP requests followed to the server and back', async () => {
    await post(trace('u2'), {})
    const client = await Client.open(weir, 'u2')
    assert.equal(worked(await client.work('tools', 'one')), 'worked on one')
    const { json } = await get(trace('u2'))
    const call = json.events.filter(item => item.data.type === 'tools/call')
    assert.deepEqual(call.map(item => item.event), ['received', 'allowed', 'dispatched', 'answered'])
    assert.equal(call[2].data.detail, 'tools')
    assert.equal(new Set(call.map(item => item.data.operation)).size, 1)
    await client.close()
  })

  it('is not needed for errors: the last of every client are kept', async () => {
    const socket = phoenix(weir, { client_id: 'clumsy' })
    const { channel } = await join(socket, 'mcp:gateway')
    for (let n = 0; n < 3; n++) assert.equal((await push(channel, 'note', { text: '<script>' })).status, 'error')
    await get(weir.url('/mcp/stats', 'admin'))
    const { json } = await get(trace('clumsy'))
    assert.deepEqual([json.traced, ...steps(json.events, 'note')], [false, 'denied', 'denied', 'denied'])
    await disconnect(socket)
  })

  it('is shown by weir trace as it goes', async () => {
    const url = weir.url('', 'admin')
    const shown = promisify(execFile)(BINARY, ['trace', 'u3', '--for', '3s', '--json', '--url', url])
    const bus = await Bus.open(weir, 'client:u3')
    // Once it is traced, which the command sees to.
    while (bus.inbox.items.length === 0) await send(weir, 'u3', { type: 'chat', data: 1 })
    const { stdout } = await shown
    const lines = stdout.split('\n').filter(line => line).map(line => JSON.parse(line))
    assert.deepEqual(lines.slice(0, 3).map(line => line.event), ['received', 'allowed', 'dispatched'])
    bus.close()
  })
})

describe('a handler', () => {
  let receiver, weir
  before(async () => {
    receiver = await Receiver.start(({ json }, response) => {
      const { payload } = json
      if (payload.data === 'fail') return response.writeHead(500).end('{"no":1}')
      if (payload.data === 'garble') return response.writeHead(200).end('[1]')
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ done: payload.data }))
    })
    const handler = `[[handler]]\nname = "orders"\ntypes = ["order.*"]\nurl = "${receiver.url}"\nsecret = "${SECRET}"\n`
    weir = await Weir.start({ config: handler })
  })
  after(async () => {
    await weir.close()
    receiver.close()
  })

  it('answers what clients push of its types, and nothing else', async () => {
    const socket = phoenix(weir, { client_id: 'buyer' })
    const { channel } = await join(socket, 'mcp:gateway')
    const reply = data => push(channel, 'message', { type: 'order.new', data })
    assert.deepEqual(await reply(7), { status: 'ok', response: { done: 7 } })
    const posted = await receiver.inbox.take('a post')
    assert.deepEqual(posted.json, { client_id: 'buyer', type: 'order.new', payload: { type: 'order.new', data: 7 } })
    assert.equal(posted.headers['x-weir-signature'], signature(SECRET, posted))
    const replies = await Promise.all(Array.from({ length: 50 }, (_, n) => reply(n)))
    assert.deepEqual(replies.map(({ response }) => response.done), Array.from({ length: 50 }, (_, n) => n))
    assert.deepEqual((await push(channel, 'message', { type: 'chat', data: 7 })).response, { accepted: true, handlers: 0 })
    for (const data of ['fail', 'garble']) {
      const { status, response } = await reply(data)
      assert.deepEqual([status, response.error, response.reason], ['error', 'unavailable', 'handler'])
    }
    await disconnect(socket)
  })
})
