// What one MCP session was sent is sent again to that session alone, whoever knows its events' ids.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { post, request } from '../lib/http.js'
import { Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const VERSION = '2025-11-25'
const SSE = { accept: 'application/json, text/event-stream' }

/** Opens a session and answers its headers. */
async function session(weir) {
  const params = { protocolVersion: VERSION, capabilities: {}, clientInfo: { name: 'replay', version: '1' } }
  const { headers } = await post(weir.url('/mcp'), { jsonrpc: '2.0', id: 1, method: 'initialize', params }, { headers: SSE })
  const named = { ...SSE, 'mcp-protocol-version': VERSION, 'mcp-session-id': headers['mcp-session-id'] }
  await post(weir.url('/mcp'), { jsonrpc: '2.0', method: 'notifications/initialized' }, { headers: named })
  return named
}

/** Has the tool `sleep` tell how far it is: its stream, and the ids of its events. */
async function called(weir, headers) {
  const params = { name: 'sleep', arguments: { seconds: 0.0625, steps: 2 }, _meta: { progressToken: 'p' } }
  const { body } = await post(weir.url('/mcp'), { jsonrpc: '2.0', id: 2, method: 'tools/call', params }, { headers })
  assert.match(body, /slept 0\.0625 s/)
  return { body, ids: [...body.matchAll(/^id: (.+)$/gm)].map(([, id]) => id) }
}

describe('the events of one session', () => {
  let weir, owner, other
  before(async () => {
    weir = await Weir.start()
    owner = await session(weir)
    other = await session(weir)
  })
  after(() => weir.close())

  it('are sent to no other session, nor to none, and to their own again', async () => {
    const { ids } = await called(weir, owner)
    assert.ok(ids.length >= 2)
    for (const id of ids) {
      const stranger = await request('GET', weir.url('/mcp'), { headers: { ...other, 'last-event-id': id } })
      assert.equal(stranger.status, 400, stranger.body)
      const nobody = await request('GET', weir.url('/mcp'), { headers: { ...SSE, 'last-event-id': id } })
      assert.ok([400, 404].includes(nobody.status), nobody.body)
      const forged = await request('GET', weir.url('/mcp'), { headers: { ...owner, 'mcp-session-id': '0'.repeat(32), 'last-event-id': id } })
      assert.equal(forged.status, 404, forged.body)
    }
    const tcp = await Tcp.open(weir)
    const fields = Object.entries({ ...owner, 'last-event-id': ids[0] }).map(([name, value]) => `${name}: ${value}\r\n`).join('')
    tcp.write(`GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n${fields}\r\n`)
    assert.match(await tcp.until('slept 0.0625 s'), /^HTTP\/1\.1 200 /)
    tcp.destroy()
  })

  it('are nobody\'s once it has ended', async () => {
    const { ids } = await called(weir, owner)
    assert.equal((await request('DELETE', weir.url('/mcp'), { headers: owner })).status, 200)
    for (const headers of [owner, other]) {
      const late = await request('GET', weir.url('/mcp'), { headers: { ...headers, 'last-event-id': ids[0] } })
      assert.equal(late.status, headers === owner ? 404 : 400, late.body)
    }
  })
})
