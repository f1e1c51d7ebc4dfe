// LongPoll, where no WebSocket passes: phoenix.js' own class, and polls written by hand for what it never does.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { LongPoll } from 'phoenix'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { get, post, request, send } from '../lib/http.js'
import { responses, Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const PATH = '/mcp/ws/longpoll?vsn=2.0.0'
const isMessage = ({ event }) => event === 'message'

/** A socket that polls. */
function polling(weir, params, options = {}) {
  return phoenix(weir, params, { transport: LongPoll, ...options })
}

/** A session by hand: `poll` waits for frames, `tell` sends some; both keep `token` as phoenix.js does. */
class Session {
  constructor(weir, query) {
    this.url = weir.url(PATH + query, 'ws')
    this.token = null
  }

  static async open(weir, query = '') {
    const session = new Session(weir, query)
    const opened = await session.poll()
    assert.equal(opened.status, 410, 'how Phoenix says that a session is open')
    return session
  }

  async poll(token = this.token) {
    const { json } = await get(token === null ? this.url : `${this.url}&token=${encodeURIComponent(token)}`)
    if (json.token) this.token = json.token
    return { ...json, frames: json.messages?.map(text => JSON.parse(text)) }
  }

  async tell(...frames) {
    const body = frames.map(frame => JSON.stringify(frame)).join('\n')
    const headers = { 'content-type': 'application/x-ndjson', 'x-phoenix-longpoll-token': this.token }
    return (await post(this.url, body, { headers })).json
  }

  async join(topic, payload = {}) {
    assert.equal((await this.tell(['1', '1', topic, 'phx_join', payload])).status, 200)
    const { frames: [[, ref, , event, reply], ...more] } = await this.poll()
    assert.deepEqual([ref, event, reply.status], ['1', 'phx_reply', 'ok'])
    return { ...reply.response, more }
  }
}

describe('the LongPoll of phoenix.js', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: '[rate_limiting.default]\nlimit = 1000\nburst = 1000\n' }) })
  after(() => weir.close())

  it('joins, gets what backends send, in order, and its pushes are answered', async () => {
    const socket = polling(weir, { client_id: 'poller' })
    const { channel, events, response } = await join(socket, 'mcp:gateway')
    assert.equal(response.client_id, 'poller')
    for (let n = 1; n <= 40; n++) await send(weir, 'poller', { type: 'chat', data: n })
    const got = await events.takeMany(40, 'a message', isMessage)
    assert.deepEqual(got.map(({ payload }) => payload.sequence), Array.from({ length: 40 }, (_, n) => n + 1))
    assert.ok(got.every(({ payload }) => payload.redelivery === undefined), 'first copies are not flagged')
    assert.deepEqual(await push(channel, 'message', { type: 'chat' }), { status: 'ok', response: { accepted: true, handlers: 0 } })
    const { json: health } = await get(weir.url('/mcp/health/poller'))
    assert.deepEqual([health.connected, health.transport], [true, 'longpoll'])
    await disconnect(socket)
  })

  it('may be named by its first join, wherever the client is at home', async () => {
    const names = Array.from({ length: 8 }, (_, n) => `late ${n}`)
    await Promise.all(names.map(async name => {
      const socket = polling(weir, {})
      const { events, response } = await join(socket, 'mcp:gateway', { client_id: name })
      assert.equal(response.client_id, name)
      await send(weir, name, { type: 'chat', data: name })
      assert.equal((await events.take('the message', isMessage)).payload.data, name)
      assert.deepEqual(socket.closes.items, [])
      await disconnect(socket)
    }))
  })

  it('shares topics with WebSockets, both ways, in order', async () => {
    const [poller, web] = [polling(weir, { client_id: 'p' }), phoenix(weir, { client_id: 'w' })]
    const [p, w] = await Promise.all([poller, web].map(socket => join(socket, 'topic:mixed')))
    for (let n = 1; n <= 150; n++) {
      p.channel.push('up', { n })
      w.channel.push('down', { n })
    }
    const numbers = Array.from({ length: 150 }, (_, n) => n + 1)
    const ups = await w.events.takeMany(150, 'up', ({ event }) => event === 'up')
    const downs = await p.events.takeMany(150, 'down', ({ event }) => event === 'down')
    assert.deepEqual(ups.map(({ payload }) => payload.n), numbers)
    assert.deepEqual(downs.map(({ payload }) => payload.n), numbers)
    await Promise.all([poller, web].map(disconnect))
  })

  it('carries binary events up as they are, and down as base64', async () => {
    const [poller, web] = [polling(weir, { client_id: 'bp' }), phoenix(weir, { client_id: 'bw' })]
    const [p, w] = await Promise.all([poller, web].map(socket => join(socket, 'topic:bytes')))
    const bytes = new Uint8Array([0, 1, 0xff, 0x0a])
    assert.equal((await push(p.channel, 'up', bytes.buffer)).status, 'ok')
    const up = await w.events.take('up', ({ event }) => event === 'up')
    assert.deepEqual(new Uint8Array(up.payload), bytes)
    await push(w.channel, 'down', bytes.buffer)
    const down = await p.events.take('down', ({ event }) => event === 'down')
    assert.deepEqual(down.payload, { encoding: 'base64', data: Buffer.from(bytes).toString('base64') })
    await Promise.all([poller, web].map(disconnect))
  })

  it('carries an auth token, speaks vsn 1.0.0 and leaves its channels', async () => {
    const socket = polling(weir, { client_id: 'token' }, { authToken: 'secret' })
    const { channel } = await join(socket, 'topic:left')
    const left = new Promise(resolve => channel.leave().receive('ok', resolve))
    await left
    await disconnect(socket)
    const url = weir.url('/mcp/ws/longpoll?vsn=1.0.0&client_id=objects', 'ws')
    const { json: { token } } = await get(url)
    const text = JSON.stringify({ topic: 'mcp:gateway', event: 'phx_join', payload: {}, ref: '1' })
    await post(`${url}&token=${token}`, text)
    const { json: { messages } } = await get(`${url}&token=${token}`)
    const reply = JSON.parse(messages[0])
    assert.deepEqual([reply.topic, reply.event, reply.ref], ['mcp:gateway', 'phx_reply', '1'])
  })

  it('is what phoenix.js falls back to when its WebSocket does not open', async () => {
    class Blocked {
      constructor() { setImmediate(() => this.onerror?.(new Error('blocked'))) }
      close() { this.onclose?.({ code: 1006 }) }
    }
    const socket = phoenix(weir, { client_id: 'fallen' }, { transport: Blocked, longPollFallbackMs: 50 })
    const { response } = await join(socket, 'mcp:gateway')
    assert.equal(response.client_id, 'fallen')
    await disconnect(socket)
  })
})

describe('polls by hand', () => {
  let weir
  before(async () => {
    weir = await Weir.start({ config: '[longpoll]\npoll_timeout = "300ms"\nidle_timeout = "900ms"\n[message]\nmax_size = 65536\n[connection]\nqueue_bytes = 70000\n[outbox]\nmax_bytes = 65536\n' })
  })
  after(() => weir.close())

  it('an answer that got lost is sent again, flagged, before what came later; a confirmed one is not', async () => {
    const session = await Session.open(weir, '&client_id=lossy')
    await session.join('mcp:gateway')
    const before = session.token
    await send(weir, 'lossy', { type: 'chat', data: 'one' })
    assert.equal((await session.poll()).frames[0][4].data, 'one')
    await send(weir, 'lossy', { type: 'chat', data: 'two' })
    const { frames } = await session.poll(before)
    assert.deepEqual(frames.map(([, , , , { data, redelivery }]) => [data, redelivery]), [['one', true], ['two', undefined]])
    const empty = await session.poll()
    assert.deepEqual([empty.status, empty.frames], [204, []])
  })

  it('the token acknowledges what the answer held, for a client that acknowledges', async () => {
    const session = await Session.open(weir, '&client_id=acker')
    await session.join('mcp:gateway', { ack: true })
    const sent = send(weir, 'acker', { type: 'job', data: 1, timeout_ms: 15_000 })
    assert.equal((await session.poll()).frames[0][4].data, 1)
    session.poll()
    assert.equal((await sent).json.state, 'acknowledged')
  })

  it('a second poll takes the place of the first', async () => {
    const session = await Session.open(weir, '&client_id=twice')
    await session.join('mcp:gateway')
    const first = session.poll()
    await get(weir.url('/mcp/health/twice')) // an answer that comes after the poll has arrived
    const second = session.poll()
    await send(weir, 'twice', { type: 'chat', data: 1 })
    const messages = [...(await first).frames, ...(await second).frames].map(frame => frame[4])
    // Whichever comes first: a copy that the first poll took and nobody confirmed comes again, and says so.
    assert.deepEqual(messages.filter(({ redelivery }) => !redelivery).map(({ data }) => data), [1])
  })

  it('a session ends some time after its last poll, and what it was not sent is not lost', async () => {
    const session = await Session.open(weir, '&client_id=gone')
    const { epoch } = await session.join('mcp:gateway')
    for (;;) {
      const { json } = await get(weir.url('/mcp/health/gone'))
      if (!json.connected) break
    }
    assert.equal((await send(weir, 'gone', { type: 'chat', data: 'kept' })).json.state, 'queued')
    assert.equal((await session.poll()).status, 410)
    assert.equal((await session.tell([null, '9', 'phoenix', 'heartbeat', {}])).status, 410)
    const next = await Session.open(weir, '&client_id=gone')
    const joined = await next.join('mcp:gateway')
    assert.equal(joined.epoch, epoch)
    assert.equal(joined.more[0][4].data, 'kept')
  })

  it('a session that does not poll holds at most connection.queue_bytes of topics', async () => {
    const session = await Session.open(weir, '&client_id=deaf')
    await session.join('topic:loud')
    const data = 'x'.repeat(30_000)
    let status = 200
    for (let n = 0; n < 4; n++) await post(weir.url('/mcp/topics/topic:loud/messages'), { type: 'noise', data })
    status = (await session.poll()).status
    assert.equal(status, 410, 'closed as a socket would be: the client comes back')
  })

  it('what cannot be served is refused in words that phoenix.js takes', async () => {
    const gone = await new Session(weir, '&client_id=x').poll('poll.forged')
    assert.deepEqual([gone.status, gone.token], [410, null])
    const vsn = await get(weir.url('/mcp/ws/longpoll?vsn=9.0.0', 'ws'))
    assert.deepEqual([vsn.status, vsn.json.status, vsn.json.error], [400, 403, 'invalid_message'])
    const name = await get(weir.url('/mcp/ws/longpoll?client_id=mcp:events', 'ws'))
    assert.deepEqual([name.status, name.json.status], [400, 403])
    const session = await Session.open(weir, '&client_id=garbage')
    assert.equal((await request('DELETE', session.url)).status, 405)
    assert.equal((await session.tell('not a frame')).status, 410, 'ends the session, as 1003 would')
    const application = await get(weir.url(`${PATH}&client_id=own&token=theirs`, 'ws'))
    assert.equal(application.json.status, 410, 'the parameter token is the application’s')
    assert.ok(application.json.token)
    assert.equal(application.headers['cache-control'], 'no-store')
  })

  it('an orderly stop answers the poll and is told before', async () => {
    const own = await Weir.start({ shards: 1 })
    const session = await Session.open(own, '&client_id=stopped')
    await session.join('mcp:gateway')
    const tcp = await Tcp.open(own, 'ws')
    const get = path => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    tcp.write(get('/mcp/health/stopped') + get(`${PATH}&token=${session.token}`))
    await tcp.until('pending_acks') // the poll is right behind the request that this answers
    await own.end('SIGTERM')
    const [, { body }] = responses(await tcp.end())
    const { status, messages } = JSON.parse(body)
    assert.deepEqual([status, JSON.parse(messages[0])[3]], [200, 'shutdown_pending'])
    await own.close()
  })
})

describe('a gateway killed with SIGKILL while phoenix.js polls', () => {
  it('gets its client back: it opens a session and joins by itself', async () => {
    const first = await Weir.start()
    const socket = polling(first, { client_id: 'survivor' })
    const { channel } = await join(socket, 'mcp:gateway')
    await first.end('SIGKILL')
    await socket.closes.take('the end')
    const second = await Weir.start({ ports: first.ports })
    assert.equal((await push(channel, 'message', { type: 'again' })).status, 'ok')
    await disconnect(socket)
    await first.close()
    await second.close()
  })
})
