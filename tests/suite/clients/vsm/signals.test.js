// Pain and its end pass every queue: while the one core that the gateway has is 90 % busy, while a webhook does not take what
// it was told before, while a subscriber does not read. Each is said once. How long they take is printed, and judged in the
// long run only.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import http from 'node:http'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'

import { Bus, Receiver } from '../lib/bus.js'
import { disconnect, join, phoenix } from '../lib/channel.js'
import { get, post } from '../lib/http.js'
import { deadline, Inbox, LONG } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'
import { Client, failed, worked } from '../upstreams/client.js'
import { Server, well } from '../upstreams/server.js'

const FLOOD = new URL('./flood.js', import.meta.url).pathname

/** Servers that go away and come back: a pain and a pleasure of each. */
const SERVERS = 24
/** Of the core that the gateway has. */
const BUSY = 0.9
/** Looks until then, half a second apart: other processes may want the core. */
const LOOKS = 20
/** What a signal may take, milliseconds. */
const BAR_MS = 100
/** How long a pain must be over before that is said (docs/events.md), with time to spare. */
const SETTLED = LONG + 15_000

const JUDGED = process.env.LONG === '1'

const BREAKER = 'timeout = "2s"\ncircuit_breaker = { threshold = 0.01, minimum = 1, probes = 1, timeout = "100ms" }'
const behind = servers => servers.map(({ url }, n) => `[[upstream]]\nname = "s${n}"\nurl = "${url}"\n${BREAKER}\n`).join('')
const hook = (name, { url }, topics) =>
  `[[webhook]]\nname = "${name}"\nurl = "${url}"\ntopics = ${JSON.stringify(topics)}\ntimeout = "1m"\n`

/** As many servers. */
function start(count) {
  return Promise.all(Array.from({ length: count }, () => Server.start(well)))
}

/** Ends server `n` and calls it: its breaker opens. */
async function hurt(client, servers, n) {
  await servers[n].kill()
  failed(await client.work(`s${n}`, 'anything'))
}

/** The flood beside a gateway: `busy` are the shares of time that the gateway ran, and that it wanted to and had no core. */
class Flood {
  static async start(weir) {
    const flood = new Flood()
    const args = [FLOOD, weir.ports.ws, weir.pid, BUSY].map(String)
    flood.child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    flood.busy = new Inbox()
    flood.child.stdout.setEncoding('utf8')
    flood.child.stdout.on('data', text => {
      for (const [, ...shares] of text.matchAll(/busy (\S+) (\S+)/g)) flood.busy.put(shares.map(Number))
    })
    process.on('exit', () => flood.child.kill('SIGKILL'))
    return flood
  }

  /** Waits until the gateway is as busy as it is to be, or as this machine lets it be. */
  async steady() {
    for (let looks = 0; looks < LOOKS; looks++) {
      const [ran] = await this.busy.take('the share')
      if (Math.abs(ran - BUSY) < 0.05) break
    }
    this.busy.items.splice(0)
  }

  async end() {
    const closed = once(this.child, 'close')
    this.child.kill('SIGKILL')
    await deadline(closed, 'the flood to end')
  }
}

/** The smallest, the median, the 95th in a hundred, and the largest. */
function distribution(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const at = share => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return `${sorted.length} times: ${at(0)}, ${at(0.5)}, ${at(0.95)}, ${sorted.at(-1)} ms (min, p50, p95, max)`
}

describe('a signal, while the gateway is 90 % busy,', () => {
  let weir, servers, receiver, slow, release, bus, socket, client, flood
  /** Who listens, by name: `inbox` of `{arrived, event, timestamp, data}`. */
  let listeners

  before(async () => {
    servers = await start(SERVERS)
    receiver = await Receiver.start()
    const released = new Promise(resolve => { release = resolve })
    slow = await Receiver.start(async ({ json }, response) => {
      if (json.system !== 'algedonic') await released
      response.writeHead(204).end()
    })
    const config = `[mcp]\nprefix = "always"\n${behind(servers)}` +
      hook('ops', receiver, ['algedonic']) + hook('slow', slow, ['algedonic', 's3_control'])
    // Everything of the gateway's on one core: the control thread has it when the shard leaves it.
    const inside = ['taskset', '-c', '0']
    weir = await Weir.start({ shards: 1, config, inside, flags: ['--rate-limit', '1000000000'] })
    bus = await Bus.open(weir, 'algedonic')
    socket = phoenix(weir, { client_id: 'watcher' })
    const { channel, status } = await join(socket, 'vsm:algedonic')
    assert.equal(status, 'ok')
    const updates = new Inbox()
    channel.on('vsm_update', update => updates.put({ arrived: Date.now(), ...update }))
    const posts = new Inbox()
    receiver.answer = ({ arrived, json }, response) => {
      posts.put({ arrived, ...json })
      response.writeHead(204).end()
    }
    listeners = { 'a webhook': posts, 'a subscriber': bus.inbox, 'a Phoenix client': updates }
    client = await Client.open(weir)
    flood = await Flood.start(weir)
    await flood.steady()
  })
  after(async () => {
    await flood?.end()
    await client?.close()
    bus?.close()
    if (socket) await disconnect(socket)
    await weir?.close()
    for (const server of servers) await server.close()
    receiver.close()
    slow.close()
  })

  /** What each listener hears of that feeling about server `n`. */
  function heard(event, n, ms) {
    const wanted = item => item.event === event && item.data.context.name === `s${n}`
    const taken = async ([name, inbox]) => [name, await inbox.take(`${event} at ${name}`, wanted, ms)]
    return Promise.all(Object.entries(listeners).map(taken))
  }

  /** Prints how long each took to hear of it, and in the long run judges that. */
  async function judge(what, took) {
    const shares = [await flood.busy.take('the share'), ...flood.busy.items.splice(0)]
    const percent = of => (shares.reduce((sum, share) => sum + 100 * share[of], 0) / shares.length).toFixed(0)
    console.log(`${what}; the gateway ran for ${percent(0)} % of the time, its threads waited for the core ${percent(1)} %:`)
    for (const [name, values] of took) console.log(`  ${name}, ${distribution(values)}`)
    if (!JUDGED) return
    for (const [name, values] of took) assert.ok(Math.max(...values) <= BAR_MS, `${name}: ${what}`)
  }

  /** Adds what one more was heard after, in milliseconds since `from(record)`. */
  function note(took, records, from) {
    for (const [name, record] of records) took.set(name, [...(took.get(name) ?? []), record.arrived - from(record)])
  }

  it('of pain arrives everywhere, and past what was said before and waits', async () => {
    const [sinceCause, sinceRequest] = [new Map(), new Map()]
    for (let n = 0; n < SERVERS; n++) {
      const asked = Date.now()
      const answered = hurt(client, servers, n)
      const records = await heard('pain', n)
      for (const [, { data }] of records) assert.deepEqual(data, records[0][1].data)
      note(sinceCause, records, ({ timestamp }) => Date.parse(timestamp))
      note(sinceRequest, records, () => asked)
      await answered
    }
    // The slow webhook has not taken the first event of the first breaker; the events since then wait behind it.
    const pains = await slow.inbox.takeMany(SERVERS, 'a pain', ({ json }) => json.event === 'pain')
    assert.deepEqual(pains.map(({ json }) => json.data.context.name), servers.map((_, n) => `s${n}`))
    assert.deepEqual(slow.inbox.items.map(({ json }) => [json.event, json.data.name]), [['breaker_opened', 's0']])
    const { json: { webhooks } } = await get(weir.url('/mcp/admin/webhooks', 'admin'))
    const { signals, events } = webhooks.find(({ name }) => name === 'slow')
    assert.deepEqual([signals.delivered, signals.waiting, events.delivered], [SERVERS, 0, 0])
    assert.ok(events.waiting >= SERVERS - 1, `${events.waiting} events wait`)
    await judge('pain, since the breaker opened', sinceCause)
    console.log('  since the server was ended, with the call that found out:')
    for (const [name, values] of sinceRequest) console.log(`  ${name}, ${distribution(values)}`)
  })

  it('of its end arrives everywhere, with the time that the pain was', async () => {
    for (const [n, server] of servers.entries()) {
      await server.listen()
      assert.equal(worked(await client.workAgain(`s${n}`, 'something')), 'worked on something')
    }
    const took = new Map()
    for (let n = 0; n < SERVERS; n++) {
      const records = await heard('pleasure', n, SETTLED)
      for (const [, { data }] of records) {
        assert.deepEqual(data, records[0][1].data)
        assert.ok(data.recovery_time_ms > 0)
      }
      note(took, records, ({ timestamp }) => Date.parse(timestamp))
    }
    await judge('the end of pain, since it was said', took)
  })

  it('is said once', async () => {
    // Another pain, after all of those: whatever was said before has come.
    await hurt(client, servers, 0)
    await heard('pain', 0)
    for (const [name, inbox] of Object.entries(listeners)) assert.deepEqual(inbox.items, [], name)
    release()
    await slow.inbox.takeMany(SERVERS, 'an event', ({ json }) => json.event === 'breaker_closed')
  })
})

describe('a signal', () => {
  /** Messages in a batch; a shard keeps no more than 256 events of a turn. */
  const LINES = 80
  const BATCHES = 150
  const KIND = 'k'.repeat(100)

  it('is read before events that were said earlier, by a subscriber that did not read for a while', async () => {
    const servers = await start(1)
    const config = `[mcp]\nprefix = "always"\n${behind(servers)}[rate_limiting.backend]\nlimit = 0\n`
    const weir = await Weir.start({ shards: 1, config })
    assert.equal((await post(weir.url('/mcp/admin/trace/noisy', 'admin'), { for_s: 300 })).status, 200)
    const url = weir.url('/mcp/admin/events?topics=algedonic,client:noisy', 'admin')
    const [response] = await once(http.get(url, { agent: false }), 'response')
    response.setEncoding('utf8').pause()
    const line = JSON.stringify({ client: 'noisy', type: KIND, data: 1 })
    for (let n = 0; n < BATCHES; n++) {
      const { status } = await post(weir.url('/mcp/batch'), Array(LINES).fill(line).join('\n'))
      assert.equal(status, 200)
    }
    const client = await Client.open(weir)
    await hurt(client, servers, 0)
    // A letter behind all of those of the shard: all is said.
    await get(weir.url('/mcp/stats', 'admin'))

    const passed = /^event: pain$[^]*^event: (received|allowed|dispatched)$/m
    await deadline((async () => {
      let text = ''
      for await (const part of response) {
        text += part
        if (passed.test(text)) return
      }
    })(), 'the signal, and behind it an event that waited')
    await client.close()
    await weir.close()
  })

  it('is said where shards say nothing else, which is what switching events off leaves', async () => {
    const servers = await start(1)
    const receiver = await Receiver.start()
    const config = `[vsm]\nevents = false\n[mcp]\nprefix = "always"\n${behind(servers)}${hook('ops', receiver, ['*'])}`
    const weir = await Weir.start({ shards: 1, config: `${config}[intelligence]\nenabled = false\n` })
    const bus = await Bus.open(weir)
    const client = await Client.open(weir)
    await hurt(client, servers, 0)
    await bus.said('pain')
    await receiver.told('pain')
    await get(weir.url('/mcp/stats', 'admin'))
    await get(weir.url('/ready', 'admin'))
    assert.deepEqual([...bus.inbox.items, ...receiver.inbox.items], [])
    await client.close()
    bus.close()
    await weir.close()
    receiver.close()
  })
})
