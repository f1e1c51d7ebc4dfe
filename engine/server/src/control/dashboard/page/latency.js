// How long deliveries take, and turns.

import { Chart } from './chart.js'
import { Table, h, id } from './dom.js'
import { TRANSPORTS, count, millis } from './format.js'
import { swatch } from './throughput.js'

/** Between the first two lies what most deliveries take. */
const SERIES = [
  { label: 'p99', colour: '--ink', width: 1.75 },
  { label: 'p50', colour: '--ink', width: 1 },
  { label: 'p99 of turns', colour: '--soft', width: 1.25, dash: [3, 3] },
]

/** What rows beside those of transports are called. */
const TURN = { key: 'turn', name: 'Turn of a core', colour: '--soft' }

export class Latency {
  swatches = new Map()
  #chart = new Chart(id('latency-plot'), SERIES, {
    log: true, between: '--band', format: value => value >= 1 ? String(value) : String(+value.toPrecision(1)),
  })
  #table = new Table(id('latency-table'), 'Latency within the time shown, milliseconds', [
    { name: 'Delivery, ms' }, { name: 'p50', kind: 'number' }, { name: 'p90', kind: 'number wide-only' }, { name: 'p99', kind: 'number' },
    { name: 'p99.9', kind: 'number' }, { name: 'max', kind: 'number' }, { name: 'count', kind: 'number wide-only' },
  ])

  constructor() {
    const legend = h('p', { class: 'key' }, ...SERIES.map(({ label }, place) => h('span', { class: `line line-${place}` }, label)))
    id('latency-plot').after(legend)
  }

  update({ frame, points, hello }) {
    const positive = value => value > 0 ? value : null
    this.#chart.show(points, [point => positive(point.p99), point => positive(point.p50), point => positive(point.turn_p99)], hello.history_ms)
    this.#table.show(frame.latency.map(row => {
      const { key, name, colour } = TRANSPORTS.find(it => it.key === row.of) ?? TURN
      const times = [row.p50, row.p90, row.p99, row.p999, row.max].map(millis)
      return { key, mark: row.count === 0 ? 'still' : null, cells: [swatch(this, key, name, colour), ...times, count(row.count)] }
    }))
  }
}
