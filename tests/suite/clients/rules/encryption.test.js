// Payloads that only the client can read, by node's own AES-256-GCM: both ways, on every transport, over a change of keys.

import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'

import { CONFIG, record } from '../lib/audit.js'
import { disconnect, join, phoenix, push, withMeta } from '../lib/channel.js'
import { event, message, source } from '../lib/events.js'
import { get, post, send } from '../lib/http.js'
import { plain, refusal, tell } from '../lib/plain.js'
import { stream } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const KEYS = { new: randomBytes(32), old: randomBytes(32) }
const named = id => `"${id}:${KEYS[id].toString('base64')}"`
const ENCRYPTION = `[encryption]\nkey = ${named('new')}\nkeys = [${named('old')}]\n`

/** A value as the client `client` encrypts it. */
function seal(client, value, id = 'new', key = KEYS[id]) {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(client))
  const encrypted = Buffer.concat([cipher.update(JSON.stringify(value)), cipher.final()])
  const [text, nonce, tag] = [encrypted, iv, cipher.getAuthTag()].map(bytes => bytes.toString('base64'))
  return { encrypted: text, iv: nonce, tag, key_id: id }
}

/** What an encrypted payload says to `client`. */
function open(client, { encrypted, iv, tag, key_id }) {
  const bytes = text => Buffer.from(text, 'base64')
  const decipher = createDecipheriv('aes-256-gcm', KEYS[key_id], bytes(iv)).setAAD(Buffer.from(client)).setAuthTag(bytes(tag))
  return JSON.parse(Buffer.concat([decipher.update(bytes(encrypted)), decipher.final()]))
}

describe('encrypted payloads', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: ENCRYPTION + CONFIG }) })
  after(() => weir.close())

  it('are for who asks in the join: what comes opens under the key, each under a fresh nonce', async () => {
    const socket = phoenix(weir, { client_id: 'ann' })
    const { response, events } = await join(socket, 'mcp:gateway', { encryption: true })
    assert.deepEqual(response.encryption, { key_id: 'new' })
    const nonces = new Set()
    for (let n = 1; n <= 20; n++) {
      await send(weir, 'ann', { type: 'chat', data: { n, text: 'geheim ✓' } })
      const { payload } = await events.take('a message', item => item.event === 'message')
      assert.deepEqual([payload.type, payload.sequence], ['chat', n])
      assert.deepEqual(open('ann', payload.data), { n, text: 'geheim ✓' })
      nonces.add(payload.data.iv)
    }
    assert.equal(nonces.size, 20)
    await disconnect(socket)
  })

  it('are opened in what the client pushes, by the key that they name; rules see what is in them', async () => {
    const feed = await stream(weir, '/mcp/events')
    await feed.until('event: connected')
    const socket = phoenix(weir, { client_id: 'ben' })
    const { channel } = await join(socket, 'mcp:gateway', { encryption: true })
    for (const id of ['new', 'old']) {
      assert.equal((await push(channel, 'order', seal('ben', { by: id }, id))).status, 'ok')
      await feed.until(`"payload":{"by":"${id}"}`)
    }
    const { response } = await push(channel, 'order', seal('ben', '<script>'))
    assert.equal(response.reason, 'potential_injection')
    await disconnect(socket)
    feed.destroy()
  })

  it('that do not open are refused: another key, another client, changed, unknown, none', async () => {
    const socket = phoenix(weir, { client_id: 'cleo' })
    const { channel } = await join(socket, 'mcp:gateway', { encryption: true })
    const good = seal('cleo', 1)
    for (const payload of [
      seal('cleo', 1, 'new', randomBytes(32)), seal('ann', 1), { ...good, tag: seal('cleo', 2).tag },
      { ...good, key_id: 'lost' }, { ...good, iv: good.iv.slice(4) }, { ...good, encrypted: '%' }, { plain: true },
    ]) {
      const { status, response } = await push(channel, 'order', payload)
      assert.deepEqual([status, response.error, response.reason], ['error', 'decryption_failed', 'decryption_failed'])
    }
    await record(weir, 'the failures', ({ event, client }) => event === 'decryption_failed' && client === 'cleo')
    assert.equal((await push(channel, 'order', good)).status, 'ok')
    await disconnect(socket)
  })

  it('come over SSE for who asks in the URL, also after a resume', async () => {
    const url = weir.url('/mcp/sse?client_id=dora&encryption=true')
    const es = source(url)
    const { data } = await event(es, 'connected')
    assert.deepEqual(data.encryption, { key_id: 'new' })
    await send(weir, 'dora', { type: 'chat', data: ['one'] })
    const first = await message(es, 'chat')
    assert.deepEqual(open('dora', first.data.data), ['one'])
    es.close()
    await send(weir, 'dora', { type: 'chat', data: ['two'] })
    const again = source(url, { 'last-event-id': first.id })
    assert.deepEqual(open('dora', (await message(again, 'chat')).data.data), ['two'])
    again.close()
  })

  it('go to topics, to each subscriber as it wants them', async () => {
    const options = { decode: withMeta }
    const sealed = phoenix(weir, { client_id: 'emil' }, options)
    const open_ = phoenix(weir, { client_id: 'fred' }, options)
    const one = await join(sealed, 'room:9', { encryption: true })
    const other = await join(open_, 'room:9')
    await post(weir.url('/mcp/topics/room:9/messages'), { type: 'news', data: { n: 1 } })
    const [secret, plainly] = await Promise.all([one, other].map(({ events }) => events.take('the news', item => item.event === 'message')))
    assert.deepEqual(open('emil', secret.payload.data), { n: 1 })
    assert.deepEqual(plainly.payload.data, { n: 1 })
    assert.equal(secret.payload.id, plainly.payload.id)
    await push(one.channel, 'said', seal('emil', { text: 'hello' }))
    assert.deepEqual((await other.events.take('the event', item => item.event === 'said')).payload, { text: 'hello' })
    await push(other.channel, 'said', { text: 'hi' })
    assert.deepEqual(open('emil', (await one.events.take('the event', item => item.event === 'said')).payload), { text: 'hi' })
    await Promise.all([sealed, open_].map(disconnect))
  })

  it('leave those alone who do not ask', async () => {
    const socket = phoenix(weir, { client_id: 'gus' })
    const { response, channel, events } = await join(socket, 'mcp:gateway')
    assert.equal('encryption' in response, false)
    await send(weir, 'gus', { type: 'chat', data: 1 })
    assert.equal((await events.take('a message', item => item.event === 'message')).payload.data, 1)
    assert.equal((await push(channel, 'order', { encrypted: 'by the application' })).status, 'ok')
    await disconnect(socket)
  })

  it('never show a key', async () => {
    const shown = weir.output + (await get(weir.url('/mcp/stats', 'admin'))).body
    for (const key of Object.values(KEYS)) assert.ok(!shown.includes(key.toString('base64')))
  })
})

describe('encryption that the configuration requires, or does not have', () => {
  it('is on for everybody', async () => {
    const weir = await Weir.start({ config: `${ENCRYPTION}required = true\n` })
    const socket = phoenix(weir, { client_id: 'hal' })
    const { channel, events } = await join(socket, 'mcp:gateway')
    await send(weir, 'hal', { type: 'chat', data: 1 })
    assert.equal(open('hal', (await events.take('a message', item => item.event === 'message')).payload.data), 1)
    assert.equal((await push(channel, 'order', { open: true })).response.error, 'decryption_failed')
    await disconnect(socket)
    await weir.close()
  })

  it('is refused to who asks where there is no key', async () => {
    const weir = await Weir.start()
    assert.equal((await get(weir.url('/mcp/sse?client_id=ida&encryption=true'))).status, 400)
    assert.equal(await refusal(weir, '/mcp/ws/websocket?vsn=2.0.0&client_id=ida&encryption=true'), 400)
    const bare = await plain(weir, '/mcp/ws')
    tell(bare, { topic: 'mcp:gateway', event: 'phx_join', payload: { client_id: 'ida', encryption: true }, ref: '1' })
    assert.equal((await bare.messages.take('the reply')).payload.response.reason, 'malformed')
    bare.terminate()
    await weir.close()
  })
})
