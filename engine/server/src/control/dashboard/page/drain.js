// How far an orderly stop is.

import { Terms, h, id, say } from './dom.js'
import { count, percent, plural, span } from './format.js'

export class Drain {
  #idle = h('p', { class: 'nothing' }, 'Not stopping: newcomers are taken. ', h('code', {}, 'weir drain'), ' or SIGTERM begins an orderly stop, which this panel follows.')
  #progress = h('progress', { max: 1, 'aria-label': 'Connections that have gone' })
  #terms
  #active

  constructor() {
    const terms = h('dl', { class: 'terms' })
    this.#terms = new Terms(terms)
    this.#active = h('div', { hidden: true }, this.#progress, terms)
    id('drain-body').append(this.#idle, this.#active)
  }

  update({ frame: { drain }, hello }) {
    this.#idle.hidden = drain !== null
    this.#active.hidden = drain === null
    id('stopping').hidden = drain === null
    if (drain === null) return say(id('drain-aside'), `may take ${span(hello.drain_timeout_ms / 1_000)}`)
    const { for_ms: since, timeout_ms: most, connections_then: then, connections: left, calls } = drain
    const gone = then > 0 ? Math.max(1 - left / then, 0) : 1
    this.#progress.value = gone
    say(id('drain-aside'), `${percent(gone)} gone`)
    say(id('stopping-text'), `${plural(left, 'connection')} left of ${count(then)}, ${plural(calls, 'call')} under way.`)
    this.#terms.show({
      'Connections left': `${count(left)} of ${count(then)}`, 'Calls under way': count(calls), 'Stopping for': span(since / 1_000),
      'Cut off in': since < most ? span(Math.ceil((most - since) / 1_000)) : 'now',
    })
  }
}
