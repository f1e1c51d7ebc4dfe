// Injection patterns: refused in what applications send, however they are escaped; reported in what tools are called with.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { CONFIG, record, records } from '../lib/audit.js'
import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { get, post, send } from '../lib/http.js'
import { plain, tell } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'

const ATTACKS = [
  ['script_tag', '<script>alert(1)</script>'],
  ['script_tag', 'x<ScRiPt src=//evil.example>'],
  ['script_url', 'JavaScript:alert(1)'],
  ['event_handler', '<img src=x onerror=alert(1)>'],
  ['template', '${process.env.SECRET}'],
]

/** JSON of a text, every character as an escape. */
const escaped = text => `"${[...text].map(c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`

describe('injection patterns', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: CONFIG }) })
  after(() => weir.close())

  it('are refused in pushes, with the reason; the connection stays', async () => {
    const socket = phoenix(weir, { client_id: 'pusher' })
    const { channel } = await join(socket, 'mcp:gateway')
    for (const [pattern, text] of ATTACKS) {
      const { status, response } = await push(channel, 'message', { type: 'chat', data: { text } })
      assert.deepEqual([status, response.error, response.reason], ['error', 'invalid_message', 'potential_injection'])
      assert.match(response.message, new RegExp(pattern))
      const found = await record(weir, pattern, ({ reason, client }) => reason === pattern && client === 'pusher')
      assert.deepEqual([found.event, found.action, found.type], ['potential_injection', 'denied', 'chat'])
    }
    assert.equal((await push(channel, 'message', { type: 'chat', data: { text: 'a < b, on = off, $5' } })).status, 'ok')
    assert.equal(socket.closes.items.length, 0)
    await disconnect(socket)
  })

  it('are refused however JSON escapes them, once or within a text of JSON', async () => {
    const socket = await plain(weir, '/mcp/ws?client_id=escaper')
    tell(socket, { topic: 'mcp:gateway', event: 'phx_join', payload: {}, ref: '1' })
    await socket.messages.take('the join reply')
    for (const [, text] of ATTACKS) {
      for (const json of [escaped(text), JSON.stringify(escaped(text))]) {
        socket.send(`{"topic":"mcp:gateway","event":"note","payload":{"a":${json}},"ref":"2"}`)
        const { payload } = await socket.messages.take('the reply')
        assert.equal(payload.response.reason, 'potential_injection', json)
      }
    }
    socket.terminate()
  })

  it('are refused on topics: nobody gets the event', async () => {
    const [one, other] = ['ann', 'ben'].map(client_id => phoenix(weir, { client_id }))
    const [{ channel }, { events }] = await Promise.all([one, other].map(socket => join(socket, 'room:1')))
    const refused = await push(channel, 'said', { text: '<script>' })
    assert.equal(refused.response.reason, 'potential_injection')
    assert.equal((await push(channel, 'said', { text: 'fine' })).status, 'ok')
    assert.deepEqual((await events.take('an event', ({ event }) => event === 'said')).payload, { text: 'fine' })
    await Promise.all([one, other].map(disconnect))
  })

  it('are refused in what backends publish: 400, and each line of a batch for itself', async () => {
    const { status, json } = await send(weir, 'u1', { type: 'chat', data: '<script>' }, { headers: { 'x-client-id': 'backend' } })
    assert.deepEqual([status, json.error, json.reason], [400, 'invalid_message', 'potential_injection'])
    await record(weir, 'the backend', ({ client }) => client === 'backend')
    const topic = await post(weir.url('/mcp/topics/room:1/messages'), { type: 'javascript:', data: 1 })
    assert.equal(topic.status, 400)
    const lines = [{ client: 'u1', type: 'a', data: '${x}' }, { client: 'u1', type: 'a', data: 1 }].map(line => JSON.stringify(line))
    const batch = await post(weir.url('/mcp/batch'), lines.join('\n'))
    const [first, second] = batch.body.trim().split('\n').map(line => JSON.parse(line))
    assert.deepEqual([first.reason, second.state], ['potential_injection', 'queued'])
  })

  it('are reported in the arguments of tools, which are called with code, and pass', async () => {
    const message = '<script>let page = `${title}`</script>'
    const headers = { accept: 'application/json, text/event-stream' }
    const initialize = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
    const opened = await post(weir.url('/mcp'), { jsonrpc: '2.0', id: 1, method: 'initialize', params: initialize }, { headers })
    const session = { ...headers, 'mcp-session-id': opened.headers['mcp-session-id'] }
    const call = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'echo', arguments: { message } } }
    const { json } = await post(weir.url('/mcp'), call, { headers: session })
    assert.equal(json.result.content[0].text, message)
    const found = await record(weir, 'the call', ({ type }) => type === 'tools/call')
    assert.deepEqual([found.event, found.action], ['potential_injection', 'reported'])
  })

  it('are counted', async () => {
    const { json } = await get(weir.url('/mcp/stats', 'admin'))
    assert.ok(json.forbidden >= ATTACKS.length && json.audit.records >= records(weir).length && json.audit.dropped === 0)
  })
})

describe('injection patterns that are only reported', () => {
  let weir
  before(async () => {
    weir = await Weir.start({ config: `${CONFIG}[rules]\ninjection = "report"\nbackend_injection = "off"\n` })
  })
  after(() => weir.close())

  it('pass and are written down; what is off is not looked for', async () => {
    const socket = phoenix(weir, { client_id: 'reporter' })
    const { channel, events } = await join(socket, 'mcp:gateway')
    assert.equal((await push(channel, 'chat', { text: '<script>' })).status, 'ok')
    const found = await record(weir, 'the push', ({ client }) => client === 'reporter')
    assert.deepEqual([found.action, found.reason], ['reported', 'script_tag'])
    assert.equal((await send(weir, 'reporter', { type: 'html', data: '<script>' })).status, 202)
    assert.equal((await events.take('the message', ({ event }) => event === 'message')).payload.data, '<script>')
    assert.equal(records(weir).length, 1)
    await disconnect(socket)
  })
})
