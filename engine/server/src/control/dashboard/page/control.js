// What S3 owns: breakers, and the servers behind with their pools.

import { Table, h, id, mark, say } from './dom.js'
import { NONE, count, millis, percent, plural, span, transport } from './format.js'

/** States by a sign and a word: nobody needs to see colours. */
const STATES = {
  closed: { sign: '●', word: 'closed', mark: 'good' },
  half_open: { sign: '◐', word: 'half-open', mark: 'warn' },
  open: { sign: '○', word: 'open', mark: 'bad' },
}

const state = name => STATES[name] ?? { sign: '', word: name }
const label = breaker => `${state(breaker.state).sign} ${state(breaker.state).word}`

/** What a breaker has seen in its window. */
function seen({ succeeded, failed }) {
  const all = succeeded + failed
  return all > 0 ? `${count(failed)} of ${count(all)}` : NONE
}

function until({ state: name, retry_after_ms: retry, held_ms: held }) {
  if (held !== null) return `held, ${span(held / 1_000)}`
  return name === 'open' ? `tries in ${span(Math.max(retry / 1_000, 1))}` : ''
}

export class Breakers {
  #table = new Table(id('breakers-table'), 'Circuit breakers', [
    { name: 'Of' }, { name: 'State' }, { name: 'Failed', kind: 'number', title: 'In the breaker’s window' }, { name: 'Until' },
  ])

  update({ frame: { control } }) {
    if (!control) return
    const open = control.breakers.filter(breaker => breaker.state !== 'closed').length
    say(id('breakers-aside'), open > 0 ? `${count(open)} of ${count(control.breakers.length)} not closed` : 'all closed')
    this.#table.show(control.breakers.map(breaker => ({
      key: breaker.name,
      cells: [name(breaker.name), { text: label(breaker), mark: state(breaker.state).mark }, seen(breaker), until(breaker)],
    })))
  }
}

const name = key => key === 'router' ? 'Router' : transport(key)

/** Each server behind, with its health. */
export class Upstreams {
  #list = id('upstreams-list')
  #items = new Map()

  update({ frame: { control, total } }) {
    if (!control) return
    const { asks, failures, retries } = total.upstream
    const bound = control.pool_total > 0 ? `, ${count(control.pool_total)} connections for all` : ''
    say(id('upstreams-aside'), asks > 0 ? `${plural(asks, 'call')}, ${count(failures)} failed, ${count(retries)} sent again${bound}` : `no calls yet${bound}`)
    if (control.pools.length === 0) return this.#nobody()
    this.#list.querySelector('.nothing')?.remove()
    for (const pool of control.pools) {
      const breaker = control.breakers.find(it => it.name === pool.name)
      this.#item(pool.name).update(pool, breaker)
    }
  }

  #nobody() {
    if (this.#list.children.length === 0) {
      this.#list.append(h('p', { class: 'nothing' }, 'No server stands behind: the built-in one answers MCP clients. ', h('code', {}, '[[upstream]]'), ' in the configuration names others.'))
    }
  }

  #item(name) {
    if (!this.#items.has(name)) {
      const item = new Upstream(name)
      this.#items.set(name, item)
      this.#list.append(item.element)
    }
    return this.#items.get(name)
  }
}

class Upstream {
  #health = h('span', { class: 'state' })
  #use = h('span', { class: 'use', 'aria-hidden': 'true' }, h('span', { class: 'busy' }), h('span', { class: 'free' }))
  #words = h('p', { class: 'words' })
  #replicas = h('ul', { class: 'replicas' })

  constructor(name) {
    this.element = h('article', { class: 'upstream' }, h('h3', {}, name, ' ', this.#health), this.#use, this.#words, this.#replicas)
  }

  update(pool, breaker) {
    const down = pool.replicas.filter(replica => replica.down_on > 0).length
    const { text, mark: health } = judge(pool, breaker, down)
    say(this.#health, text)
    mark(this.#health, 'data-mark', health)
    const room = Math.max(pool.size + pool.overflow_max, pool.in_use + pool.available, 1)
    this.#use.style.setProperty('--busy', pool.in_use / room)
    this.#use.style.setProperty('--free', pool.available / room)
    this.#use.style.setProperty('--size', pool.size / room)
    const waiting = pool.queue_length > 0 ? `, ${count(pool.queue_length)} waiting` : ''
    const share = pool.allocated === null ? '' : `, due ${count(pool.allocated)} by weight ${count(pool.weight)}`
    say(this.#words, `Pool ${pool.status}: ${count(pool.in_use)} busy and ${count(pool.available)} free of ${count(pool.size)} + ${count(pool.overflow_max)}${waiting}${share}; ${wait(pool.avg_checkout_time_ms)}`)
    const targets = pool.replicas.map(({ target, down_on: shards }) => [target, shards > 0 ? `down on ${plural(shards, 'core')}` : 'up', shards > 0])
    const key = JSON.stringify(targets)
    if (this.#replicas.dataset.key === key) return
    this.#replicas.dataset.key = key
    this.#replicas.replaceChildren(...targets.map(([target, words, bad]) =>
      h('li', {}, h('code', {}, target), ' ', h('span', { 'data-mark': bad ? 'bad' : 'good' }, `${bad ? '○' : '●'} ${words}`))))
  }
}

const wait = time => time < 0.001 ? 'one is there at once' : `one takes ${millis(time)} ms`

/** Whether an upstream is well, in a word. */
function judge(pool, breaker, down) {
  if (breaker?.state === 'open') return { text: '○ breaker open', mark: 'bad' }
  if (down > 0) return down === pool.replicas.length ? { text: '○ down', mark: 'bad' } : { text: `◐ ${count(down)} of ${count(pool.replicas.length)} down`, mark: 'warn' }
  if (breaker?.state === 'half_open') return { text: '◐ tried again', mark: 'warn' }
  if (pool.status === 'exhausted') return { text: '◐ exhausted', mark: 'warn' }
  const all = (breaker?.succeeded ?? 0) + (breaker?.failed ?? 0)
  return { text: all > 0 && breaker.failed > 0 ? `● up, ${percent(breaker.failed / all, 1)} failing` : '● up', mark: 'good' }
}
