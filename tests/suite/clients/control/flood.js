// A flood from a thread of its own: batches at a fixed rate, whatever becomes of them (an open loop), and the topic's
// subscribers. What it is told to do comes as `workerData`; it says `{ready}`; told 'more', it doubles its rate; told
// 'end', it says what it was answered.

import net from 'node:net'
import { once } from 'node:events'
import { parentPort, Worker, workerData } from 'node:worker_threads'

import { crowd } from './crowd.js'

/** Connections over which batches go out in turn. */
const CONNECTIONS = 8
/** Between two batches, milliseconds. */
const TICK = 10
const TOPIC = 'topic:flood'

/** Half of the lines for a topic, half of low priority for clients. */
function batch(lines, bytes) {
  const data = 'x'.repeat(bytes)
  const line = n => JSON.stringify(n % 2
    ? { topic: TOPIC, type: 'flood', data }
    : { client: `flooded${n % 50}`, type: 'flood', data, priority: 'low' })
  const body = Array.from({ length: lines }, (_, n) => line(n)).join('\n')
  return `POST /mcp/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

/** The thread's side. */
async function flood({ ports, subscribers, rate, bytes }) {
  const sockets = await crowd(ports.ws, TOPIC, subscribers)
  let lines = Math.round(rate * TICK / 1000)
  let request = batch(lines, bytes)
  const reasons = new Set()
  const senders = Array.from({ length: CONNECTIONS }, () => net.connect(ports.sse, '127.0.0.1'))
  for (const sender of senders) {
    await once(sender, 'connect')
    sender.on('error', () => {})
    sender.on('data', part => {
      for (const [, reason] of part.toString('latin1').matchAll(/"reason":"(\w+)"/g)) reasons.add(reason)
    })
  }
  parentPort.postMessage({ ready: true })
  let ticks = 0
  const began = performance.now()
  const timer = setInterval(() => {
    for (const due = (performance.now() - began) / TICK; ticks < due; ticks += 1) senders[ticks % CONNECTIONS].write(request)
  }, TICK)
  for (let [told] = await once(parentPort, 'message'); told === 'more'; [told] = await once(parentPort, 'message')) {
    request = batch(lines *= 2, bytes)
  }
  clearInterval(timer)
  for (const socket of [...senders, ...sockets]) socket.destroy()
  parentPort.postMessage({ reasons: [...reasons] })
}

if (workerData?.flood) flood(workerData.flood)

/** A flood under way. */
export class Flood {
  /** So many messages a second of so many bytes, half of them to a topic with so many subscribers. */
  static async start(weir, { subscribers, rate, bytes }) {
    const flood = new Flood()
    const { ports } = weir
    flood.worker = new Worker(new URL(import.meta.url), { workerData: { flood: { ports, subscribers, rate, bytes } } })
    await once(flood.worker, 'message')
    return flood
  }

  /** From now on twice as many a second. */
  double() {
    this.worker.postMessage('more')
  }

  /** Ends it; the reasons for which messages of it were refused. */
  async end() {
    this.worker.postMessage('end')
    const [{ reasons }] = await once(this.worker, 'message')
    await this.worker.terminate()
    return reasons
  }
}
