// What goes through the gateway: above the line what is sent, below what is received, transports upon each other.

import { Chart } from './chart.js'
import { Table, h, id, say } from './dom.js'
import { TRANSPORTS, count, rate } from './format.js'
import { flow } from './summary.js'

/** The sum of the first `upTo` transports, by the second. */
const stacked = (direction, upTo, sign) => point =>
  sign * point[direction].slice(0, upTo).reduce((one, other) => one + other, 0) / point.seconds

/** The highest first, so that each covers the lower part of the one before. */
const LAYERS = [4, 3, 2, 1].flatMap(upTo => [['sent', upTo, 1], ['received', upTo, -1]])

export class Throughput {
  #chart
  #table

  constructor() {
    const series = LAYERS.map(([, upTo]) => {
      const { colour } = TRANSPORTS[upTo - 1]
      return { colour, fill: `${colour}-area`, width: 1.25 }
    })
    this.#chart = new Chart(id('traffic-plot'), series, { mirrored: true, format: axis })
    id('traffic-plot').append(h('span', { class: 'side up' }, 'sent'), h('span', { class: 'side down' }, 'received'))
    this.#table = new Table(id('traffic-table'), 'Messages and requests by transport', [
      { name: 'A second' }, { name: 'Sent', kind: 'number' }, { name: 'Received', kind: 'number' },
      { name: 'Peak', kind: 'number', title: 'The most in one interval of this graph, both ways' },
      { name: 'Shown', kind: 'number wide-only', title: 'All within this graph, both ways' },
    ])
  }

  update({ points, hello }) {
    this.#chart.show(points, LAYERS.map(([direction, upTo, sign]) => stacked(direction, upTo, sign)), hello.history_ms)
    const last = points.at(-1)
    if (!last) return
    say(id('traffic-aside'), `${flow(last, last.bytes_out)} out, ${flow(last, last.bytes_in)} in`)
    this.#table.show(TRANSPORTS.map(({ key, name, colour }, place) => {
      const both = point => point.sent[place] + point.received[place]
      const all = points.reduce((sum, point) => sum + both(point), 0)
      return {
        key,
        mark: all === 0 ? 'still' : null,
        cells: [
          swatch(this, key, name, colour), rate(last.sent[place] / last.seconds), rate(last.received[place] / last.seconds),
          rate(Math.max(...points.map(point => both(point) / point.seconds))), count(all),
        ],
      }
    }))
  }

  swatches = new Map()
}

/** A name beside its colour, made once. */
export function swatch(owner, key, name, colour) {
  if (!owner.swatches.has(key)) {
    const patch = h('span', { class: 'patch', 'aria-hidden': 'true' })
    patch.style.setProperty('--patch', `var(${colour})`)
    owner.swatches.set(key, h('span', { class: 'swatch' }, patch, name))
  }
  return owner.swatches.get(key)
}

function axis(value) {
  return value >= 10_000 ? `${count(value / 1_000)}k` : value >= 1_000 ? `${(value / 1_000).toFixed(1)}k` : String(+value.toFixed(1))
}
