// The five systems of the viable system model, each with what it does now.

import { Terms, h, id, mark, say } from './dom.js'
import { count, millis, percent, plural, rate } from './format.js'
import { describe } from './signals.js'

const sum = values => values.reduce((one, other) => one + other, 0)
const gauge = value => ({ text: percent(value === null ? null : value / 100), mark: value >= 80 ? 'bad' : null })

/** What is largest in a load, with its name. */
function heaviest(load) {
  const [name, part] = Object.entries(load).reduce((one, other) => other[1] > one[1] ? other : one)
  return part > 0.005 ? `${percent(part)}, ${name}` : '0 %'
}

const SYSTEMS = [
  {
    key: 's5_policy', name: 'S5', title: 'Policy', job: 'what is allowed',
    state: (_, last) => sum(last.refused) > 0 ? ['refusing', 'warn'] : ['nothing to refuse', 'good'],
    terms: ({ total }, last) => ({
      'Refused a second': rate(sum(last.refused) / last.seconds),
      'Let through': percent(1 - sum(last.refused) / Math.max(sum(last.refused) + last.operations, 1), 1),
      'By rate limits': count(total.limited), 'By permissions': count(total.denied), 'By rules': count(total.forbidden),
      'Kept out': count(total.kept_out + total.turned_away),
    }),
  },
  {
    key: 's4_intelligence', name: 'S4', title: 'Intelligence', job: 'what is coming',
    state: ({ intelligence: { active } }) => active.length > 0 ? [plural(active.length, 'finding'), 'warn'] : ['nothing odd', 'good'],
    terms: ({ intelligence: { values } }) => ({
      'Busiest core': gauge(values.cpu), 'Memory budget': gauge(values.memory), 'Fullest table': gauge(values.connections),
      'Link': gauge(values.bandwidth), 'Disk': gauge(values.disk), 'Turn p99': `${millis(values.turn_p99)} ms`,
    }),
    note: ({ intelligence: { active } }) => active[0]?.message,
  },
  {
    key: 's3_control', name: 'S3', title: 'Control', job: 'what there is to share',
    state: ({ control }) => {
      const tight = control.shedding > 0 || control.admission !== 'open' || control.breakers.some(({ state }) => state === 'open')
      return tight ? ['refusing some', 'bad'] : ['open to all', 'good']
    },
    terms: ({ control }) => ({
      'Admission': { text: control.admission, mark: control.admission === 'open' ? null : 'bad' },
      'Shedding': { text: control.shedding === 0 ? 'none' : `level ${control.shedding}`, mark: control.shedding > 0 ? 'bad' : null },
      'Heaviest load': heaviest(control.load),
      'Mean turn': `${millis(control.turn_ms)} ms`,
      'Breakers open': count(control.breakers.filter(({ state }) => state === 'open').length),
      'Pools exhausted': count(control.pools.filter(({ status }) => status === 'exhausted').length),
    }),
  },
  {
    key: 's2_coordination', name: 'S2', title: 'Coordination', job: 'what disturbs what',
    topics: ['s2_coordination', 'transport'],
    state: (_, last) => last.spread > 0 ? ['spreading work', 'warn'] : ['steady', 'good'],
    terms: ({ total, counts }, last) => ({
      'Transport switches': count(counts.transport_switched ?? 0), 'Turns cut short': count(total.spread),
      'Cut short a second': rate(last.spread / last.seconds), 'Moved to their core': count(total.handed_over),
      'Done already': count(total.duplicates), 'Fenced off': count(total.fenced),
    }),
  },
  {
    key: 's1_operations', name: 'S1', title: 'Operations', job: 'what is done',
    state: ({ drain }, last) => drain ? ['stopping', 'bad'] : last.operations > 0 ? ['at work', 'good'] : ['idle', 'good'],
    terms: ({ total }, last) => ({
      'Operations a second': rate(last.operations / last.seconds), 'Operations': count(total.operations),
      'MCP calls under way': count(total.mcp.calls), 'MCP sessions': count(total.mcp.sessions),
      'Turns a second': rate(last.turns / last.seconds), 'Messages kept': count(total.appended),
    }),
  },
]

export class Systems {
  #systems = SYSTEMS.map(system => {
    const [state, note] = [h('p', { class: 'state' }), h('p', { class: 'note' })]
    const terms = h('dl', { class: 'terms' })
    const title = h('h3', {}, h('abbr', { class: 'number' }, system.name), ' ', system.title, h('span', { class: 'job' }, system.job))
    return { ...system, state_: state, note_: note, list: new Terms(terms), element: h('article', { class: 'system' }, title, state, terms, note) }
  })
  #channel = h('p', { class: 'channel' })

  constructor() {
    id('systems-list').replaceChildren(...this.#systems.map(({ element }) => element), this.#channel)
  }

  update({ frame, points, news }) {
    const last = points.at(-1)
    if (!last || !frame.control) return
    for (const system of this.#systems) {
      const [word, state] = system.state(frame, last)
      say(system.state_, word)
      mark(system.state_, 'data-mark', state)
      system.list.show(system.terms(frame, last))
      const topics = system.topics ?? [system.key]
      const latest = news.findLast(record => topics.includes(record.system))
      say(system.note_, system.note?.(frame) ?? (latest ? `Last: ${describe(latest)}` : ''))
    }
    const { pains, counts } = frame
    say(this.#channel, pains.length > 0 ? `Algedonic channel: ${plural(pains.length, 'pain')} now` : `Algedonic channel: nothing hurts${counts.pain ? `; ${plural(counts.pain, 'pain')} since the start` : ''}`)
    mark(this.#channel, 'data-mark', pains.length > 0 ? 'bad' : null)
  }
}
