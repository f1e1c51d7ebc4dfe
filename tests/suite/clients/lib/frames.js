// WebSocket frames by hand (RFC 6455 section 5.2), for what no client library would send.

import { randomBytes } from 'node:crypto'

import { Tcp } from './tcp.js'

export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

/** A good upgrade request for `path`. */
export function upgrade(path, fields = '') {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
    + `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n${fields}\r\n`
}

/** One client frame. `length` lies about the payload; `mask: false` leaves it unmasked. */
export function frame(opcode, payload, { fin = true, rsv = 0, mask = true, length = payload.length, wide = false } = {}) {
  const bytes = Buffer.from(payload)
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode]
  const masked = mask ? 0x80 : 0
  if (wide || length > 0xffff) head.push(masked | 127, ...wideLength(length))
  else if (length > 125) head.push(masked | 126, length >> 8, length & 0xff)
  else head.push(masked | length)
  if (!mask) return Buffer.concat([Buffer.from(head), bytes])
  const key = randomBytes(4)
  return Buffer.concat([Buffer.from(head), key, bytes.map((byte, at) => byte ^ key[at % 4])])
}

function wideLength(length) {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(length))
  return bytes
}

/** An upgraded connection whose frames are read by hand. */
export async function upgraded(weir, path, fields) {
  const tcp = await Tcp.open(weir, 'ws')
  tcp.write(upgrade(path, fields))
  const head = await tcp.until('\r\n\r\n')
  if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(`no upgrade: ${head}`)
  tcp.bytes = tcp.bytes.subarray(head.indexOf('\r\n\r\n') + 4)
  return tcp
}

/** The server's frames in `bytes`, `{opcode, payload}` each; an incomplete last one is left out. */
export function frames(bytes) {
  const all = []
  while (bytes.length >= 2) {
    let length = bytes[1] & 0x7f
    let at = 2
    if (length === 126) { length = bytes.length >= 4 ? bytes.readUInt16BE(2) : Infinity; at = 4 }
    else if (length === 127) { length = bytes.length >= 10 ? Number(bytes.readBigUInt64BE(2)) : Infinity; at = 10 }
    if (bytes.length < at + length) break
    all.push({ opcode: bytes[0] & 0x0f, payload: bytes.subarray(at, at + length) })
    bytes = bytes.subarray(at + length)
  }
  return all
}

/** Waits until the gateway has closed and answers the code of its close frame, null if it sent none. */
export async function closeCode(tcp) {
  const isClose = ({ opcode }) => opcode === CLOSE
  await tcp.reach('a close frame', ({ bytes }) => frames(bytes).some(isClose))
  const { payload } = frames(tcp.bytes).find(isClose)
  tcp.write(frame(CLOSE, payload))
  await tcp.end()
  return payload.length >= 2 ? payload.readUInt16BE(0) : null
}
