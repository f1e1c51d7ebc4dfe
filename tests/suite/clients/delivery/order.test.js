// A history of publishes and deliveries under cut connections, judged by the invariants of delivery:
// no fabrication, order, contiguity or a gap, and whatever was accepted is seen.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { join, phoenix } from '../lib/channel.js'
import { source } from '../lib/events.js'
import { send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const CLIENTS = 8
const MESSAGES = process.env.LONG === '1' ? 900 : 300

/** Publishes `MESSAGES` numbered messages to `client`, one after the other; answers `{sequence: data}`. */
async function publisher(weir, client) {
  const accepted = new Map()
  for (let n = 1; n <= MESSAGES; n++) {
    const { status, json } = await send(weir, client, { type: 'chat', data: `${client} ${n}` })
    assert.equal(status, 202)
    accepted.set(json.sequence, `${client} ${n}`)
  }
  return accepted
}

/** Reads `client`'s stream over WebSocket and SSE in turn, cut again and again; answers what came. */
async function reader(weir, client) {
  const seen = []
  let cursor = { epoch: null, sequence: 0 }
  for (let leg = 0; cursor.sequence < MESSAGES; leg++) {
    const take = leg % 2 === 0 ? await overWebSocket(weir, client, cursor) : await overSse(weir, client, cursor)
    const until = Math.min(MESSAGES, cursor.sequence + 7 + leg * 3)
    while (cursor.sequence < until) {
      const envelope = await take.next()
      seen.push(envelope)
      cursor = { epoch: envelope.epoch, sequence: envelope.sequence }
    }
    take.cut()
  }
  return seen
}

async function overWebSocket(weir, client, { epoch, sequence }) {
  const socket = phoenix(weir, { client_id: client })
  const { events } = await join(socket, 'mcp:gateway', epoch ? { resume: { epoch, sequence } } : {})
  return {
    next: async () => (await events.take(`a message for ${client}`, ({ event }) => event === 'message')).payload,
    cut: () => {
      socket.disconnect()
      socket.conn?._socket?.destroy()
    },
  }
}

async function overSse(weir, client, { epoch, sequence }) {
  const es = source(weir.url(`/mcp/sse?client_id=${client}`), { 'last-event-id': `${epoch}-${sequence}` })
  return {
    next: async () => (await es.inbox.take(`a message for ${client}`, ({ name }) => name === 'message')).data,
    cut: () => es.close(),
  }
}

describe('delivery under cut connections', () => {
  it(`brings ${CLIENTS} clients ${MESSAGES} messages each: in order, without a hole, each as it was sent`, async () => {
    // Twenty reconnects in two seconds are suspicious, and would be refused.
    const weir = await Weir.start({ config: '[suspicion]\nthreshold = 0\n' })
    const clients = Array.from({ length: CLIENTS }, (_, n) => `order${n}`)
    const histories = await Promise.all(clients.map(async client => {
      const [accepted, seen] = await Promise.all([publisher(weir, client), reader(weir, client)])
      return { accepted, seen }
    }))
    for (const { accepted, seen } of histories) {
      assert.equal(accepted.size, MESSAGES)
      assert.equal(new Set(seen.map(({ epoch }) => epoch)).size, 1)
      const sequences = seen.map(({ sequence }) => sequence)
      assert.deepEqual(sequences, sequences.map((_, index) => index + 1), 'contiguous, strictly increasing')
      for (const { sequence, data } of seen) assert.equal(data, accepted.get(sequence))
    }
    await weir.close()
  })
})
