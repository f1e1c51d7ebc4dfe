// GET /mcp/events: backends read what clients push, as SSE or as NDJSON.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { message, source } from '../lib/events.js'
import { request } from '../lib/http.js'
import { Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

/** What NDJSON lines say of pushes, whatever the chunks they came in: client and data. */
function pushed(text) {
  const lines = text.split(/[\r\n]+/).filter(line => line.startsWith('{') && line.endsWith('}')).map(line => JSON.parse(line))
  return lines.filter(({ type }) => type === 'push').map(({ data }) => [data.client_id, data.payload.data])
}

describe('the feed of client pushes', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  /** A client that pushes once the feed is read; answers the replies. */
  async function pushes(client, messages) {
    const socket = phoenix(weir, { client_id: client })
    const { channel } = await join(socket, 'mcp:gateway')
    const replies = []
    for (const one of messages) replies.push(await push(channel, 'message', one))
    await disconnect(socket)
    return replies
  }

  /** An EventSource on the feed that is surely being served. */
  async function reader(query) {
    const es = source(weir.url(`/mcp/events${query}`), { 'x-client-id': 'backend' })
    assert.equal((await es.responses.take('the response')).status, 200)
    return es
  }

  it('shows a push to a reader, with who sent it, and counts the reader as a handler', async () => {
    const es = await reader('')
    const [reply] = await pushes('feeder', [{ type: 'order', data: { id: 7 } }])
    assert.deepEqual(reply, { status: 'ok', response: { accepted: true, handlers: 1 } })
    const { data: envelope } = await message(es, 'push')
    assert.deepEqual(envelope.data, { client_id: 'feeder', type: 'order', payload: { type: 'order', data: { id: 7 } } })
    assert.ok(envelope.sequence >= 1 && envelope.epoch)
    es.close()
  })

  it('filters by client and by type', async () => {
    const es = await reader('?client=wanted&type=order')
    await pushes('unwanted', [{ type: 'order', data: 1 }])
    await pushes('wanted', [{ type: 'other', data: 2 }, { type: 'order', data: 3 }])
    const { data: envelope } = await es.inbox.take('the first message', ({ name }) => name === 'message')
    assert.deepEqual(envelope.data, { client_id: 'wanted', type: 'order', payload: { type: 'order', data: 3 } })
    es.close()
  })

  it('comes as NDJSON for who accepts that', async () => {
    const tcp = await Tcp.open(weir)
    tcp.write('GET /mcp/events?client=lines HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\nX-Client-ID: backend\r\n\r\n')
    const head = await tcp.until('\r\n\r\n')
    assert.match(head, /^HTTP\/1\.1 200 /)
    assert.match(head, /content-type: application\/x-ndjson/i)
    await pushes('lines', [{ type: 'order', data: 1 }, { type: 'order', data: 2 }])
    await tcp.reach('two lines', ({ text }) => pushed(text).length === 2)
    assert.deepEqual(pushed(tcp.text), [['lines', 1], ['lines', 2]])
    tcp.destroy()
  })

  it('is read, not written: POST answers 405', async () => {
    assert.equal((await request('POST', weir.url('/mcp/events'))).status, 405)
  })
})
