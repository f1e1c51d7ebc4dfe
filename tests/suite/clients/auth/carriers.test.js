// Every way to bring a credential, by the clients that use it.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { after, before, describe, it } from 'node:test'
import { LongPoll } from 'phoenix'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, message, refused, source } from '../lib/events.js'
import { get, post, send } from '../lib/http.js'
import { plain, refusal } from '../lib/plain.js'
import { bearer, required, token } from '../lib/tokens.js'
import { Weir } from '../lib/weir.js'

const KEY = 'weir_of_the_suite'
const HASH = createHash('sha256').update(KEY).digest('hex')

describe('a credential is carried', () => {
  let weir

  before(async () => {
    const rest = `[[auth.api_key]]\nname = "desk"\nhash = "sha256:${HASH}"\npermissions = ["publish", "observe"]`
    weir = await Weir.start({ config: required({ rest }) })
  })
  after(() => weir.close())

  /** A socket with these options joins and is `client`. */
  async function joins(client, params, options = {}) {
    const socket = phoenix(weir, params, options)
    const { status, response } = await join(socket, 'mcp:gateway')
    assert.equal(status, 'ok', JSON.stringify(response))
    assert.equal(response.client_id, client)
    await disconnect(socket)
  }

  it('by phoenix.js as a parameter', () => joins('u1', { token: token('u1') }))

  it('by phoenix.js as authToken, which is not sent back', async () => {
    await joins('u1', {}, { authToken: token('u1') })
    const carried = Buffer.from(token('u1')).toString('base64').replace(/=/g, '')
    const socket = await plain(weir, '/mcp/ws/websocket?vsn=2.0.0', { protocols: ['phoenix', `base64url.bearer.phx.${carried}`] })
    assert.equal(socket.protocol, 'phoenix')
    socket.terminate()
  })

  it('by phoenix.js over LongPoll, either way', async () => {
    const fetching = { transport: LongPoll }
    await joins('u1', { token: token('u1') }, fetching)
    await joins('u1', {}, { ...fetching, authToken: token('u1') })
  })

  it('by EventSource in a header and in the URL', async () => {
    for (const es of [
      source(weir.url('/mcp/sse'), bearer(token('u1'))),
      source(weir.url(`/mcp/sse?token=${token('u1')}`)),
    ]) {
      const { data } = await event(es, 'connected')
      assert.deepEqual([data.client_id, data.user_id, data.role], ['u1', 'u1', 'user'])
      es.close()
    }
  })

  it('by curl, as a token and as an API key in either header', async () => {
    const url = weir.url('/mcp/clients/u1/messages')
    const curl = (...more) => promisify(execFile)('curl', ['-s', '-d', '{"type":"t","data":1}', ...more, url])
    const publisher = token('p1', { permissions: ['publish'] })
    for (const header of [`Authorization: Bearer ${publisher}`, `Authorization: bearer ${KEY}`, `X-API-Key: ${KEY}`]) {
      const { stdout } = await curl('-H', header)
      assert.match(JSON.parse(stdout).state, /queued|delivered/)
    }
    const { stdout } = await curl('-H', 'X-API-Key: weir_of_somebody_else')
    assert.equal(JSON.parse(stdout).reason, 'invalid_token')
  })

  it('by a ticket, once and for one client', async () => {
    const { json: { ticket, expires_in: seconds } } = await post(weir.url('/mcp/ticket'), '', { headers: bearer(token('u5')) })
    assert.ok(seconds > 0 && seconds <= 30)
    assert.equal((await get(weir.url(`/mcp/sse?client_id=u2&ticket=${ticket}`))).status, 403)
    const es = source(weir.url(`/mcp/sse?ticket=${ticket}`))
    assert.equal((await event(es, 'connected')).data.client_id, 'u5')
    await send(weir, 'u5', { type: 'hello', data: 1 }, { headers: { 'x-api-key': KEY } })
    assert.equal((await message(es, 'hello')).data.data, 1)
    es.close()
    for (const path of ['/mcp/sse', '/mcp/ws/longpoll']) {
      const again = await get(weir.url(`${path}?vsn=2.0.0&ticket=${ticket}`))
      assert.deepEqual([again.status, again.json.reason], [401, 'invalid_token'])
    }
    assert.equal(await refusal(weir, `/mcp/ws/websocket?vsn=2.0.0&ticket=${ticket}`), 401)
    assert.equal((await post(weir.url('/mcp/ticket'), '')).status, 401)
  })

  it('a ticket is used up whichever of two comes first', async () => {
    const { json: { ticket } } = await post(weir.url('/mcp/ticket'), '', { headers: bearer(token('u3')) })
    const tries = Array.from({ length: 8 }, () => refusal(weir, `/mcp/ws/websocket?vsn=2.0.0&ticket=${ticket}`).catch(error => error))
    const refusals = (await Promise.all(tries)).filter(status => status === 401)
    assert.equal(refusals.length, 7)
  })

  it('two that differ are refused', async () => {
    const both = await get(weir.url(`/mcp/sse?token=${token('u1')}`), { headers: bearer(token('u2')) })
    assert.deepEqual([both.status, both.json.reason], [400, 'malformed'])
  })

  it('nothing is upgraded without one, and EventSource stays away', async () => {
    for (const path of ['/mcp/ws', '/mcp/ws/websocket?vsn=2.0.0&client_id=u1']) assert.equal(await refusal(weir, path), 401)
    assert.equal(await refusal(weir, '/mcp/ws', { protocols: ['mcp'] }), 401)
    assert.equal(await refused(source(weir.url('/mcp/sse?client_id=u1'))), 401)
  })

  it('another client_id than the subject is refused, unless its token may speak for others', async () => {
    assert.equal((await get(weir.url(`/mcp/sse?client_id=u2&token=${token('u1')}`))).status, 403)
    assert.equal(await refusal(weir, `/mcp/ws/websocket?vsn=2.0.0&client_id=u2&token=${token('u1')}`), 403)
    const speaker = token('desk', { permissions: ['read', 'impersonate'] })
    await joins('u2', { client_id: 'u2', token: speaker })
  })

  it('to every core', async () => {
    await Promise.all(Array.from({ length: 12 }, (_, n) => joins(`many-${n}`, { token: token(`many-${n}`) })))
  })

  it('and is never in what the gateway says of itself', async () => {
    const { body } = await get(weir.url('/mcp/stats', 'admin'))
    for (const text of [body, weir.output]) {
      assert.ok(!text.includes(KEY) && !text.includes('eyJ'), 'a credential was written down')
    }
  })

  it('pushing is writing, joining is reading, publishing is publishing', async () => {
    const socket = phoenix(weir, { token: token('u4', { permissions: ['read'] }) })
    const { channel } = await join(socket, 'mcp:gateway')
    assert.equal((await push(channel, 'message', { type: 'x' })).response.reason, 'insufficient_scope')
    await disconnect(socket)
    const written = await send(weir, 'u1', { type: 't', data: 1 }, { headers: bearer(token('u4')) })
    assert.deepEqual([written.status, written.json.reason], [403, 'insufficient_scope'])
  })
})

describe('a join brings the credential', () => {
  let weir

  before(async () => { weir = await Weir.start({ config: required({ auth: 'join_token = true' }) }) })
  after(() => weir.close())

  it('where sockets may be opened without one, on whichever core', async () => {
    for (let n = 0; n < 8; n++) {
      const socket = phoenix(weir)
      const { status, response } = await join(socket, 'mcp:gateway', { token: token(`j${n}`) })
      assert.deepEqual([status, response.client_id], ['ok', `j${n}`])
      await disconnect(socket)
    }
  })

  it('and without one, or with another\'s, nothing is joined', async () => {
    const socket = phoenix(weir, { client_id: 'u1' })
    for (const [payload, reason] of [
      [{}, 'missing_token'],
      [{ token: 'nonsense' }, 'invalid_token'],
      [{ token: token('u2') }, 'client_id_mismatch'],
    ]) {
      const channel = socket.channel('mcp:gateway', payload)
      const answered = new Promise(resolve => { channel.join().receive('error', resolve) })
      assert.equal((await answered).reason, reason)
      channel.leave()
    }
    await disconnect(socket)
  })
})
