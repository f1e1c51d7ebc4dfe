// What an operator sees and holds: admission, shedding, breakers, pools, the ring. What is held ends by itself; each
// mechanism beside a gateway in which it is off.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import WebSocket from 'ws'

import { CLOSE, frame, upgrade as upgradeTo } from '../lib/frames.js'
import { get, post, request, send } from '../lib/http.js'
import { Inbox } from '../lib/inbox.js'
import { stream, Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'
import { well, Server } from '../upstreams/server.js'

const put = (weir, path, value) => request('PUT', weir.url(`/mcp/admin/${path}`, 'admin'), { body: JSON.stringify(value) })
const see = async (weir, path) => (await get(weir.url(`/mcp/admin/${path}`, 'admin'))).json

/** Asks again and again, until it is so. */
async function until(look, wanted) {
  for (;;) {
    const seen = await look()
    if (wanted(seen)) return seen
  }
}

/** What an upgrade to a WebSocket is answered: the connection with its first line. */
async function upgrade(weir, client) {
  const tcp = await Tcp.open(weir)
  tcp.write(upgradeTo(`/mcp/ws/websocket?client_id=${client}`))
  const text = await tcp.until('\r\n\r\n')
  return { tcp, status: Number(text.split(' ')[1]) }
}

/** Opens `count` WebSockets that break before they say anything. */
async function breakSome(weir, count) {
  for (let n = 0; n < count; n += 1) {
    const { tcp, status } = await upgrade(weir, `broken${n}`)
    if (status !== 101) return status
    tcp.destroy('reset')
  }
  return 101
}

describe('a breaker of a transport', () => {
  const config = minimum => `[circuit_breaker]\ntimeout = "500ms"\nprobes = 1\n[control]\nbreaker_minimum = ${minimum}\n`

  it('opens when new connections break, leaves others alone, and closes again', async () => {
    const weir = await Weir.start({ config: config(10), shards: 1 })
    const old = new WebSocket(weir.wsUrl('/mcp/ws', 'ws'), 'mcp')
    const heard = new Inbox()
    old.on('message', text => heard.put(JSON.parse(text)))
    old.on('open', () => old.send('{"jsonrpc":"2.0","id":1,"method":"ping"}'))
    await heard.take('an answer')
    const breaker = async () => (await see(weir, 'breakers')).breakers.find(({ name }) => name === 'websocket')
    await until(async () => { await breakSome(weir, 10); return breaker() }, ({ state }) => state === 'open')
    old.send('{"jsonrpc":"2.0","id":2,"method":"ping"}')
    assert.equal((await heard.take('an answer of the old connection')).id, 2)
    const sse = await stream(weir, '/mcp/sse?client_id=other')
    assert.match(await sse.until('event: connected'), /^HTTP\/1.1 200/)
    // It may be tried again by now; what is tried and of use closes it.
    await until(async () => {
      const { tcp, status } = await upgrade(weir, 'again')
      if (status === 101) tcp.write(frame(CLOSE, ''))
      else assert.match(tcp.text, /"reason":"breaker_open"/)
      return breaker()
    }, ({ state }) => state === 'closed')
    assert.ok((await get(weir.url('/mcp/stats', 'admin'))).json.control.breaker_opened >= 1)
    await weir.close()
  })

  it('stays closed where it has no say', async () => {
    const weir = await Weir.start({ config: config(1_000_000), shards: 1 })
    assert.equal(await breakSome(weir, 60), 101)
    await weir.close()
  })
})

describe('what an operator holds', () => {
  let weir, server
  before(async () => {
    server = await Server.start(well)
    const config = `[control]\npool_total = 8\n[[upstream]]\nname = "tools"\nurl = "${server.url}"\nweight = 2\npool.size = 10\n`
    weir = await Weir.start({ config })
  })
  after(async () => {
    await weir.close()
    await server.close()
  })

  it('is shown with how long it lasts, and ends by itself', async () => {
    const { json } = await put(weir, 'control', { admission: 'hard', shedding: 3, for_s: 2 })
    assert.deepEqual([json.admission, json.shedding, json.shards.length], ['hard', 3, 2])
    assert.ok(json.admission_held_ms > 0 && json.shedding_held_ms > 0)
    const refused = await get(weir.url('/mcp/sse?client_id=new'))
    assert.deepEqual([refused.status, refused.json.reason], [503, 'insufficient_resources'])
    await until(() => see(weir, 'control'), ({ admission, shedding }) => admission === 'open' && shedding === 0)
    const sse = await stream(weir, '/mcp/sse?client_id=new')
    await sse.until('event: connected')
    sse.destroy()
  })

  it('sheds one priority more with each level', async () => {
    const fates = async () => Promise.all(['urgent', 'high', 'normal', 'low'].map(async priority => {
      const { status, json } = await send(weir, 'leveled', { type: 'a', data: 1, priority })
      return status === 202 ? 'taken' : json.reason
    }))
    for (let level = 0; level <= 3; level += 1) {
      await put(weir, 'control', { shedding: level })
      const expected = [0, 1, 2, 3].map(place => place > 3 - level ? 'load_shed' : 'taken')
      assert.deepEqual(await fates(), expected, `level ${level}`)
    }
    await put(weir, 'control', { shedding: 'auto' })
    assert.deepEqual(await fates(), ['taken', 'taken', 'taken', 'taken'])
  })

  it('opens and closes breakers by name', async () => {
    const state = async name => (await see(weir, 'breakers')).breakers.find(breaker => breaker.name === name).state
    for (const name of ['websocket', 'http_sse', 'router', 'tools']) {
      await put(weir, `breakers/${name}`, { state: 'open', for_s: 60 })
      assert.equal(await state(name), 'open')
    }
    assert.equal((await upgrade(weir, 'u')).status, 503)
    for (const name of ['websocket', 'http_sse', 'router', 'tools']) {
      await put(weir, `breakers/${name}`, { state: 'auto' })
      assert.equal(await state(name), 'closed')
    }
    assert.equal((await upgrade(weir, 'u')).status, 101)
    assert.equal((await put(weir, 'breakers/nobody', { state: 'open' })).status, 404)
    assert.equal((await put(weir, 'breakers/router', { state: 'ajar' })).status, 400)
  })

  it('refuses calls of a server whose breaker is open, with a reason', async () => {
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'work', arguments: { input: 'x' }, _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } } }
    const headers = { accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call', 'mcp-name': 'work' }
    const call = async () => (await post(weir.url('/mcp'), body, { headers })).json
    assert.ok((await call()).result)
    await put(weir, 'breakers/tools', { state: 'open' })
    const { error } = await call()
    assert.deepEqual([error.code, error.data.error, error.data.reason], [-32603, 'unavailable', 'breaker_open'])
    await put(weir, 'breakers/tools', { state: 'auto' })
    assert.ok((await call()).result)
  })

  it('sets the size and the weight of a pool', async () => {
    const pool = async () => (await see(weir, 'pools')).pools[0]
    assert.deepEqual([(await see(weir, 'pools')).total, (await pool()).size, (await pool()).weight], [8, 10, 2])
    await put(weir, 'pools/tools', { size: 4, weight: 7, for_s: 60 })
    assert.deepEqual([(await pool()).size, (await pool()).weight], [4, 7])
    await put(weir, 'pools/tools', { size: null, weight: null })
    assert.deepEqual([(await pool()).size, (await pool()).weight], [10, 2])
    assert.equal((await put(weir, 'pools/tools', { size: 0 })).status, 400)
    assert.equal((await put(weir, 'pools/none', { size: 1 })).status, 404)
  })

  it('shows which shard is home to how many', async () => {
    const { nodes, distribution_variance: variance } = await see(weir, 'ring')
    assert.deepEqual(nodes.map(({ id, weight, vnode_count }) => [id, weight, vnode_count]), [[0, 1, 150], [1, 1, 150]])
    assert.ok(variance >= 0 && nodes.reduce((sum, { key_count }) => sum + key_count, 0) > 0)
  })
})
