// A WebSocket that goes dead without a word, beside an SSE stream that lives: nothing is lost, and how long it takes.

import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'

import { get } from '../lib/http.js'
import { CUTS, namespace } from '../lib/namespace.js'
import { Weir } from '../lib/weir.js'
import { Client, now } from './client.js'
import { Publisher } from './publisher.js'

const IS_LONG = process.env.LONG === '1'
const CLIENTS = IS_LONG ? 500 : 100

// All clients have one address, and it is not a loopback one.
const CROWDED = '[security]\nmax_connections_per_ip = 0\nhandshakes_per_second = 0\n'
const PROBED = `${CROWDED}[routing]\nprobe_interval = "100ms"\n`

const SCENES = [
  { what: 'probes each 100 ms; nothing gets through', config: PROBED, ways: CUTS.both },
  { what: 'probes each 100 ms; nothing comes from the clients', config: PROBED, ways: CUTS.in },
  { what: 'probes each 100 ms; nothing goes to the clients', config: PROBED, ways: CUTS.out },
  { what: 'no probes, TCP_USER_TIMEOUT of 500 ms', config: `${CROWDED}[connection]\nuser_timeout = "500ms"\n`, ways: CUTS.both },
]
if (IS_LONG) SCENES.push({ what: 'nothing configured', config: CROWDED, ways: CUTS.both })

const { namespace: link, reason } = namespace()

/** When the gateway says that a client's messages began to take SSE. */
async function detected(weir, { name }) {
  const { json } = await get(weir.url(`/mcp/health/${name}`))
  const { at, from, to, reason } = json.switches.findLast(({ to }) => to === 'http_sse')
  assert.deepEqual([from, to, reason], ['websocket', 'http_sse', 'connection_lost'])
  return Date.parse(at)
}

/** Some percentiles, in milliseconds. */
function distribution(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const part = p => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))])
  return `p50 ${part(0.5)}, p90 ${part(0.9)}, p99 ${part(0.99)}, max ${part(1)} ms`
}

describe('a WebSocket cut off while SSE lives', { skip: reason }, () => {
  after(() => link.close())

  for (const { what, config, ways } of SCENES) {
    it(what, async t => {
      const weir = await Weir.start({ config, host: link.address, inside: link.command })
      const clients = Array.from({ length: CLIENTS }, (_, n) => new Client(weir, `cut${n}`))
      await Promise.all(clients.map(client => client.connect()))
      const publisher = new Publisher(weir, clients)
      await Promise.all(clients.map(client => client.complete(10)))
      assert.ok(clients.every(client => client.firstOverSse === undefined), 'the WebSocket carries it all')

      const cut = now()
      link.cut(weir.ports.ws, ways)
      const deadline = 120_000
      for (const client of clients) {
        const { data } = await client.told('transport_switched', deadline)
        assert.deepEqual(data, { from: 'websocket', to: 'http_sse', reason: 'connection_lost' })
      }
      const seen = publisher.rounds
      await Promise.all(clients.map(client => client.complete(seen + 10)))
      const detections = await Promise.all(clients.map(client => detected(weir, client)))
      const firsts = clients.map(client => client.firstOverSse)
      const pairs = firsts.map((first, n) => Math.max(0, first - detections[n]))
      t.diagnostic(`${CLIENTS} clients, ${what}`)
      t.diagnostic(`  from the cut to its detection:          ${distribution(detections.map(at => at - cut))}`)
      t.diagnostic(`  from there to the first message on SSE: ${distribution(pairs)}`)
      t.diagnostic(`  together:                               ${distribution(firsts.map(first => first - cut))}`)

      link.mend()
      await Promise.all(clients.map(client => client.rejoins.take(`${client.name} to be back`)))
      await publisher.stop()
      await Promise.all(clients.map(client => client.complete(publisher.rounds)))
      assert.deepEqual(clients.flatMap(client => client.faults()).slice(0, 10), [])
      for (const client of clients) client.close()
      await weir.close()
    })
  }
})
