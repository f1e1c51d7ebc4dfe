// The hash ring: which core is home to which part of the circle, and to how many.

import { Table, h, id, say, svg } from './dom.js'
import { count, percent } from './format.js'
import { onColours } from './theme.js'

const SIZE = 300
const OUTER = 142
/** Cores that have a track of their own; with more all are on one. */
const TRACKS = 4

export class Ring {
  swatches = new Map()
  #drawing = id('ring-drawing')
  #marker = svg('g', { class: 'marker' })
  #total = svg('text', { x: 0, y: -2, class: 'total' })
  #hello = null
  #table = new Table(id('ring-table'), 'What each core is home to', [
    { name: 'Core' }, { name: 'Circle', kind: 'number', title: 'Its part of the circle' },
    { name: 'Points', kind: 'number', title: 'Virtual nodes' }, { name: 'Keys', kind: 'number bar', title: 'Streams and topics whose home it is' },
  ])

  constructor() {
    onColours(() => this.#draw())
  }

  /** The circle as it was cut at the start. */
  reset(hello) {
    this.#hello = hello
    this.#draw()
  }

  /** Shows where on the circle a client is; null: nowhere. */
  point(key) {
    this.#marker.replaceChildren()
    if (!key) return
    const [x, y] = at(key.place, OUTER + 3)
    const [inX, inY] = at(key.place, OUTER - 46)
    this.#marker.append(svg('line', { x1: inX, y1: inY, x2: x, y2: y }), svg('circle', { cx: x, cy: y, r: 4.5 }))
  }

  update({ frame, hello }) {
    const keys = frame.shards.map(shard => shard.keys ?? 0)
    const all = keys.reduce((one, other) => one + other, 0)
    const most = Math.max(1, ...keys)
    say(this.#total, count(all))
    say(id('ring-aside'), `${count(hello.ring.ends.length)} points`)
    this.#table.show(hello.ring.nodes.map(({ id: node, share, vnodes }) => ({
      key: node,
      cells: [this.#name(node, frame.shards[node].core), percent(share, 1), count(vnodes), { text: count(keys[node]), bar: keys[node] / most }],
    })))
  }

  #name(node, core) {
    if (!this.swatches.has(node)) {
      const patch = h('span', { class: 'patch', 'aria-hidden': 'true' })
      patch.style.setProperty('--patch', hue(node, this.#hello.ring.nodes.length))
      this.swatches.set(node, h('span', { class: 'swatch' }, patch, String(core)))
    }
    return this.swatches.get(node)
  }

  #draw() {
    if (!this.#hello) return
    const { ends, owners, nodes } = this.#hello.ring
    const tracks = nodes.length <= TRACKS ? nodes.length : 1
    const width = 40 / tracks
    const paths = nodes.map(() => '')
    ends.forEach((end, place) => {
      const node = owners[place]
      const radius = OUTER - width / 2 - (tracks > 1 ? node * width : 0)
      paths[node] += arc(place === 0 ? ends.at(-1) - 1 : ends[place - 1], end, radius)
    })
    const rings = paths.map((path, node) => {
      const drawn = svg('path', { d: path, 'stroke-width': Math.max(width - 2, 1) })
      drawn.style.setProperty('--stroke', hue(node, nodes.length))
      return drawn
    })
    const label = svg('text', { x: 0, y: 18, class: 'label' }, 'keys at home')
    this.#drawing.replaceChildren(svg('svg', { viewBox: `${-SIZE / 2} ${-SIZE / 2} ${SIZE} ${SIZE}` }, ...rings, this.#marker, this.#total, label))
  }
}

/** A colour of its own for each core, around the wheel. */
const hue = (node, nodes) => `oklch(0.64 0.085 ${(150 + node * 360 / Math.max(nodes, 2)) % 360})`

/** A place on the circle; the top is 0, and it goes round as clocks do. */
function at(part, radius) {
  const angle = (part - 0.25) * 2 * Math.PI
  return [(Math.cos(angle) * radius).toFixed(2), (Math.sin(angle) * radius).toFixed(2)]
}

function arc(from, to, radius) {
  return `M${at(from, radius).join(' ')}A${radius} ${radius} 0 ${to - from > 0.5 ? 1 : 0} 1 ${at(to, radius).join(' ')}`
}
