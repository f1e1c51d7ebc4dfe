// Who is there: a search, one client, and what its messages go through.

import { Refused, json } from './access.js'
import { Table, Terms, h, id, say } from './dom.js'
import { NONE, bytes, count, plural, span, time, transport } from './format.js'

/** Clients in a list. */
const LIMIT = 12

/** With more clients than these a list is not made again by itself: it takes a walk over all of them. */
const FEW = 2_000

/** How often a list is made again, milliseconds. */
const AGAIN = 5_000

/** How long a client is traced, seconds. */
const TRACED = 300

const path = client => encodeURIComponent(client)

/** The list, and the client that was chosen from it. */
export class Clients {
  #table = new Table(id('clients-table'), 'Clients', [
    { name: 'Client' }, { name: 'Transport' }, { name: 'Age', kind: 'number' }, { name: 'Idle', kind: 'number wide-only' },
    { name: 'Kept', kind: 'number', title: 'Messages kept for it' }, { name: 'Bytes', kind: 'number wide-only', title: 'Of these, and of what waits for its connections' },
    { name: 'Heard', kind: 'number wide-only', title: 'Messages received from it' },
  ], 'Nobody here has such a name.')
  #buttons = new Map()
  #detail
  #few = true
  #asked = 0

  /** `chosen` hears the place of the chosen client on the ring, or null. */
  constructor(chosen) {
    this.#detail = new Detail(chosen)
    id('search').addEventListener('submit', event => {
      event.preventDefault()
      this.#list(true)
    })
    id('search-sort').addEventListener('change', () => this.#list(true))
  }

  /** A second has passed. */
  update() {
    this.#detail.update()
    const now = Date.now()
    if (this.#few && now - this.#asked > AGAIN && !document.hidden) this.#list(false)
  }

  async #list(said) {
    this.#asked = Date.now()
    const query = new URLSearchParams({ sort: id('search-sort').value, limit: LIMIT, name: id('search-name').value.trim() })
    try {
      const { count: found, clients } = await json(`/mcp/admin/connections?${query}`)
      this.#few = found <= FEW
      const words = found > LIMIT ? `${count(found)} found, the first ${LIMIT} shown` : plural(found, 'client')
      say(id('clients-aside'), words)
      if (said) say(id('clients-status'), words)
      this.#table.show(clients.map(client => this.#row(client)))
    } catch (error) {
      if (error instanceof Refused) say(id('clients-aside'), error.message)
    }
  }

  #row(client) {
    const { client_id: name, age_seconds: age, idle_seconds: idle, queue, bytes: kept, received, connections } = client
    if (!this.#buttons.has(name)) {
      if (this.#buttons.size > 1_000) this.#buttons.clear()
      this.#buttons.set(name, h('button', { type: 'button', class: 'name', on: { click: () => this.#detail.open(name) } }, name))
    }
    const carried = client.transport === 'none' ? 'away' : client.transport === 'both' ? 'both' : transport(client.transport)
    return {
      key: name,
      mark: connections === 0 ? 'still' : null,
      cells: [this.#buttons.get(name), carried, connections > 0 ? span(age) : NONE, span(idle), count(queue), bytes(kept), count(received)],
    }
  }
}

/** One client. */
class Detail {
  #section = id('client')
  #title = h('h3', { id: 'client-title', tabindex: '-1' })
  #list = h('dl', { class: 'terms' })
  #terms
  #switches = h('p', { class: 'words' })
  #begin = h('button', { type: 'button', on: { click: () => this.#trace('POST') } }, 'Follow its messages')
  #end = h('button', { type: 'button', class: 'quiet', on: { click: () => this.#trace('DELETE') } }, 'Stop following')
  #words = h('p', { class: 'words', role: 'status' })
  #steps
  #name = null
  #chosen

  constructor(chosen) {
    this.#chosen = chosen
    this.#terms = new Terms(this.#list)
    const close = h('button', { type: 'button', class: 'quiet', on: { click: () => this.#close() } }, 'Close')
    const table = h('table')
    this.#section.append(h('header', {}, this.#title, close), this.#list, this.#switches,
      h('p', { class: 'buttons' }, this.#begin, this.#end), this.#words, h('div', { class: 'scroll log', tabindex: '0', role: 'region', 'aria-label': 'Steps of its messages' }, table))
    this.#steps = new Table(table, 'What its messages went through, the newest first', [
      { name: 'Time' }, { name: 'Step' }, { name: 'Type' }, { name: 'Detail' }, { name: 'Operation', kind: 'wide-only' },
    ], 'No step yet.')
  }

  async open(name) {
    this.#name = name
    say(this.#title, name)
    this.#section.hidden = false
    this.#title.focus()
    await this.#try(async () => {
      const { key } = await json(`/mcp/admin/ring?key=${path(name)}`)
      if (this.#name !== name) return
      this.#chosen(key)
      this.#terms.show({ 'Home': `shard ${key.home}` })
    })
    await this.update()
  }

  async update() {
    const name = this.#name
    if (name === null || document.hidden) return
    await this.#try(async () => {
      const [health, trace] = await Promise.all([json(`/mcp/health/client/${path(name)}`), json(`/mcp/admin/trace/${path(name)}`)])
      if (this.#name === name) this.#show(health, trace)
    })
  }

  /** What the gateway refuses is said; that it does not answer is said at the top of the page. */
  async #try(what) {
    try {
      await what()
    } catch (error) {
      if (error instanceof Refused) say(this.#words, error.status === 404 ? 'It is not known any more.' : error.message)
    }
  }

  #show(health, { traced, events }) {
    this.#terms.show({
      'Transport': health.connected ? transport(health.transport) : 'away', 'Connected for': health.connected ? span(health.connection_age) : NONE,
      'Sent to it': count(health.messages_sent), 'Heard from it': count(health.messages_received), 'Last heard': time(health.last_activity),
      'Not acknowledged': count(health.pending_acks), 'Waiting': bytes(health.queue),
    })
    const switches = health.switches.slice(-3).map(({ at, from, to, reason }) => `${time(at)} ${transport(from)} to ${transport(to)} (${reason})`)
    say(this.#switches, switches.length > 0 ? `Switched: ${switches.join(', ')}` : '')
    this.#begin.hidden = traced
    this.#end.hidden = !traced
    say(this.#words, traced ? 'Its messages are followed, each step as it comes.' : events.length > 0 ? 'Not followed now; these are refusals, or what was followed before.' : 'Not followed now.')
    const rows = events.map(({ event, timestamp, data }) => ({
      key: `${timestamp} ${data.operation} ${event}`,
      cells: [time(timestamp), { text: event, mark: event === 'denied' ? 'bad' : null }, data.type, data.detail ?? '', data.operation],
    }))
    this.#steps.show(rows.reverse())
  }

  async #trace(method) {
    const body = method === 'POST' ? JSON.stringify({ for_s: TRACED }) : undefined
    const headers = body ? { 'content-type': 'application/json' } : undefined
    await this.#try(() => json(`/mcp/admin/trace/${path(this.#name)}`, { method, body, headers }))
    await this.update()
  }

  #close() {
    this.#name = null
    this.#section.hidden = true
    this.#chosen(null)
    id('search-name').focus()
  }
}
