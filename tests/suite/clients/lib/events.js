// npm `eventsource`, unmodified, with its named events in one queue.

import { EventSource } from 'eventsource'

import { deadline, Inbox } from './inbox.js'

const NAMES = [
  'connected', 'message', 'heartbeat', 'gap', 'shutdown_pending', 'transport_switched', 'connection_status', 'vsm_update',
  'debug', 'weir_error',
]

/** An EventSource; `inbox` holds `{name, id, data}` in order, `responses` the HTTP answers it got. */
export function source(url, headers = {}, names = NAMES) {
  const responses = new Inbox()
  const events = new Inbox()
  const es = new EventSource(url, {
    fetch: async (input, init) => {
      const response = await fetch(input, { ...init, headers: { ...init.headers, ...headers } })
      responses.put({ status: response.status, headers: Object.fromEntries(response.headers) })
      return response
    },
  })
  for (const name of names) {
    es.addEventListener(name, event => {
      events.put({ name, id: event.lastEventId, data: JSON.parse(event.data) })
    })
  }
  return Object.assign(es, { inbox: events, responses })
}

/** The next event called `name`. */
export function event(es, name) {
  return es.inbox.take(`the event ${name}`, item => item.name === name)
}

/** The next `message` whose envelope has `type`. */
export function message(es, type) {
  return es.inbox.take(`a message of type ${type}`, item => item.name === 'message' && item.data.type === type)
}

/** Waits until the connection is refused for good: EventSource ends up closed. */
export function refused(es) {
  return deadline(
    new Promise(resolve => { es.onerror = error => { if (es.readyState === es.CLOSED) resolve(error.code) } }),
    'the stream to be refused',
  )
}
