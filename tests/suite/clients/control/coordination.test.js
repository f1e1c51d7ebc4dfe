// What keeps one thing from spoiling another (S2): transports do not swing with a flapping connection, and a message to
// thousands lets others through between. Each also switched off, to see that it is this that does it.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import WebSocket from 'ws'

import { join, phoenix } from '../lib/channel.js'
import { Bus } from '../lib/bus.js'
import { event, source } from '../lib/events.js'
import { flap } from '../lib/flap.js'
import { post } from '../lib/http.js'
import { Inbox } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'
import { crowd } from './crowd.js'

/** How often the WebSocket comes and breaks. */
const FLAPS = 12
/** As many losses in a row as nobody has, and no time that a transport must have been up. */
const SWINGING = '[routing]\nfailover_threshold = 1000\nmin_dwell = "10ms"\n'

const SUBSCRIBERS = 2_000
/** Everybody here has one address. */
const CROWDED = '[security]\nmax_connections_per_ip = 0\nhandshakes_per_second = 0\n'

/** The switches of a client that has a steady SSE stream and a WebSocket that flaps. */
async function switches(config) {
  const weir = await Weir.start({ config, shards: 1 })
  const bus = await Bus.open(weir, 'transport')
  const es = source(weir.url('/mcp/sse?client_id=flapping'))
  await event(es, 'connected')
  for (let n = 0; n < FLAPS; n += 1) await flap(weir, 'flapping')
  // What the bus says of somebody else's switch comes after all that.
  const other = source(weir.url('/mcp/sse?client_id=other'))
  await event(other, 'connected')
  const socket = phoenix(weir, { client_id: 'other' })
  await join(socket, 'mcp:gateway')
  const isSwitch = ({ event, data }) => event === 'transport_switched' && data.client === 'other'
  await bus.inbox.take('the switch of the other client', isSwitch)
  const count = bus.inbox.items.filter(({ event }) => event === 'transport_switched').length
  socket.disconnect()
  for (const open of [es, other, bus]) open.close()
  await weir.close()
  return count
}

/** How many pings of a bystander are answered before the last of all subscribers has its message. */
async function between(config) {
  const weir = await Weir.start({ config: CROWDED + config, shards: 1 })
  const ping = new WebSocket(weir.wsUrl('/mcp/ws'), 'mcp')
  const arrived = new Inbox()
  let [began, first, answer, heard, pings] = [0, 0, 0, 0, 0]
  const ask = () => ping.send(`{"jsonrpc":"2.0","id":${pings += 1},"method":"ping"}`)
  ping.on('message', () => {
    if (heard === SUBSCRIBERS) return
    answer ||= performance.now()
    ask()
  })
  const sockets = await crowd(weir.ports.ws, 'topic:all', SUBSCRIBERS, () => {
    heard += 1
    if (heard === 1) {
      first = performance.now()
      ask()
    }
    if (heard === SUBSCRIBERS) arrived.put(performance.now())
  })
  began = performance.now()
  const { json } = await post(weir.url('/mcp/topics/topic:all/messages'), { type: 'news', data: 1 })
  assert.equal(json.delivered_to, SUBSCRIBERS)
  const last = await arrived.take('the last subscriber’s message')
  const answered = pings - 1
  const ms = time => (time === 0 ? '-' : (time - began).toFixed(1))
  console.log(`${config.trim() || 'as it is'}: first message after ${ms(first)} ms, first answer after ${ms(answer)} ms, ` +
    `last message after ${ms(last)} ms; ${answered} pings answered between`)
  sockets.forEach(socket => socket.destroy())
  ping.close()
  await weir.close()
  return answered
}

describe('a WebSocket that flaps beside a steady SSE stream', () => {
  it('is passed over after three losses, and each time taken up again without hysteresis', async () => {
    const [on, off] = [await switches(''), await switches(SWINGING)]
    console.log(`${FLAPS} flaps: ${on} switches with hysteresis, ${off} without`)
    assert.equal(on, 6, 'to it and from it, three times')
    assert.equal(off, 2 * FLAPS, 'to it and from it, each time')
  })
})

describe('a message to thousands', () => {
  it('lets the ping of another client through before the last of them has it', async () => {
    await between('[turn]\ndeliveries = 1000000000\n')
    await between('')
    const answered = await between('[turn]\ndeliveries = 100\n')
    assert.ok(answered > 0, 'no ping was answered between')
  })
})
