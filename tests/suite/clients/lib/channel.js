// The unmodified phoenix.js with promises around it.

import { Serializer, Socket } from 'phoenix'
import WebSocket from 'ws'

import { deadline, Inbox, LONG } from './inbox.js'

/** A connected socket at `path`; `opens` and `closes` gather what its callbacks were told, `frames` every frame. */
export function phoenix(weir, params = {}, { path = '/mcp/ws', ...options } = {}) {
  const socket = new Socket(weir.wsUrl(path), { transport: WebSocket, params, ...options })
  socket.opens = new Inbox()
  socket.closes = new Inbox()
  socket.frames = new Inbox()
  socket.onOpen(() => socket.opens.put('open'))
  socket.onClose(event => socket.closes.put({ code: event.code, reason: event.reason }))
  socket.onMessage(frame => socket.frames.put(frame))
  socket.onError(() => {})
  socket.connect()
  return socket
}

/** For the client's option `decode`: keeps what it leaves lying otherwise, a frame's sixth element, as `meta`. */
export function withMeta(raw, callback) {
  Serializer.decode(raw, frame => {
    if (typeof raw === 'string') frame.meta = JSON.parse(raw)[5]
    callback(frame)
  })
}

/** Waits for the answer of a join or push: `{status, response}`; a client-side time-out rejects. */
export function answer(push, what) {
  const settled = new Promise((resolve, reject) => {
    for (const status of ['ok', 'error']) push.receive(status, response => resolve({ status, response }))
    push.receive('timeout', () => reject(new Error(`the client timed out on ${what}`)))
  })
  return deadline(settled, what, LONG)
}

/** Joins `topic` and answers `{channel, status, response}`; `events` gets every event of the channel. */
export async function join(socket, topic, payload = {}) {
  const channel = socket.channel(topic, payload)
  const events = record(channel)
  const { status, response } = await answer(channel.join(), `join of ${topic}`)
  return { channel, events, status, response }
}

/** Pushes and waits for the reply. */
export function push(channel, event, payload) {
  return answer(channel.push(event, payload), `the reply to ${event}`)
}

/** Every message the channel is given, `{event, payload}`, replies left out. */
export function record(channel) {
  const events = new Inbox()
  channel.onMessage = (event, payload) => {
    // A push that times out is an event without a name.
    if (event && event !== 'phx_reply' && !event.startsWith('chan_reply_')) events.put({ event, payload })
    return payload
  }
  return events
}

/** Closes the socket for good and waits until it is. */
export function disconnect(socket) {
  return deadline(new Promise(resolve => socket.disconnect(resolve)), 'the socket to close')
}
