// A backend's side: POST to one client, with curl and without; every refusal by its name.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'

import { event, message, source } from '../lib/events.js'
import { get, request, send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

/** An error body has the names of the contract. */
function assertError({ json, headers }, error, reason) {
  assert.deepEqual([json.error, json.reason], [error, reason])
  assert.equal(typeof json.message, 'string')
  assert.match(headers['content-type'], /^application\/json/)
}

describe('POST /mcp/clients/{client_id}/messages', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('takes what curl sends: 202 with epoch, sequence and state', async () => {
    const es = source(weir.url('/mcp/sse?client_id=curl'))
    await event(es, 'connected')
    const url = weir.url('/mcp/clients/curl/messages')
    const { stdout } = await promisify(execFile)('curl', ['-sS', '-w', '\n%{http_code}', '-d', '{"type":"chat","data":{"n":1}}', url])
    const [body, status] = stdout.split('\n')
    const { epoch, ...rest } = JSON.parse(body)
    assert.equal(status, '202')
    assert.ok(epoch)
    assert.deepEqual(rest, { sequence: 1, state: 'delivered' })
    assert.deepEqual((await message(es, 'chat')).data.data, { n: 1 })
    es.close()
  })

  it('keeps a message for a client that is away: state queued', async () => {
    const { status, json } = await send(weir, 'nobody yet', { type: 'chat', data: 1 })
    assert.deepEqual([status, json.sequence, json.state], [202, 1, 'queued'])
  })

  it('leaves the bytes of data as they are: numbers, order, escapes', async () => {
    const es = source(weir.url('/mcp/sse?client_id=exact'))
    await event(es, 'connected')
    const data = '{"b":12345678901234567890123456789,"a":1.10,"e":"\\u00fc\\/","b2":[1,  2]}'
    await send(weir, 'exact', `{"type":"chat","data":${data}}`)
    const { data: envelope } = await message(es, 'chat')
    assert.deepEqual(Object.keys(envelope.data), ['b', 'a', 'e', 'b2'])
    assert.deepEqual(envelope.data, JSON.parse(data))
    es.close()
  })

  for (const [what, body, reason] of [
    ['no JSON', '{"type":', 'malformed'],
    ['nothing', '', 'malformed'],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22]), 'malformed'],
    ['no object', '[1]', 'malformed'],
    ['no type', '{"data":1}', 'missing_fields'],
    ['a type that is no string', '{"type":5,"data":1}', 'malformed'],
    ['an unknown field', '{"type":"chat","data":1,"colour":"red"}', 'malformed'],
    ['an unknown transport', '{"type":"chat","data":1,"transport":"pigeon"}', 'malformed'],
    ['something behind the object', '{"type":"chat","data":1} {}', 'malformed'],
  ]) {
    it(`answers a body with ${what} by 400 ${reason}`, async () => {
      const answer = await send(weir, 'strict', body)
      assert.equal(answer.status, 400)
      assertError(answer, 'invalid_message', reason)
    })
  }

  it('answers a path it does not have by 404', async () => {
    const answer = await get(weir.url('/mcp/no/such/path'))
    assert.equal(answer.status, 404)
    assert.equal(answer.json.error, 'not_found')
  })

  it('answers a method it does not have by 405 with Allow', async () => {
    const answer = await request('PUT', weir.url('/mcp/clients/u1/messages'), { body: '{}', headers: { 'content-length': 2 } })
    assert.equal(answer.status, 405)
    assert.match(answer.headers.allow, /POST/)
    const stream = await request('DELETE', weir.url('/mcp/sse?client_id=u1'))
    assert.equal(stream.status, 405)
    assert.match(stream.headers.allow, /GET/)
  })

  it('shows the limit on every answer', async () => {
    const { headers } = await send(weir, 'shown', { type: 'chat', data: 1 })
    for (const name of ['limit', 'remaining', 'reset']) assert.ok(Number(headers[`x-ratelimit-${name}`]) >= 0, name)
  })
})

describe('bounds set by configuration', () => {
  it('answers a message over message.max_size by 413', async () => {
    const weir = await Weir.start({ config: '[message]\nmax_size = 4096\n' })
    const answer = await send(weir, 'big', { type: 'chat', data: 'x'.repeat(8192) })
    assert.equal(answer.status, 413)
    assertError(answer, 'invalid_message', 'message_too_large')
    assert.equal((await send(weir, 'big', { type: 'chat', data: 'x'.repeat(3000) })).status, 202)
    await weir.close()
  })

  it('answers a backend over its rate by 429 with the figures, and takes it again later', async () => {
    const weir = await Weir.start({ config: '[rate_limiting.backend]\nlimit = 1\nburst = 3\n', shards: 1 })
    const from = backend => send(weir, 'busy', { type: 'chat', data: 1 }, { headers: { 'x-client-id': backend } })
    const taken = [await from('b1'), await from('b1'), await from('b1')]
    assert.deepEqual(taken.map(({ status }) => status), [202, 202, 202])
    const refused = await from('b1')
    assert.equal(refused.status, 429)
    assert.equal(refused.json.error, 'rate_limit_exceeded')
    assert.ok(refused.json.retry_after > 0 && refused.json.retry_after <= 4000, 'milliseconds')
    assert.ok(Number(refused.headers['retry-after']) >= 1, 'seconds')
    assert.equal(Number(refused.headers['x-ratelimit-limit']), 3)
    assert.equal(Number(refused.headers['x-ratelimit-remaining']), 0)
    assert.ok(Number(refused.headers['x-ratelimit-reset']) >= 1)
    assert.equal((await from('b2')).status, 202, 'another backend has its own bucket')
    await weir.close()
  })
})
