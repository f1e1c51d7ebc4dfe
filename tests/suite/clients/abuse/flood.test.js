// Garbage from many connections at once, while a client that behaves goes on being served.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'

import { event, message, source } from '../lib/events.js'
import { frame, TEXT, upgraded } from '../lib/frames.js'
import { get, send } from '../lib/http.js'
import { plain, tell } from '../lib/plain.js'
import { Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const ROUNDS = process.env.LONG === '1' ? 2000 : 200

/** The beginning of a good head, and a good head whose chunks do not come. */
const HEAD = Buffer.from('GET /mcp/sse?client_id=n HTTP/1.1\r\n')
const CHUNKED = Buffer.from(
  'POST /mcp/clients/n/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n',
)

/** Bytes that look random and are the same in every run. */
function noise(seed, length) {
  const parts = []
  for (let n = 0; parts.length * 64 < length; n++) parts.push(createHash('sha512').update(`${seed}/${n}`).digest())
  return Buffer.concat(parts).subarray(0, length)
}

/** One connection that says `bytes` and does not care. */
async function shout(weir, bytes, how) {
  const tcp = await Tcp.open(weir, how === 'frames' ? 'ws' : 'sse')
  tcp.write(bytes)
  await new Promise(setImmediate)
  tcp.destroy(how === 'reset' ? 'reset' : 'fin')
}

describe('garbage', () => {
  it('from all sides does not stop a client that behaves, nor the gateway', async () => {
    // Refusing the odd ones would make it too easy.
    const weir = await Weir.start({ config: '[suspicion]\nthreshold = 0\n' })
    const es = source(weir.url('/mcp/sse?client_id=calm'))
    await event(es, 'connected')
    const rpc = await plain(weir, '/mcp/ws?client_id=calm-rpc', { protocols: ['mcp'] })
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all([
        shout(weir, noise(`${round}`, 700), 'fin'),
        shout(weir, noise(`${round}r`, 40_000), 'reset'),
        shout(weir, Buffer.concat([HEAD, noise(`${round}h`, 300)]), 'reset'),
        shout(weir, Buffer.concat([CHUNKED, noise(`${round}c`, 300)]), 'fin'),
        garbledFrames(weir, round),
      ])
      if (round % 10 === 0) {
        const sent = await send(weir, 'calm', { type: 'chat', data: round })
        assert.equal(sent.status, 202)
        assert.equal((await message(es, 'chat')).data.data, round)
        tell(rpc, { jsonrpc: '2.0', id: round, method: 'ping' })
        assert.equal((await rpc.messages.take('the answer')).id, round)
      }
    }
    assert.equal((await get(weir.url('/health', 'admin'))).status, 200)
    es.close()
    rpc.terminate()
    await weir.close()
  })
})

/** Noise behind an upgrade; every other time inside a good frame. */
async function garbledFrames(weir, round) {
  const tcp = await upgraded(weir, `/mcp/ws${round % 3 ? '/websocket?vsn=2.0.0&' : '?'}client_id=noise${round % 7}`)
  const bytes = noise(`${round}f`, 500)
  tcp.write(round % 2 ? bytes : frame(TEXT, bytes))
  await new Promise(setImmediate)
  tcp.destroy(round % 5 ? 'fin' : 'reset')
}

describe('half-open clients', () => {
  it('hold nothing up: silent ones, ones that vanish, ones that never read', async () => {
    const weir = await Weir.start()
    const silent = await Promise.all(Array.from({ length: 300 }, () => Tcp.open(weir)))
    const vanishing = await Promise.all(Array.from({ length: 100 }, () => Tcp.open(weir, 'ws')))
    for (const tcp of vanishing) tcp.destroy('reset')
    const deaf = await Tcp.open(weir)
    deaf.socket.pause()
    deaf.write('GET /mcp/sse?client_id=deaf HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const es = source(weir.url('/mcp/sse?client_id=served'))
    await event(es, 'connected')
    for (let n = 1; n <= 200; n++) {
      await send(weir, 'deaf', { type: 'chat', data: 'x'.repeat(60_000) })
      await send(weir, 'served', { type: 'chat', data: n })
      assert.equal((await message(es, 'chat')).data.data, n)
    }
    for (const tcp of silent) tcp.destroy()
    deaf.destroy('reset')
    es.close()
    await weir.close()
  })

  it('are let go: a WebSocket that answers no ping, a head that never comes', async () => {
    const weir = await Weir.start({
      config: '[http]\nhead_deadline = "1s"\n[websocket]\nping_interval = "1s"\npong_timeout = "1s"\n',
    })
    const dead = await upgraded(weir, '/mcp/ws?client_id=dead', 'Sec-WebSocket-Protocol: mcp\r\n')
    const mute = await Tcp.open(weir)
    await dead.end()
    await mute.end()
    await weir.close()
  })
})
