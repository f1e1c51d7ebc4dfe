// A WebSocket of npm `ws` whose messages and end are queued.

import { once } from 'node:events'
import WebSocket from 'ws'

import { deadline, Inbox } from './inbox.js'

/** An open WebSocket with `messages` (text parsed as JSON, binary as Buffer) and `closed`. */
export async function plain(weir, path, { protocols = [], ...options } = {}) {
  const socket = new WebSocket(weir.wsUrl(path), protocols, options)
  socket.messages = new Inbox()
  socket.closed = once(socket, 'close').then(([code, reason]) => ({ code, reason: reason.toString() }))
  socket.on('message', (data, binary) => socket.messages.put(binary ? data : JSON.parse(data)))
  await deadline(once(socket, 'open'), `the upgrade of ${path}`)
  socket.on('error', () => {})
  return socket
}

/** Sends a JSON value as text. */
export function tell(socket, value) {
  socket.send(JSON.stringify(value))
}

/** The HTTP status an upgrade was refused with. */
export function refusal(weir, path, options = {}) {
  const socket = new WebSocket(weir.wsUrl(path), options.protocols ?? [], options)
  socket.on('error', () => {})
  const refused = new Promise((resolve, reject) => {
    socket.on('unexpected-response', (_, response) => {
      resolve(response.statusCode)
      response.destroy()
    })
    socket.on('open', () => reject(new Error(`${path} was upgraded`)))
  })
  return deadline(refused, `a refusal of ${path}`).finally(() => socket.terminate())
}
