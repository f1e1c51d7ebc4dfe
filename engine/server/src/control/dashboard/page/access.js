// Requests to the gateway, and the admin token that they carry where it is asked for. The token stays in this tab.

import { id, say } from './dom.js'

const KEY = 'weir.admin-token'

const dialog = id('sign-in')

/** An answer that is none. */
export class Refused extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/** Whoever waits for the token. */
let waiting = null

/**
 * Asks the gateway; where it wants to know who asks, the person is asked first.
 * Throws `Refused` for what is no 2xx.
 */
export async function ask(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEY)
    const headers = token ? { ...options.headers, authorization: `Bearer ${token}` } : options.headers
    const answer = await fetch(path, { ...options, headers, cache: 'no-store' })
    if (answer.ok) {
      id('sign-out').hidden = !token
      return answer
    }
    if (answer.status !== 401) throw new Refused(answer.status, (await answer.json().catch(() => ({}))).message ?? answer.statusText)
    // Another request may have been answered with a newer token meanwhile.
    if (token === sessionStorage.getItem(KEY)) await person(token !== null)
  }
}

/** The JSON of an answer. */
export async function json(path, options) {
  return (await ask(path, options)).json()
}

/** Asks the person for the token, once for all who want it. */
function person(wrong) {
  sessionStorage.removeItem(KEY)
  say(id('sign-in-fault'), wrong ? 'That is not the admin token of this gateway.' : '')
  if (!dialog.open) dialog.showModal()
  waiting ??= Promise.withResolvers ? Promise.withResolvers() : resolvers()
  return waiting.promise
}

function resolvers() {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}

id('sign-in-form').addEventListener('submit', event => {
  event.preventDefault()
  sessionStorage.setItem(KEY, id('token').value.trim())
  id('token').value = ''
  dialog.close()
  waiting?.resolve()
  waiting = null
})

// Without the token there is nothing to see.
dialog.addEventListener('cancel', event => event.preventDefault())

/** Forgets the token. */
id('sign-out').addEventListener('click', () => {
  sessionStorage.removeItem(KEY)
  location.reload()
})
