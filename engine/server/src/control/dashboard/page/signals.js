// What hurts, what hurt, and what else happened.

import { h, id, say } from './dom.js'
import { plural, span, time, transport } from './format.js'

/** Lines of the log. */
const LINES = 60

/** The same, said again within so many milliseconds, is the same event. */
const TOGETHER = 1_000

/** What events say, in a sentence. */
const SENTENCES = {
  breaker_opened: ({ name }) => `Breaker of ${transport(name)} opened`,
  breaker_half_open: ({ name }) => `Breaker of ${transport(name)} tries again`,
  breaker_closed: ({ name }) => `Breaker of ${transport(name)} closed`,
  admission_changed: ({ from, to }) => `Admission went from ${from} to ${to}`,
  shedding_changed: ({ level }) => level > 0 ? `Shedding at level ${level}` : 'Shedding ended',
  pool_exhausted: ({ upstream }) => `Pool of ${upstream} exhausted`,
  drain: ({ phase, reason, connections }) => ({
    begun: `Orderly stop begun: ${reason}`,
    finishing: `Orderly stop: ${plural(connections, 'connection')} left, which finish what is under way`,
    overdue: 'Orderly stop took too long: connections are cut',
    ended: 'Orderly stop ended',
  })[phase],
  transport_switched: ({ client, from, to }) => `${client} went from ${transport(from)} to ${transport(to)}`,
  rules_reloaded: ({ rules }) => `${plural(rules, 'rule')} read again`,
  rules_rejected: ({ message }) => `Rules not taken: ${message}`,
  config_reloaded: ({ changed, needs_restart: later }) => `Configuration read again: ${plural(changed, 'key')} changed${later > 0 ? `, ${later} need a restart` : ''}`,
  config_rejected: ({ message }) => `Configuration not taken: ${message}`,
  dropped: ({ count }) => `${plural(count, 'event')} left out`,
  pain: ({ message }) => message,
  pleasure: ({ message, recovery_time_ms: took }) => took === undefined ? message : `${message}, after ${took < 1_000 ? `${took} ms` : span(took / 1_000)}`,
}

const TAGS = {
  s1_operations: 'S1', s2_coordination: 'S2', s3_control: 'S3', s4_intelligence: 'S4', s5_policy: 'S5', transport: 'S2', page: '',
}

/** A record of the bus as a sentence. */
export function describe({ event, data }) {
  const sentence = SENTENCES[event]?.(data) ?? data.message ?? event.replaceAll('_', ' ')
  return sentence.charAt(0).toUpperCase() + sentence.slice(1)
}

/** Tag and mark of a line. */
function kind({ system, event, data }) {
  if (event === 'pain') return ['pain', 'bad']
  if (event === 'pleasure') return ['over', 'good']
  return [TAGS[system] ?? system, data.state === 'raised' ? 'warn' : null]
}

export class Signals {
  #pains = id('pains')
  #log = id('log')
  #shown = ''
  /** The newest line. */
  #last = {}

  constructor() {
    this.#log.append(h('li', { class: 'nothing' }, 'Nothing has happened yet that is worth a line.'))
  }

  /** What hurts now. */
  update({ frame: { pains, counts } }) {
    const [felt, over] = [counts.pain ?? 0, counts.pleasure ?? 0]
    say(id('signals-aside'), felt > 0 ? `${plural(felt, 'pain')} since the start, ${over} over` : 'none since the start')
    const key = JSON.stringify(pains)
    if (key === this.#shown) return
    this.#shown = key
    if (pains.length === 0) return this.#pains.replaceChildren(h('p', { class: 'calm' }, h('span', { 'aria-hidden': 'true' }, '●'), ' Nothing hurts.'))
    this.#pains.replaceChildren(...pains.map(({ timestamp, source, data }) => h('article', { class: 'pain', 'data-severity': data.severity },
      h('h3', {}, `${describe({ event: 'pain', data })}.`),
      h('p', {}, `${data.suggested_action}.`),
      h('p', { class: 'meta' }, `${data.severity}, felt by ${source} since ${time(timestamp)}`))))
  }

  /** All that was told, the oldest first. */
  reset(news) {
    this.#log.replaceChildren()
    this.#last = {}
    news.slice(-LINES).forEach(record => this.add(record))
    if (news.length === 0) this.#log.append(h('li', { class: 'nothing' }, 'Nothing has happened yet that is worth a line.'))
  }

  /** One more. What several cores say at once is one line. */
  add(record) {
    const [tag, mark] = kind(record)
    const [said, at] = [describe(record), Date.parse(record.timestamp)]
    if (said === this.#last.said && at - this.#last.at < TOGETHER) {
      this.#last.times += 1
      return say(this.#last.badge, `×${this.#last.times}`)
    }
    const badge = h('span', { class: 'times' })
    this.#last = { said, at, badge, times: 1 }
    this.#log.querySelector('.nothing')?.remove()
    this.#log.prepend(h('li', { 'data-mark': mark ?? undefined },
      h('time', { datetime: record.timestamp }, time(record.timestamp)), h('span', { class: 'tag' }, tag), h('span', {}, said, ' ', badge)))
    while (this.#log.children.length > LINES) this.#log.lastChild.remove()
  }
}
