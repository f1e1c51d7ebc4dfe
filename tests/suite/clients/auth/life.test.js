// Connections and the tokens they came with: told, ended, renewed, revoked.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, source } from '../lib/events.js'
import { get, post } from '../lib/http.js'
import { bearer, expiry, now, required, token } from '../lib/tokens.js'
import { Weir } from '../lib/weir.js'

const ADMIN = 'the admin token of the suites'

describe('a connection ends with its token', () => {
  let weir

  before(async () => { weir = await Weir.start({ config: required({ rest: `[admin]\ntoken = "${ADMIN}"` }) }) })
  after(() => weir.close())

  const brief = (sub, seconds, more) => token(sub, { iat: now(), exp: now() + seconds, ...more })
  const status = name => item => item.event === 'connection_status' && item.payload.status === name

  it('a channel is told, then the socket closes with 1008', async () => {
    const socket = phoenix(weir, { token: brief('u1', 4) }, { reconnectAfterMs: () => 1e9 })
    const { events, status: joined } = await join(socket, 'mcp:gateway')
    assert.equal(joined, 'ok')
    await events.take('notice', status('token_expiring'))
    assert.deepEqual(await socket.closes.take('the close'), { code: 1008, reason: 'token_expired' })
    await disconnect(socket)
  })

  it('a stream is told, then ends with an error, and cannot come back', async () => {
    const es = source(weir.url('/mcp/sse'), bearer(brief('u1', 4)))
    await event(es, 'connected')
    assert.equal((await event(es, 'connection_status')).data.status, 'token_expiring')
    const first = await es.responses.take()
    assert.equal(first.status, 200)
    assert.equal((await es.responses.take('the next try')).status, 401)
    es.close()
  })

  it('the event refresh puts a newer token in its place', async () => {
    const socket = phoenix(weir, { token: brief('u2', 3) }, { reconnectAfterMs: () => 1e9 })
    const { channel, events } = await join(socket, 'mcp:gateway')
    assert.equal((await push(channel, 'refresh', { token: token('u3') })).response.reason, 'client_id_mismatch')
    assert.equal((await push(channel, 'refresh', { token: 'nonsense' })).response.reason, 'invalid_token')
    const renewed = await push(channel, 'refresh', { token: brief('u2', 8) })
    assert.equal(renewed.status, 'ok')
    assert.ok(renewed.response.expires_in > 3)
    await events.take('the notice of the new token', status('token_expiring'))
    assert.equal(socket.closes.items.length, 0, 'the old token is forgotten')
    assert.equal((await socket.closes.take('the close')).reason, 'token_expired')
    await disconnect(socket)
  })

  it('POST /mcp/token/refresh prolongs what is connected with the old one', async () => {
    const old = token('u4', { iat: now() - 25, exp: now() + 5 })
    const socket = phoenix(weir, { token: old }, { reconnectAfterMs: () => 1e9 })
    const { channel } = await join(socket, 'mcp:gateway')
    const { status: code, json } = await post(weir.url('/mcp/token/refresh'), '', { headers: bearer(old) })
    assert.equal(code, 200)
    assert.equal(json.refreshed, true)
    assert.ok(json.expires_in >= 29 && json.token !== old)
    await expiry(weir, 5)
    assert.equal((await get(weir.url('/mcp/health/u4'), { headers: bearer(old) })).status, 401)
    assert.equal((await push(channel, 'ping', {})).status, 'ok')
    const fresh = await post(weir.url('/mcp/token/refresh'), '', { headers: bearer(json.token) })
    assert.deepEqual([fresh.json.token, fresh.json.refreshed], [json.token, false])
    assert.equal(socket.closes.items.length, 0)
    await disconnect(socket)
  })

  it('a revoked token is refused at once, and its connections end', async () => {
    const revoked = token('u5', { jti: 'to be revoked' })
    const socket = phoenix(weir, { token: revoked }, { reconnectAfterMs: () => 1e9 })
    await join(socket, 'mcp:gateway')
    const { status: code } = await post(weir.url('/mcp/admin/revoke', 'admin'), { jti: 'to be revoked' }, { headers: bearer(ADMIN) })
    assert.equal(code, 200)
    const late = await get(weir.url('/mcp/health/u5'), { headers: bearer(revoked) })
    assert.deepEqual([late.status, late.json.reason], [401, 'token_revoked'])
    assert.deepEqual(await socket.closes.take('the close'), { code: 1008, reason: 'token_revoked' })
    await disconnect(socket)
  })
})
