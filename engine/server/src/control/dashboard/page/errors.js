// What went wrong, and what was refused: now, within the time shown, and since the start.

import { Ticks } from './chart.js'
import { Table, id, say } from './dom.js'
import { count, percent, rate } from './format.js'

const KINDS = [
  { key: 'ws', name: 'WebSockets broken', of: point => point.lost[0], total: total => total.websocket.errors },
  { key: 'sse', name: 'SSE streams broken', of: point => point.lost[1], total: total => total.http_sse.errors },
  { key: 'lp', name: 'LongPolls lost', of: point => point.lost[2], total: total => total.longpoll.errors },
  { key: 'mcp', name: 'MCP servers failed', of: point => point.failures, total: total => total.upstream.failures },
  { key: 'tls', name: 'TLS failed', of: point => point.tls_failed, total: total => total.tls.failed },
  { key: 'slow', name: 'Cut off, too slow', of: point => point.overflowed, total: total => total.overflowed },
  { key: 'gaps', name: 'Gaps told', of: point => point.gaps, total: total => total.gaps },
  { key: 'dead', name: 'Dead letters', of: point => point.dead, total: total => total.delivery.dead },
  { key: 'limited', name: 'Refused: rate limit', of: point => point.refused[0], total: total => total.limited },
  { key: 'denied', name: 'Refused: permission', of: point => point.refused[1], total: total => total.denied },
  { key: 'rule', name: 'Refused: rule', of: point => point.refused[2], total: total => total.forbidden },
  { key: 'kept', name: 'Refused: kept out', of: point => point.refused[3], total: total => total.kept_out },
  { key: 'address', name: 'Refused: address', of: point => point.refused[4], total: total => total.turned_away },
  { key: 'newcomers', name: 'Refused: no room', of: point => point.shed[0], total: ({ control }) => control.newcomers_refused },
  { key: 'shed', name: 'Shed under load', of: point => point.shed[1], total: ({ control }) => control.shed_high + control.shed_normal + control.shed_low },
  { key: 'breaker', name: 'Refused: breaker', of: point => point.shed[2], total: ({ control }) => control.breaker_refused },
]

export class Errors {
  #ticks = new Map(KINDS.map(({ key }) => [key, new Ticks()]))
  #table = new Table(id('errors-table'), 'Errors and refusals', [
    { name: 'Kind' }, { name: '', title: 'Course', kind: 'course' }, { name: '/s', kind: 'number', title: 'A second, now' },
    { name: 'shown', kind: 'number', title: 'Within the time that the graphs show' },
    { name: 'in all', kind: 'number', title: 'Since the start' },
  ])

  update({ frame, points }) {
    const last = points.at(-1)
    say(id('errors-aside'), failing(points))
    this.#table.show(KINDS.map(({ key, name, of, total }) => {
      const ticks = this.#ticks.get(key)
      ticks.show(points.map(of))
      const [shown, all] = [points.reduce((sum, point) => sum + of(point), 0), total(frame.total)]
      const now = last ? of(last) / last.seconds : 0
      return {
        key,
        mark: all === 0 ? 'still' : null,
        cells: [name, ticks.element, { text: rate(now), mark: now > 0 ? 'bad' : null }, count(shown), count(all)],
      }
    }))
  }
}

/** How many requests to MCP servers fail, of those within the time shown. */
function failing(points) {
  const asks = points.reduce((sum, point) => sum + point.asks, 0)
  const failures = points.reduce((sum, point) => sum + point.failures, 0)
  return asks > 0 ? `${percent(failures / asks, failures > 0 ? 1 : 0)} of MCP calls fail` : ''
}
