// A real browser with pages of several origins: what it lets them do with the gateway's answers.

import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import http from 'node:http'
import { after, before, describe, it } from 'node:test'
import { once } from 'node:events'

import { CHROMIUM, Chromium } from '../lib/chromium.js'
import { get, send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const PHOENIX = new URL('../node_modules/phoenix/priv/static/phoenix.mjs', import.meta.url).pathname

/** Functions that run in a page; each answers with a word. */
const socket = `(url, ...protocols) => new Promise(done => {
  const socket = new WebSocket(url, protocols)
  socket.onopen = () => { socket.close(); done('open') }
  socket.onerror = () => done('refused')
})`
const stream = `url => new Promise(done => {
  const source = new EventSource(url)
  source.addEventListener('connected', ({ data }) => { source.close(); done(JSON.parse(data).client_id) })
  source.onerror = () => { source.close(); done('refused') }
})`
const read = `(url, options) => fetch(url, options)
  .then(async answer => [answer.status, answer.headers.get('x-ratelimit-limit'), await answer.text()], () => 'refused')`
const join = `async url => {
  const { Socket } = await import('/phoenix.mjs')
  const socket = new Socket(url, { params: { client_id: 'page' } })
  socket.connect()
  const channel = socket.channel('mcp:gateway', {})
  return new Promise(done => {
    socket.onError(() => { socket.disconnect(); done('refused') })
    channel.join().receive('ok', ({ client_id }) => { socket.disconnect(); done(client_id) })
  })
}`
/** A page without an origin: the function's word from inside of a sandbox. */
const sandboxed = `(run, ...values) => new Promise(done => {
  const frame = document.createElement('iframe')
  frame.sandbox = 'allow-scripts'
  onmessage = ({ data }) => done(data)
  frame.srcdoc = '<script>(' + run + ')(...' + JSON.stringify(values) + ').then(word => parent.postMessage(word, "*"))<\\/script>'
  document.body.append(frame)
})`

describe('in Chromium', { skip: CHROMIUM ? false : 'there is no Chromium here' }, () => {
  let pages, app, browser

  before(async () => {
    pages = http.createServer((request, answer) => {
      answer.setHeader('content-type', request.url === '/phoenix.mjs' ? 'text/javascript' : 'text/html')
      if (request.url === '/phoenix.mjs') createReadStream(PHOENIX).pipe(answer)
      else answer.end('<!doctype html><title>app</title>')
    })
    pages.listen(0, '127.0.0.1')
    await once(pages, 'listening')
    app = `http://app.example:${pages.address().port}`
    browser = await Chromium.start(['app.example', 'evil.example'])
  })
  after(async () => {
    await browser?.close()
    pages.closeAllConnections()
    pages.close()
  })

  it('without configuration a page from elsewhere can do nothing', async () => {
    const weir = await Weir.start()
    const page = await browser.open(app)
    assert.equal(await page.call(socket, weir.wsUrl('/mcp/ws')), 'refused')
    assert.equal(await page.call(socket, weir.wsUrl('/mcp/ws'), 'mcp'), 'refused')
    assert.equal(await page.call(join, weir.wsUrl('/mcp/ws')), 'refused')
    assert.equal(await page.call(stream, weir.url('/mcp/sse?client_id=page')), 'refused')
    assert.equal(await page.call(read, weir.url('/mcp/stats')), 'refused')
    assert.equal(await page.call(sandboxed, socket, weir.wsUrl('/mcp/ws')), 'refused')
    await weir.close()
  })

  it('a page from elsewhere sends nothing either', async () => {
    const weir = await Weir.start()
    const page = await browser.open(app)
    const message = { method: 'POST', mode: 'no-cors', body: '{"type":"forged","data":1}' }
    await page.call(read, weir.url('/mcp/clients/victim/messages'), message)
    await page.run(`new Promise(done => {
      const image = new Image()
      image.onerror = done
      image.src = ${JSON.stringify(weir.url('/mcp/sse?client_id=victim'))}
    })`)
    const sent = await send(weir, 'victim', { type: 'real', data: 1 })
    assert.deepEqual([sent.status, sent.json.sequence], [202, 1], 'nothing came before it')
    await weir.close()
  })

  it('a name that was made to point here leads nowhere', async () => {
    const weir = await Weir.start()
    const page = await browser.open(`http://evil.example:${weir.ports.sse}/mcp/stats`)
    assert.match(await page.run('document.body.innerText'), /security\.hosts/)
    await weir.close()
  })

  it('a page of the gateway\'s own host may do all', async () => {
    const weir = await Weir.start()
    const own = await browser.open(weir.url('/mcp/stats', 'ws'))
    assert.equal(await own.call(read, '/mcp/stats'), 'refused', 'what is no page runs nothing')
    await own.lift()
    assert.equal((await own.call(read, '/mcp/stats'))[0], 200)
    assert.equal(await own.call(socket, weir.wsUrl('/mcp/ws')), 'open')
    assert.equal(await own.call(stream, '/mcp/sse?client_id=page'), 'page')
    await weir.close()
  })

  it('a listed page talks by WebSocket and reads nothing else', async () => {
    const weir = await Weir.start({ config: `[security]\norigins = ["${app}"]\n` })
    const page = await browser.open(app)
    assert.equal(await page.call(socket, weir.wsUrl('/mcp/ws')), 'open')
    assert.equal(await page.call(join, weir.wsUrl('/mcp/ws')), 'page')
    assert.equal(await page.call(read, weir.url('/mcp/stats')), 'refused')
    assert.equal(await page.call(stream, weir.url('/mcp/sse?client_id=page')), 'refused')
    await weir.close()
  })

  it('a page with CORS reads answers, errors and streams, and sends what preflights allow', async () => {
    const weir = await Weir.start({ config: `[cors]\norigins = ["${app}"]\n` })
    const page = await browser.open(app)
    const headers = { 'X-Client-ID': 'page', 'Content-Type': 'application/json' }
    const publish = { method: 'POST', headers, body: '{"type":"note","data":1}' }
    const [status, limit] = await page.call(read, weir.url('/mcp/clients/page/messages'), publish)
    assert.deepEqual([status, limit], [202, '10000'])
    const [missing, , body] = await page.call(read, weir.url('/mcp/none'))
    assert.deepEqual([missing, JSON.parse(body).error], [404, 'not_found'])
    assert.equal(await page.call(read, weir.url('/mcp/stats'), { headers: { 'X-Other': '1' } }), 'refused')
    assert.equal(await page.call(stream, weir.url('/mcp/sse?client_id=page')), 'page')
    assert.equal(await page.call(join, weir.wsUrl('/mcp/ws')), 'page')
    assert.equal(await page.call(sandboxed, read, weir.url('/mcp/stats')), 'refused')
    assert.equal((await get(weir.url('/mcp/health/page'))).status, 200)
    await weir.close()
  })
})
