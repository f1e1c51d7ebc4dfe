// WebSocket frames that break RFC 6455 or a bound: each gets its documented close code.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { constants, deflateRawSync } from 'node:zlib'
import { after, before, describe, it } from 'node:test'

import { BINARY, CLOSE, closeCode, frame, frames, PING, PONG, TEXT, upgraded } from '../lib/frames.js'
import { plain, tell } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'

const DEFLATE = 'Sec-WebSocket-Extensions: permessage-deflate\r\n'
const HUGE = 2 ** 62

describe('bad frames', () => {
  let weir
  // Here one client may be as odd as it likes.
  before(async () => { weir = await Weir.start({ config: '[suspicion]\nthreshold = 0\n' }) })
  after(() => weir.close())

  for (const [what, code, bytes, fields] of [
    ['an unmasked frame', 1002, () => frame(TEXT, 'hello', { mask: false })],
    ['a reserved opcode', 1002, () => frame(3, 'hello')],
    ['a reserved control opcode', 1002, () => frame(0xb, '')],
    ['a reserved bit nobody agreed on', 1002, () => frame(TEXT, '{}', { rsv: 4 })],
    ['RSV2 in spite of deflate', 1002, () => frame(TEXT, '{}', { rsv: 2 }), DEFLATE],
    ['a continuation of nothing', 1002, () => frame(0, 'x')],
    ['a message inside a message', 1002, () => Buffer.concat([frame(TEXT, '{', { fin: false }), frame(TEXT, '}')])],
    ['a ping in fragments', 1002, () => frame(PING, 'x', { fin: false })],
    ['a ping over 125 bytes', 1002, () => frame(PING, 'x'.repeat(126))],
    ['a close with one byte', 1002, () => frame(CLOSE, [3])],
    ['a close code that is not allowed', 1002, () => frame(CLOSE, [0x03, 0xed])],
    ['a length in more bytes than it needs', 1002, () => frame(TEXT, '{}', { wide: true })],
    ['a length in two bytes that fits in none', 1002, () => Buffer.from([0x81, 0xfe, 0, 125, 1, 2, 3, 4])],
    ['a ping that says it is long', 1002, () => Buffer.from([0x89, 0xff, 0, 0, 0, 0, 0, 1, 0, 0])],
    ['a length of all bits but the highest', 1009, () => Buffer.from([0x82, 0xff, 0x7f, ...Array(7).fill(0xff), 1, 2, 3, 4])],
    ['a continuation with a length of all bits but the highest', 1009, () => Buffer.concat([
      frame(TEXT, '{', { fin: false }), Buffer.from([0x80, 0xff, 0x7f, ...Array(7).fill(0xff), 1, 2, 3, 4])])],
    ['a length with the highest bit set', 1002, () => Buffer.from([0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4])],
    ['text that is no UTF-8', 1007, () => frame(TEXT, [0x7b, 0xc3, 0x28, 0x7d])],
    ['text that ends inside a character', 1007, () => frame(TEXT, [0x7b, 0xe2, 0x82])],
    ['a close reason that is no UTF-8', 1007, () => frame(CLOSE, [0x03, 0xe8, 0xff, 0xfe])],
    ['a frame over the limit', 1009, () => frame(TEXT, 'x'.repeat(65_537))],
    ['a frame that only says it is over the limit', 1009, () => frame(TEXT, '', { length: HUGE })],
    ['a message over the limit, in fragments', 1009, () => Buffer.concat([
      frame(TEXT, 'x'.repeat(60_000), { fin: false }), ...Array(20).fill(frame(0, 'x'.repeat(60_000), { fin: false })),
    ])],
    ['a frame that says it is one byte over the limit', 1009, () => frame(TEXT, '', { length: 65_537 })],
    ['an inflate bomb', 1009, bomb, DEFLATE],
    ['an inflate bomb in fragments', 1009, () => inFragments(zeros(60 << 20)), DEFLATE],
    ['an inflate bomb below the largest message', 1009, () => frame(BINARY, zeros(1_000_000), { rsv: 4 }), DEFLATE],
    ['a compressed ping', 1002, () => frame(PING, zeros(10), { rsv: 4 }), DEFLATE],
    ['a compressed continuation', 1002, () => Buffer.concat([
      frame(TEXT, zeros(10), { rsv: 4, fin: false }), frame(0, 'x', { rsv: 4 })]), DEFLATE],
    ['something behind the last block', 1007, () => frame(TEXT, Buffer.concat([deflateRawSync('{}'), Buffer.from('more')]), { rsv: 4 }), DEFLATE],
    ['compressed text that is no UTF-8', 1007, () => frame(TEXT, deflateRawSync(Buffer.from([0x7b, 0xff, 0x7d])), { rsv: 4 }), DEFLATE],
    ['bytes that do not inflate', 1007, () => frame(TEXT, [0xff, 0xff, 0xff, 0xff], { rsv: 4 }), DEFLATE],
  ]) {
    it(`close with ${code}: ${what}`, async () => {
      const tcp = await upgraded(weir, '/mcp/ws?client_id=bad', fields)
      tcp.write(bytes())
      assert.equal(await closeCode(tcp), code)
    })
  }

  it('close with 1003, 1007 or 1008: a first message that is of no protocol', async () => {
    for (const bytes of [frame(TEXT, 'hello'), frame(TEXT, '{"neither":1}'), frame(BINARY, [9, 9, 9])]) {
      const tcp = await upgraded(weir, '/mcp/ws?client_id=which')
      tcp.write(bytes)
      assert.ok([1003, 1007, 1008].includes(await closeCode(tcp)))
    }
  })

  it('close with 1003 or 1007 on the channels path: a binary push that ends inside its head', async () => {
    for (const bytes of [[], [0], [0, 255, 1, 1, 1], [0, 1, 1, 5, 5, 65], [1, 1, 1, 1, 1, 65, 65, 65, 65], [7]]) {
      const tcp = await upgraded(weir, '/mcp/ws/websocket?vsn=2.0.0&client_id=binary')
      tcp.write(frame(BINARY, bytes))
      assert.ok([1003, 1007].includes(await closeCode(tcp)), `kind ${bytes[0]}`)
    }
  })

  for (const [what, text] of [
    ['no array', '{}'], ['an empty array', '[]'], ['too few fields', '["1","1"]'], ['numbers for strings', '[1,2,3,4,5]'],
    ['deep nesting', `[null,"1","mcp:gateway","message",${'['.repeat(20_000)}${']'.repeat(20_000)}]`],
    ['a lone surrogate', '[null,"1","mcp:gateway","message","\\ud800"]'],
  ]) {
    it(`never harm the channels path: ${what}`, async () => {
      const tcp = await upgraded(weir, '/mcp/ws/websocket?vsn=2.0.0&client_id=odd')
      tcp.write(frame(TEXT, text))
      tcp.write(frame(TEXT, '[null,"9","phoenix","heartbeat",{}]'))
      await tcp.reach('an answer or a close', ({ bytes }) => bytes.length > 0)
      tcp.destroy()
    })
  }

  it('leave nothing behind: messages that inflate to just what they may', async () => {
    const compressed = zeros(64 << 10)
    const tcp = await upgraded(weir, '/mcp/ws/echo', DEFLATE)
    const before = resident(weir)
    for (let round = 1; round <= 20; round++) {
      tcp.write(Buffer.concat(Array(50).fill(frame(BINARY, compressed, { rsv: 4 }))))
      tcp.write(frame(PING, `${round}`))
      await tcp.reach('the pong', ({ bytes }) => frames(bytes).some(({ opcode }) => opcode === PONG))
      tcp.bytes = Buffer.alloc(0)
    }
    assert.ok(resident(weir) - before < 32 << 20, 'they were 62 MiB')
    tcp.destroy()
  })

  it('leave the others alone', async () => {
    const socket = await plain(weir, '/mcp/ws?client_id=good', { protocols: ['mcp'] })
    tell(socket, { jsonrpc: '2.0', id: 1, method: 'ping' })
    assert.equal((await socket.messages.take('the answer')).id, 1)
    socket.terminate()
  })
})

/** Sixty mebibytes of zeros in one frame under the frame limit. */
function bomb() {
  return frame(TEXT, zeros(60 << 20), { rsv: 4 })
}

/** Zeros, compressed as a message's payload is (RFC 7692 section 7.2.1). */
function zeros(bytes) {
  return deflateRawSync(Buffer.alloc(bytes), { level: 9, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
}

/** A compressed message in ten frames. */
function inFragments(payload) {
  const size = Math.ceil(payload.length / 10)
  return Buffer.concat(Array.from({ length: 10 }, (_, n) => (
    frame(n === 0 ? TEXT : 0, payload.subarray(n * size, (n + 1) * size), { rsv: n === 0 ? 4 : 0, fin: n === 9 }))))
}

/** Bytes that the gateway has in memory. */
function resident(weir) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${weir.pid}/status`, 'utf8'))[1]) << 10
}
