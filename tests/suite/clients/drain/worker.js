// A process full of clients of a gateway that is about to stop.

import WebSocket from 'ws'

import { answerAll, behind } from '../lib/crowd.js'
import { Client, openEventSource, openPhoenix } from '../lib/holders.js'

/** Until a raw socket is opened again, milliseconds. */
const AGAIN = 200

/** What a stateless MCP request says of its client. */
const META = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }

/** The gateway is about to stop: calls under way are the last on their connections. */
let holding = false

/** Raw JSON-RPC with a call under way at all times, each of some hundred milliseconds. */
function openRaw(client, { ws }) {
  const socket = new WebSocket(`${ws}?client_id=${encodeURIComponent(client.name)}`, 'mcp')
  let open = null
  const ask = () => {
    open = ++client.asked
    const call = { name: 'sleep', arguments: { seconds: 0.2 + Math.random() }, _meta: META }
    socket.send(JSON.stringify({ jsonrpc: '2.0', id: open, method: 'tools/call', params: call }))
  }
  socket.on('open', () => {
    client.ups.push(Date.now())
    ask()
  })
  socket.on('message', text => {
    const { id, error } = JSON.parse(String(text))
    if (id !== open) client.lost += 1
    open = null
    if (error) client.refused += 1
    else client.answered += 1
    // What is said while the gateway says goodbye crosses that, and is not heard.
    if (!error && !holding) ask()
  })
  socket.on('error', () => {})
  socket.on('close', code => {
    if (open !== null) client.lost += 1
    client.closed(code)
    setTimeout(() => openRaw(client, { ws }), AGAIN)
  })
}

const clients = []

/** What the parent may ask; each answer goes back under the question's number. */
const QUESTIONS = {
  open({ names, urls }) {
    for (const [name, kind] of names) {
      const client = new Client(name)
      clients.push(client)
      if (kind.carrier === 'sse') openEventSource(client, urls)
      else if (kind.carrier === 'raw') openRaw(Object.assign(client, { asked: 0, answered: 0, refused: 0, lost: 0 }), urls)
      else openPhoenix(client, kind, urls)
    }
    return clients.length
  },
  /** How many clients have been up after `since`: come back, or never closed. */
  up({ since }) {
    return clients.filter(({ ups, closes }) => ups.some(at => at >= since) || (ups.length > 0 && closes.every(({ at }) => at < since))).length
  },
  /** When each client was closed after `since`, with which code, and when it was up again. */
  moves({ since }) {
    return clients.map(({ name, closes, ups }) => {
      const closed = closes.find(({ at }) => at >= since)
      const back = closed && ups.find(at => at >= closed.at)
      return { name, closed, back, codes: closes.map(({ code }) => code) }
    })
  },
  /** How many clients have not seen the number that `heads` names for them. */
  behind({ heads }) {
    return behind(clients, heads)
  },
  hold() {
    holding = true
    return true
  },
  calls() {
    const raw = clients.filter(({ asked }) => asked !== undefined)
    const sum = what => raw.reduce((all, client) => all + client[what], 0)
    return { asked: sum('asked'), answered: sum('answered'), refused: sum('refused'), lost: sum('lost') }
  },
  histories() {
    return clients.map(({ name, history }) => [name, history])
  },
}

answerAll(QUESTIONS)
