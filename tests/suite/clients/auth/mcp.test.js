// MCP with proofs: the official SDK with its token, and sessions that are nobody else's.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { get, post, request } from '../lib/http.js'
import { refusal } from '../lib/plain.js'
import { bearer, claims, jws, required, SECRET, token } from '../lib/tokens.js'
import { Weir } from '../lib/weir.js'
import { connect } from '../mcp/lib/v1.js'

const ACCEPT = { accept: 'application/json, text/event-stream' }
const INITIALIZE = {
  jsonrpc: '2.0', id: 1, method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'suite', version: '1' } },
}
const call = (id, method, params) => ({ jsonrpc: '2.0', id, method, params })

describe('MCP asks who asks', () => {
  let weir

  before(async () => { weir = await Weir.start({ config: required() }) })
  after(() => weir.close())

  const mcp = (message, who, headers = {}) => post(weir.url('/mcp'), message, { headers: { ...ACCEPT, ...who, ...headers } })

  /** A session of this client; its id. */
  async function session(who) {
    const { status, headers } = await mcp(INITIALIZE, who)
    assert.equal(status, 200)
    return { 'mcp-session-id': headers['mcp-session-id'] }
  }

  for (const transport of ['http', 'sse']) {
    it(`the SDK over ${transport} with its token`, async () => {
      const client = await connect(weir, transport, { headers: bearer(token('u1')) })
      const { tools } = await client.listTools()
      assert.ok(tools.some(tool => tool.name === 'echo'))
      const { content } = await client.use('echo', { message: 'hello' })
      assert.equal(content[0].text, 'hello')
      await client.close()
    })

    it(`the SDK over ${transport} without one, or with a bad one`, async () => {
      await assert.rejects(connect(weir, transport), /401|Unauthorized/i)
      const forged = jws({ alg: 'none' }, claims('u1'), Buffer.alloc(0))
      await assert.rejects(connect(weir, transport, { headers: bearer(forged) }), /401|Unauthorized/i)
    })
  }

  it('a token in the URL is none', async () => {
    const { status } = await post(weir.url(`/mcp?token=${token('u1')}`), INITIALIZE, { headers: ACCEPT })
    assert.equal(status, 401)
  })

  it('raw over WebSocket', async () => {
    assert.equal(await refusal(weir, '/mcp/ws', { protocols: ['mcp'] }), 401)
  })

  it('reading is not calling', async () => {
    const reader = bearer(token('u1', { permissions: ['read'] }))
    const of = await session(reader)
    assert.equal((await mcp(call(2, 'tools/list'), reader, of)).status, 200)
    const refused = await mcp(call(3, 'tools/call', { name: 'now', arguments: {} }), reader, of)
    assert.deepEqual([refused.status, refused.json.error.data.reason], [403, 'insufficient_scope'])
  })

  it('a session replayed with another\'s token is none: POST, GET, DELETE, Last-Event-ID', async () => {
    const [one, other] = [bearer(token('u1')), bearer(token('u2'))]
    const of = await session(one)
    assert.equal((await mcp(call(2, 'tools/list'), other, of)).status, 404)
    assert.equal((await get(weir.url('/mcp'), { headers: { ...ACCEPT, ...other, ...of } })).status, 404)
    const resumed = { ...ACCEPT, ...other, ...of, 'last-event-id': '1-1' }
    assert.equal((await get(weir.url('/mcp'), { headers: resumed })).status, 404)
    assert.equal((await request('DELETE', weir.url('/mcp'), { headers: { ...other, ...of } })).status, 404)
    assert.equal((await mcp(call(3, 'tools/list'), {}, of)).status, 401, 'an id is no proof')
    assert.equal((await mcp(call(4, 'tools/list'), one, of)).status, 200, 'its owner has noticed nothing')
    assert.equal((await mcp(call(5, 'tools/list'), bearer(token('u1', { jti: 'newer' })), of)).status, 200)
  })

  it('the same subject of another issuer is another', async () => {
    const both = await Weir.start({ config: required({ jwt: 'issuer = ["weir", "https://other.example"]' }) })
    const ask = (who, headers = {}) => post(both.url('/mcp'), INITIALIZE, { headers: { ...ACCEPT, ...bearer(who), ...headers } })
    const { headers } = await ask(token('u1'))
    const of = { 'mcp-session-id': headers['mcp-session-id'] }
    assert.equal((await ask(token('u1', { iss: 'https://other.example' }), of)).status, 404)
    await both.close()
  })

  it('another\'s half of HTTP+SSE is none', async () => {
    const messages = `/messages?sessionId=${'0'.repeat(32)}`
    assert.equal((await post(weir.url(messages), INITIALIZE, { headers: bearer(token('u1')) })).status, 404)
    assert.equal((await post(weir.url(messages), INITIALIZE)).status, 401)
  })

  it('and says nothing of its secret', () => {
    assert.ok(!weir.output.includes(SECRET) && !weir.output.includes('eyJ'))
  })
})
