// The page: what the gateway tells goes to the panels.

import { Clients } from './clients.js'
import { Breakers, Upstreams } from './control.js'
import { Connections } from './connections.js'
import { id, mark, say } from './dom.js'
import { Drain } from './drain.js'
import { Errors } from './errors.js'
import { span, time } from './format.js'
import { Latency } from './latency.js'
import { Ring } from './ring.js'
import { Signals, describe } from './signals.js'
import { Stream } from './stream.js'
import { Summary } from './summary.js'
import { Throughput } from './throughput.js'
import { Systems } from './vsm.js'

/** Records that are kept for the panels that look for their last one. */
const NEWS = 200

/** What is known. */
const known = { hello: null, frame: null, points: [], news: [] }

const [ring, signals] = [new Ring(), new Signals()]
const panels = [
  new Summary(), new Throughput(), new Latency(), new Connections(), new Errors(), signals, new Systems(), new Breakers(),
  new Upstreams(), new Drain(), ring, new Clients(key => ring.point(key)),
]

const handlers = {
  connecting: () => link('connecting', 'Connecting'),
  lost,
  gone() {
    link('lost', 'Not there')
    say(id('lost-since'), 'This gateway has no dashboard (any more).')
    id('lost').hidden = false
    id('retry').hidden = true
  },
  hello,
  frame,
  news(record) {
    known.news = [...known.news, record].slice(-NEWS)
    signals.add(record)
    if (record.system === 'algedonic') announce(describe(record))
  },
  missed: ({ count }) => announce(`${count} events were missed`),
}

const stream = new Stream('/mcp/admin/dashboard/events', (event, data) => handlers[event]?.(data))

/** What the gateway says first. What this page has seen of before stays in the graphs. */
function hello(said) {
  const before = known.hello
  const restarted = before !== null && before.started !== said.started
  const first = said.history[0]?.at ?? Infinity
  known.points = [...known.points.filter(({ at }) => at < first), ...said.history]
  known.hello = said
  known.news = said.news.toSorted((one, other) => one.timestamp.localeCompare(other.timestamp))
  if (restarted) {
    const data = { message: 'the gateway was started anew' }
    known.news.unshift({ system: 'page', event: 'restarted', timestamp: new Date(said.started).toISOString(), data })
    announce('Connected again: the gateway was started anew')
  } else if (!id('lost').hidden) announce('Connected again')
  signals.reset(known.news)
  ring.reset(said)
  stream.expect(said.interval_ms)
  say(id('version'), said.version)
  id('lost').hidden = true
}

function frame(told) {
  known.frame = told
  const { hello: { history_ms: history }, points } = known
  if (told.point && told.point.at > (points.at(-1)?.at ?? 0)) points.push(told.point)
  const oldest = told.at - history
  while (points.length > 0 && points[0].at < oldest) points.shift()
  link(told.drain ? 'stopping' : 'live', told.drain ? 'Stopping' : 'Live')
  say(id('uptime'), `up ${span(told.uptime_s)}`)
  document.title = told.pains.length > 0 ? `(${told.pains.length}) Weir` : 'Weir'
  for (const panel of panels) panel.update(known)
}

function lost(pause) {
  link('lost', 'Disconnected')
  if (id('lost').hidden) {
    say(id('lost-since'), known.frame ? `Figures are those of ${time(known.frame.at)}.` : 'The gateway does not answer.')
    announce('Disconnected from the gateway; trying again')
  }
  say(id('lost-next'), `Next try in ${span(Math.ceil(pause / 1_000))}.`)
  id('lost').hidden = false
  id('stopping').hidden = true
}

function link(state, text) {
  // A try that may fail as the last one did is no news.
  if (state === 'connecting' && !id('lost').hidden) return
  mark(id('link'), 'data-state', state)
  mark(document.body, 'data-link', state)
  say(id('link-text'), text)
}

/** Tells those who listen to the page, seldom. */
function announce(text) {
  say(id('announcement'), text)
}

id('retry').addEventListener('click', () => stream.again())
stream.run()
