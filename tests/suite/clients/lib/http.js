// Plain requests over node:http or node:https, one connection each, with status, headers and body as values.

import http from 'node:http'
import https from 'node:https'

import { deadline } from './inbox.js'

/** `{status, headers, body, json}` of one request; `json` is undefined when the body is none. */
export function request(method, url, { body, headers = {} } = {}) {
  const answer = new Promise((resolve, reject) => {
    const sent = (String(url).startsWith('https:') ? https : http).request(url, { method, headers, agent: false }, response => {
      const parts = []
      response.on('data', part => parts.push(part))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(parts).toString()
        resolve({ status: response.statusCode, headers: response.headers, body: text, json: parsed(text) })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
  return deadline(answer, `${method} ${url}`)
}

/** GET. */
export function get(url, options) {
  return request('GET', url, options)
}

/** POST of a JSON value; a string or buffer goes out as it is. */
export function post(url, value, options = {}) {
  const body = typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value)
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...options.headers }
  return request('POST', url, { ...options, body, headers })
}

/** A backend's message to one client. */
export function send(weir, client, message, options) {
  return post(weir.url(`/mcp/clients/${encodeURIComponent(client)}/messages`), message, options)
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
