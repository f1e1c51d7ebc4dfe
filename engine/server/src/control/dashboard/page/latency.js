// How long deliveries take, and turns.

import { Chart } from './chart.js'
import { Table, id } from './dom.js'
import { TRANSPORTS, count, millis } from './format.js'
import { swatch } from './throughput.js'

const SERIES = [
  { label: 'p50', colour: '--ink', width: 1.5 },
  { label: 'p99', colour: '--bad', width: 1.5 },
  { label: 'turn p99', colour: '--soft', width: 1.25, dash: [4, 3] },
]

/** What rows beside those of transports are called. */
const TURN = { key: 'turn', name: 'Turn of a core', colour: '--soft' }

export class Latency {
  swatches = new Map()
  #chart = new Chart(id('latency-plot'), SERIES, { log: true, format: value => value >= 1 ? String(value) : String(+value.toPrecision(1)) })
  #table = new Table(id('latency-table'), 'Latency within the time shown, milliseconds', [
    { name: 'Delivery, ms' }, { name: 'p50', kind: 'number' }, { name: 'p90', kind: 'number wide-only' }, { name: 'p99', kind: 'number' },
    { name: 'p99.9', kind: 'number' }, { name: 'max', kind: 'number' }, { name: 'count', kind: 'number wide-only' },
  ])

  constructor() {
    const legend = document.createElement('p')
    legend.className = 'key'
    for (const { label, colour } of SERIES) legend.append(swatch(this, label, label, colour))
    id('latency-plot').after(legend)
  }

  update({ frame, points, hello }) {
    const positive = value => value > 0 ? value : null
    this.#chart.show(points, [point => positive(point.p50), point => positive(point.p99), point => positive(point.turn_p99)], hello.history_ms)
    this.#table.show(frame.latency.map(row => {
      const { key, name, colour } = TRANSPORTS.find(it => it.key === row.of) ?? TURN
      const times = [row.p50, row.p90, row.p99, row.p999, row.max].map(millis)
      return { key, mark: row.count === 0 ? 'still' : null, cells: [swatch(this, key, name, colour), ...times, count(row.count)] }
    }))
  }
}
