// Who is connected, by transport and by core.

import { Table, h, id, say } from './dom.js'
import { TRANSPORTS, count, percent, plural } from './format.js'

const KINDS = TRANSPORTS.slice(0, 3)

export class Connections {
  #parts = KINDS.map(({ colour }) => {
    const part = h('span')
    part.style.setProperty('--patch', `var(${colour})`)
    return part
  })
  #table = new Table(id('connections-table'), 'Connections by core and transport', [
    { name: 'Core' }, ...KINDS.map(({ name, key }) => ({ name, kind: `number bar ${key}` })),
    { name: 'MCP', kind: 'number', title: 'Sessions of MCP clients' },
    { name: 'Load', kind: 'number', title: 'How much there is to do; 100 % is as much as there may be' },
  ])

  constructor() {
    id('connections-share').append(...this.#parts)
  }

  update({ frame }) {
    const totals = KINDS.map(({ key }) => frame.total[key].connections)
    const all = totals.reduce((one, other) => one + other, 0)
    this.#parts.forEach((part, place) => part.style.setProperty('--part', all > 0 ? totals[place] / all : 0))
    say(id('connections-aside'), `${plural(frame.total.connections, 'socket')}, ${plural(frame.total.sessions, 'stream')}, ${plural(frame.total.topics, 'topic')}`)
    const most = KINDS.map(({ key }) => Math.max(1, ...frame.shards.map(shard => shard[key])))
    const rows = frame.shards.map((shard, place) => ({
      key: place,
      mark: shard.late ? 'late' : null,
      cells: [
        shard.late ? `${shard.core}, silent` : String(shard.core),
        ...KINDS.map(({ key }, kind) => ({ text: count(shard[key]), bar: shard[key] / most[kind] })),
        count(shard.mcp_sessions), { text: percent(shard.load), mark: shard.load >= 1 ? 'bad' : null },
      ],
    }))
    rows.push({ key: 'all', mark: 'sum', cells: ['All', ...totals.map(count), count(frame.total.mcp.sessions), ''] })
    this.#table.show(rows)
  }
}
