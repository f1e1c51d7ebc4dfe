// The figures that are looked at first, each with its last minute.

import { Spark } from './chart.js'
import { h, id, mark, say } from './dom.js'
import { bytes, count, millis, percent, rate } from './format.js'

const sum = values => values.reduce((one, other) => one + other, 0)
const each = (point, number) => number / point.seconds

/** Connections that broke and requests to servers behind that failed, by the second. */
const errors = point => each(point, sum(point.lost) + point.failures)
/** What was refused for whatever reason, by the second. */
const refusals = point => each(point, sum(point.refused) + sum(point.shed))

const FIGURES = [
  { name: 'Connections', of: point => sum(point.connections), text: count },
  { name: 'Received', unit: '/s', of: point => each(point, sum(point.received)), text: rate },
  { name: 'Sent', unit: '/s', of: point => each(point, sum(point.sent)), text: rate },
  { name: 'Delivery p99', unit: 'ms', of: point => point.p99, text: millis },
  { name: 'Errors', unit: '/s', of: errors, text: rate, bad: true },
  { name: 'Refused', unit: '/s', of: refusals, text: rate, bad: true },
]

/** From what is looked at once a second beside the shards. */
const GAUGES = [
  { name: 'Busiest core', key: 'cpu' },
  { name: 'Memory budget', key: 'memory' },
]

/** Figures in a row. */
export class Summary {
  #figures = FIGURES.map(figure => ({ ...figure, spark: new Spark(), value: h('span', { class: 'value' }) }))
  #gauges = GAUGES.map(gauge => ({ ...gauge, value: h('span', { class: 'value' }), meter: h('span', { class: 'meter' }) }))

  constructor() {
    const figures = this.#figures.map(({ name, unit, value, spark }) => item(name, unit, value, spark.element))
    const gauges = this.#gauges.map(({ name, value, meter }) => item(name, '', value, meter))
    id('figures').replaceChildren(...figures, ...gauges)
  }

  update({ frame, points }) {
    const last = points.at(-1)
    for (const { of, text, value, spark, bad } of this.#figures) {
      const now = last && of(last)
      say(value, text(now))
      mark(value, 'data-mark', bad && now > 0 ? 'bad' : null)
      spark.show(points.map(of))
    }
    for (const { key, value, meter } of this.#gauges) {
      const now = frame.intelligence.values[key]
      say(value, percent(now === null ? null : now / 100, now < 10 ? 1 : 0))
      mark(value, 'data-mark', now >= 80 ? 'bad' : null)
      meter.style.setProperty('--part', Math.min((now ?? 0) / 100, 1))
    }
  }
}

function item(name, unit, value, picture) {
  return h('div', { class: 'figure' }, h('dt', {}, name), h('dd', {}, value, unit ? h('span', { class: 'unit' }, unit) : ''),
    h('dd', { class: 'picture', 'aria-hidden': 'true' }, picture))
}

/** Bytes a second as a text. */
export const flow = (point, number) => `${bytes(each(point, number))}/s`
