// The blacklist, changed while the gateway runs: 403 before any upgrade, and who is connected goes.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { CONFIG, record } from '../lib/audit.js'
import { disconnect, join, phoenix } from '../lib/channel.js'
import { event, refused, source } from '../lib/events.js'
import { get, post, request } from '../lib/http.js'
import { plain, refusal, tell } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'

const PATH = '/mcp/admin/blacklist'

describe('the blacklist', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: `${CONFIG}[security]\nblacklist = ["client:configured", "10.9.0.0/16"]\n` }) })
  after(() => weir.close())

  const list = entry => post(weir.url(PATH, 'admin'), entry)
  const unlist = query => request('DELETE', weir.url(`${PATH}?${query}`, 'admin'))
  const sse = client => get(weir.url(`/mcp/sse?client_id=${client}`))

  it('keeps out whom the configuration names, on every transport, with the reason', async () => {
    const { status, json } = await sse('configured')
    assert.deepEqual([status, json.error, json.reason], [403, 'forbidden', 'blacklisted'])
    for (const path of ['/mcp/ws/websocket?vsn=2.0.0', '/mcp/ws']) {
      assert.equal(await refusal(weir, `${path}${path.includes('?') ? '&' : '?'}client_id=configured`), 403)
    }
    const poll = await get(weir.url('/mcp/ws/longpoll?vsn=2.0.0&client_id=configured'))
    assert.equal(poll.json.reason, 'blacklisted')
    const bare = await plain(weir, '/mcp/ws')
    tell(bare, { topic: 'mcp:gateway', event: 'phx_join', payload: { client_id: 'configured' }, ref: '1' })
    const { payload } = await bare.messages.take('the reply')
    assert.deepEqual([payload.status, payload.response.reason], ['error', 'blacklisted'])
    bare.terminate()
    const found = await record(weir, 'the refusal', ({ client }) => client === 'configured')
    assert.deepEqual([found.event, found.action], ['blacklisted', 'denied'])
    assert.equal((await sseOpens('somebody')), true)
  })

  it('is changed at run time: connected clients go at once, and come back once they are off it', async () => {
    const socket = phoenix(weir, { client_id: 'mallory' }, { reconnectAfterMs: () => 60_000 })
    await join(socket, 'mcp:gateway')
    const other = phoenix(weir, { client_id: 'alice' })
    await join(other, 'mcp:gateway')
    const es = source(weir.url('/mcp/sse?client_id=mallory'))
    await event(es, 'connected')
    const gone = refused(es)
    const { status, json } = await list({ client: 'mallory', reason: 'spam', expires_in: 3600 })
    assert.deepEqual([status, json.client, json.reason], [201, 'mallory', 'spam'])
    assert.ok(Date.parse(json.expires_at) > Date.now() + 3_500_000)
    assert.deepEqual(await socket.closes.take('the close'), { code: 1008, reason: 'blacklisted' })
    assert.equal(await gone, 403)
    assert.equal((await sse('mallory')).status, 403)
    assert.equal(other.closes.items.length, 0)

    const { json: { entries } } = await get(weir.url(PATH, 'admin'))
    assert.deepEqual(entries.map(({ client, address }) => client ?? address), ['10.9.0.0/16', 'configured', 'mallory'])
    assert.equal((await unlist('client=mallory')).status, 204)
    assert.equal((await unlist('client=mallory')).status, 404)
    assert.equal(await sseOpens('mallory'), true)
    socket.disconnect()
    await disconnect(other)
  })

  it('forgets an entry whose time is over', async () => {
    await list({ client: 'brief', expires_in: 0 })
    assert.equal(await sseOpens('brief'), true)
    const { json: { entries } } = await get(weir.url(PATH, 'admin'))
    assert.ok(!entries.some(({ client }) => client === 'brief'))
  })

  it('says what is wrong with an entry', async () => {
    for (const entry of [{}, { client: '' }, { client: 'a', address: '10.0.0.1' }, { address: '10.0.0.0/33' }, { address: 'client:a' }, 'no JSON']) {
      const { status, json } = await list(entry)
      assert.deepEqual([status, json.reason], [400, 'malformed'], JSON.stringify(entry))
    }
    assert.equal((await request('PUT', weir.url(PATH, 'admin'))).status, 405)
  })

  /** Whether a stream of this client begins. */
  async function sseOpens(client) {
    const es = source(weir.url(`/mcp/sse?client_id=${client}`))
    const { status } = await es.responses.take('the response')
    es.close()
    return status === 200
  }
})
