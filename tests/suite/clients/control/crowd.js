// Many subscribers of one topic on sockets of their own, read by hand: cheap enough to be thousands.

import assert from 'node:assert/strict'
import net from 'node:net'

import { frame, frames, TEXT, upgrade } from '../lib/frames.js'
import { deadline } from '../lib/inbox.js'

/** Joins that are under way at once. */
const AT_ONCE = 50

/** Bytes of what a socket has sent, once `done` says that they are enough. */
function until(socket, what, done) {
  const parts = []
  return deadline(new Promise((resolve, reject) => {
    const take = part => {
      parts.push(part)
      const bytes = Buffer.concat(parts)
      if (!done(bytes)) return
      socket.off('data', take)
      resolve(bytes)
    }
    socket.on('data', take)
    socket.once('error', reject)
  }), what)
}

async function subscribe(port, topic, name) {
  const socket = net.connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  socket.write(upgrade(`/mcp/ws/websocket?vsn=2.0.0&client_id=${name}&compression=false`))
  await until(socket, `${name} to be let in`, bytes => bytes.includes('\r\n\r\n'))
  socket.write(frame(TEXT, JSON.stringify(['1', '1', topic, 'phx_join', {}])))
  const reply = await until(socket, `${name} to have joined`, bytes => frames(bytes).length > 0)
  assert.match(reply.toString('latin1'), /"status":"ok"/)
  return socket
}

/** So many sockets that have joined the topic; what they are sent from then on is for `heard(socket number)`. */
export async function crowd(port, topic, count, heard = () => {}) {
  const sockets = []
  while (sockets.length < count) {
    const more = Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, (_, n) =>
      subscribe(port, topic, `crowd${sockets.length + n}`))
    sockets.push(...await Promise.all(more))
  }
  sockets.forEach((socket, n) => {
    socket.on('error', () => {})
    socket.on('data', () => heard(n))
  })
  return sockets
}
