// Keeps a gateway as busy as it is told to: compressed pushes, which cost little to send and much to read, at a rate that is
// set again and again by what the kernel says the gateway's threads have run. Arguments: the port for WebSockets, the
// gateway's pid, the share of a core. Twice a second it prints `busy RAN WAITED`: shares of the time, over all threads.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import net from 'node:net'
import { deflateRawSync } from 'node:zlib'

import { frame, TEXT, upgrade } from '../lib/frames.js'

const [port, pid, wanted] = process.argv.slice(2).map(Number)

const CONNECTIONS = 8
/** Pushes without a reply on one connection, at most. */
const UNANSWERED_MAX = 32
/** Characters of a push: random hex, which is a third smaller for being compressed and all the work to read. */
const CHARACTERS = 24_000
const TICK_MS = 5
const LOOK_MS = 500

/** A push as one compressed message (RFC 7692, section 7.2.1). */
function compressed(value) {
  const payload = deflateRawSync(Buffer.from(JSON.stringify(value)), { finishFlush: 2 /* Z_SYNC_FLUSH */ })
  return frame(TEXT, payload.subarray(0, -4), { rsv: 4 })
}

const PUSH = compressed(['1', '2', 'mcp:gateway', 'note', { text: randomBytes(CHARACTERS / 2).toString('hex') }])

/** One client: `sent` and `answered` count its pushes. */
async function connect(number) {
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const path = `/mcp/ws/websocket?vsn=2.0.0&client_id=flood${number}`
  socket.write(upgrade(path, 'Sec-WebSocket-Extensions: permessage-deflate\r\n'))
  await once(socket, 'data')
  socket.write(frame(TEXT, '["1","1","mcp:gateway","phx_join",{}]'))
  await once(socket, 'data')
  const client = { socket, sent: 1, answered: 0 }
  socket.write(PUSH)
  const [reply] = await once(socket, 'data')
  // Every push is the same, and so is its reply.
  let bytes = reply.length
  client.answered = 1
  socket.on('data', part => {
    bytes += part.length
    client.answered = Math.floor(bytes / reply.length)
  })
  return client
}

/** Nanoseconds that the gateway's threads have run, and have waited for a core. */
function scheduled() {
  const tasks = readdirSync(`/proc/${pid}/task`).map(id => readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' '))
  return [0, 1].map(column => tasks.reduce((sum, task) => sum + Number(task[column]), 0))
}

const clients = []
for (let number = 0; number < CONNECTIONS; number++) clients.push(await connect(number))

let [rate, owed, next, pushes] = [50, 0, 0, 0]
let ticked = performance.now()
setInterval(() => {
  const now = performance.now()
  owed = Math.min(owed + (rate * (now - ticked)) / 1000, CONNECTIONS * UNANSWERED_MAX)
  ticked = now
  for (let tried = 0; owed >= 1 && tried < CONNECTIONS * UNANSWERED_MAX; tried++) {
    const client = clients[next++ % CONNECTIONS]
    if (client.sent - client.answered >= UNANSWERED_MAX) continue
    client.socket.write(PUSH)
    client.sent++
    pushes++
    owed--
  }
}, TICK_MS)

let [looked, before] = [performance.now(), scheduled()]
setInterval(() => {
  const [now, after] = [performance.now(), scheduled()]
  const [ran, waited] = after.map((sum, column) => (sum - before[column]) / 1e6 / (now - looked))
  ;[looked, before] = [now, after]
  console.log(`busy ${ran.toFixed(3)} ${waited.toFixed(3)}`)
  // Where the gateway takes no more, it is not owed more for later.
  const sent = (pushes * 1000) / LOOK_MS
  pushes = 0
  rate = Math.min(rate, 2 * sent + 10) * Math.min(Math.max(wanted / Math.max(ran, 0.01), 0.5), 2)
}, LOOK_MS)
