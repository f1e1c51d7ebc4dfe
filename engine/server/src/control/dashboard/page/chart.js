// Charts over the time that the gateway remembers, on uPlot; and lines as small as a word.

import { svg } from './dom.js'
import { colour, onColours } from './theme.js'

const { uPlot } = globalThis

/** A pause between points this much longer than they are apart is a hole, milliseconds. */
const HOLE = 1_500

const seconds = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })

/** Columns of uPlot: the time in seconds, then what `values` makes of each point; holes are null. */
export function columns(points, values) {
  const width = values.length
  const table = Array.from({ length: width + 1 }, () => [])
  points.forEach((point, place) => {
    const before = points[place - 1]
    if (before && point.at - before.at > point.seconds * 1_000 + HOLE) {
      table[0].push((before.at + 1) / 1_000)
      for (let column = 1; column <= width; column += 1) table[column].push(null)
    }
    table[0].push(point.at / 1_000)
    values.forEach((value, column) => table[column + 1].push(value(point)))
  })
  return table
}

/**
 * A chart in `element` whose x axis is the last `history` milliseconds.
 *
 * Series: `{label, colour, fill?, width?, dash?}` with names of colours. Options: `log`, `mirrored` (below zero stands
 * what is counted the other way), `between` (a colour between the first two series), `format` for the values of the y axis.
 */
export class Chart {
  #element
  #series
  #options
  #plot = null
  #data = null
  #range = [0, 1]

  constructor(element, series, options) {
    this.#element = element
    this.#series = series
    this.#options = options
    new ResizeObserver(() => this.#resize()).observe(element)
    onColours(() => this.#rebuild())
  }

  /** Shows `points`, the last at the right edge. */
  show(points, values, history) {
    this.#data = columns(points, values)
    const end = (points.at(-1)?.at ?? Date.now()) / 1_000
    this.#range = [end - history / 1_000, end]
    if (this.#plot) this.#plot.setData(this.#data)
    else this.#rebuild()
  }

  #resize() {
    const { width, height } = this.#size()
    if (this.#plot && width > 0) this.#plot.setSize({ width, height })
  }

  #size() {
    const { clientWidth: width, clientHeight: height } = this.#element
    return { width, height }
  }

  #rebuild() {
    const size = this.#size()
    if (!this.#data || size.width === 0) return
    this.#plot?.destroy()
    this.#plot = new uPlot({ ...size, ...this.#config() }, this.#data, this.#element)
  }

  /** The time of day, unless it would be cut off at the right edge. */
  #label(plot, at) {
    const room = (this.#range[1] - at) / (this.#range[1] - this.#range[0]) * plot.bbox.width / devicePixelRatio
    return room < 16 ? null : seconds.format(at * 1_000)
  }

  #config() {
    const { log, format, mirrored, between } = this.#options
    const axis = {
      stroke: colour('--soft'), font: '11px ui-sans-serif, system-ui, sans-serif',
      grid: { stroke: colour('--rule'), width: 1 }, ticks: { show: false },
    }
    return {
      padding: [8, 12, 0, 0],
      bands: between ? [{ series: [1, 2], fill: colour(between) }] : [],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: () => this.#range },
        y: log ? { distr: 3, range: bounds } : { range: (_, low, high) => span(low, high, mirrored) },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 22, space: 90, values: (plot, ticks) => ticks.map(at => this.#label(plot, at)) },
        { ...axis, size: 46, gap: 6, space: 28, splits: log ? decades : undefined, values: (_, ticks) => ticks.map(value => value === null ? null : format(Math.abs(value))) },
      ],
      series: [{}, ...this.#series.map(it => ({
        stroke: colour(it.colour), width: it.width ?? 1.5, dash: it.dash, points: { show: false }, spanGaps: false,
        fill: it.fill && colour(it.fill),
      }))],
    }
  }
}

/** At least one above zero, and room on both sides if below zero stands something too. */
function span(low, high, mirrored) {
  const most = Math.max(high ?? 0, mirrored ? -(low ?? 0) : 0, 1) * 1.08
  return [mirrored ? Math.min((low ?? 0) * 1.08, -most / 4) : 0, Math.max((high ?? 0) * 1.08, most / 4)]
}

/** Whole powers of ten, at least two of them. */
function bounds(_, low, high) {
  const down = Math.floor(Math.log10(low > 0 ? low : 0.01))
  const up = Math.ceil(Math.log10(high > 0 ? high : 1))
  return [10 ** Math.min(down, up - 2), 10 ** up]
}

/** Powers of ten from `low` to `high`. */
function decades(_, __, low, high) {
  const [from, to] = [Math.round(Math.log10(low)), Math.round(Math.log10(high))]
  return Array.from({ length: to - from + 1 }, (_, place) => 10 ** (from + place))
}

/** A line of `values` without axes, as high as a line of text. */
export class Spark {
  #line = svg('polyline', { fill: 'none', 'vector-effect': 'non-scaling-stroke' })
  #area = svg('polygon', { class: 'area' })

  constructor() {
    this.element = svg('svg', { class: 'spark', viewBox: '0 0 100 24', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.#area, this.#line)
  }

  show(values) {
    const there = values.map(value => value ?? 0)
    const most = Math.max(...there, 1e-9)
    const step = 100 / Math.max(there.length - 1, 1)
    const path = there.map((value, place) => `${(place * step).toFixed(1)},${(23 - value / most * 21).toFixed(1)}`).join(' ')
    this.#line.setAttribute('points', there.length > 1 ? path : '')
    this.#area.setAttribute('points', there.length > 1 ? `0,24 ${path} 100,24` : '')
  }
}

/** Columns of `values`: what happened when, where most of it is nothing. */
export class Ticks {
  #path = svg('path')

  constructor() {
    this.element = svg('svg', { class: 'ticks', viewBox: '0 0 100 16', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.#path)
  }

  show(values) {
    const most = Math.max(...values, 1)
    const step = 100 / Math.max(values.length, 1)
    const bar = (value, place) => value > 0 ? `M${(place * step).toFixed(1)} 16v-${(2 + value / most * 14).toFixed(1)}h${(step * 0.8).toFixed(1)}V16z` : ''
    const path = values.map(bar).join('')
    if (this.#path.getAttribute('d') !== path) this.#path.setAttribute('d', path)
  }
}
