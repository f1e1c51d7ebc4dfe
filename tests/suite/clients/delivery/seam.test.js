// The seam between two transports: a WebSocket that looks alive and is not, and the SSE stream beside it.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { event, message, source } from '../lib/events.js'
import { frame, TEXT, upgraded } from '../lib/frames.js'
import { send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const JOIN = '["1","1","mcp:gateway","phx_join",{}]'

/** A joined WebSocket of `client` that will never read again. */
async function zombie(weir, client) {
  const tcp = await upgraded(weir, `/mcp/ws/websocket?vsn=2.0.0&client_id=${client}`)
  tcp.write(frame(TEXT, JOIN))
  await tcp.until('phx_reply')
  tcp.socket.pause()
  return tcp
}

/** Numbers that `es` was given as messages or told of as gaps, up to `last`. */
async function accounted(es, last) {
  const numbers = []
  while (numbers.at(-1) !== last) {
    const { name, data } = await es.inbox.take('a message or a gap', ({ name }) => name === 'message' || name === 'gap')
    if (name === 'message') numbers.push(data.sequence)
    else for (let n = data.from; n <= data.to; n++) numbers.push(n)
  }
  return numbers
}

describe('a WebSocket that looks alive and is not', () => {
  it('does not keep from SSE what its cursor says is missing', async () => {
    const weir = await Weir.start()
    const first = source(weir.url('/mcp/sse?client_id=seam1'))
    await event(first, 'connected')
    await send(weir, 'seam1', { type: 'chat', data: 1 })
    const { id } = await message(first, 'chat')
    first.close()
    const dead = await zombie(weir, 'seam1')
    for (let n = 2; n <= 5; n++) await send(weir, 'seam1', { type: 'chat', data: n, transport: 'websocket' })
    const second = source(weir.url('/mcp/sse?client_id=seam1'), { 'last-event-id': id })
    assert.deepEqual(await accounted(second, 5), [2, 3, 4, 5])
    second.close()
    dead.destroy('reset')
    await weir.close()
  })

  it('leaves no silent hole when it dies: SSE gets what was written to it, or a gap', async () => {
    const weir = await Weir.start()
    const es = source(weir.url('/mcp/sse?client_id=seam2'))
    await event(es, 'connected')
    await send(weir, 'seam2', { type: 'chat', data: 1 })
    await message(es, 'chat')
    const dead = await zombie(weir, 'seam2')
    for (let n = 2; n <= 5; n++) {
      assert.equal((await send(weir, 'seam2', { type: 'chat', data: n })).json.state, 'delivered')
    }
    dead.destroy('reset')
    const { data } = await event(es, 'transport_switched')
    assert.deepEqual([data.from, data.to], ['websocket', 'http_sse'])
    await send(weir, 'seam2', { type: 'chat', data: 6 })
    assert.deepEqual(await accounted(es, 6), [2, 3, 4, 5, 6])
    es.close()
    await weir.close()
  })
})
