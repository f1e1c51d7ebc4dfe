// What one network address may have and do. Clients come from addresses of 127.0.0.0/8, which count like any other
// here.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { answer, disconnect, join, phoenix } from '../lib/channel.js'
import { get } from '../lib/http.js'
import { refusal } from '../lib/plain.js'
import { responses, Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const REQUEST = 'GET /mcp/none HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** A connection from `localAddress` that has asked something: `{tcp, status, json, headers}`; no status: closed bare. */
async function ask(weir, localAddress, request = REQUEST) {
  const tcp = await Tcp.open(weir, 'sse', { localAddress })
  tcp.write(request)
  await Promise.race([tcp.end(), tcp.until('}').catch(() => {})])
  const [response] = responses(tcp.text)
  return { tcp, status: response?.status, headers: response?.headers, json: response && JSON.parse(response.body) }
}

/** Asks until `wanted` of an answer is true; closes what it opened before. */
async function until(wanted, weir, localAddress) {
  for (;;) {
    const asked = await ask(weir, localAddress)
    if (wanted(asked)) return asked
    asked.tcp.destroy()
  }
}

describe('connections of one address', () => {
  let weir
  before(async () => {
    weir = await Weir.start({
      config: '[security]\nexempt_loopback = false\nmax_connections_per_ip = 5\nhandshakes_per_second = 0\n',
      shards: 3,
    })
  })
  after(() => weir.close())

  it('are bounded over all shards, and another address has its own', async () => {
    const open = []
    for (let n = 0; n < 5; n++) open.push(await ask(weir, '127.0.0.9'))
    assert.deepEqual(open.map(({ status }) => status), [404, 404, 404, 404, 404])
    // The other shards learn of it a moment later.
    const { json, headers } = await until(({ status }) => status === 503, weir, '127.0.0.9')
    assert.equal(json.error, 'unavailable')
    assert.equal(json.reason, 'too_many_connections_from_ip')
    assert.ok(json.retry_after > 0 && headers['retry-after'])
    const other = await ask(weir, '127.0.0.10')
    assert.equal(other.status, 404)
    open.pop().tcp.destroy()
    open.push(await until(({ status }) => status === 404, weir, '127.0.0.9'))
    for (const { tcp } of [...open, other]) tcp.destroy()
  })

  it('are refused with a status before an upgrade, too', async () => {
    const open = []
    for (let n = 0; n < 5; n++) open.push(await ask(weir, '127.0.0.19'))
    await until(({ status }) => status === 503, weir, '127.0.0.19')
    assert.equal(await refusal(weir, '/mcp/ws/websocket?vsn=2.0.0&client_id=many', { localAddress: '127.0.0.19' }), 503)
    for (const { tcp } of open) tcp.destroy()
  })

  it('beyond that are closed without a word after a while', async () => {
    const open = []
    for (let n = 0; n < 5; n++) open.push(await ask(weir, '127.0.0.29'))
    for (;;) {
      const { tcp, status } = await ask(weir, '127.0.0.29')
      tcp.destroy()
      if (status === undefined) break
    }
    assert.equal((await get(weir.url('/health', 'admin'))).status, 200)
    for (const { tcp } of open) tcp.destroy()
  })

  it('are forgotten when they are gone', async () => {
    for (;;) {
      const { json } = await get(weir.url('/mcp/stats', 'admin'))
      if (json.addressed === 0 && json.census === 0) break
    }
    const { json } = await get(weir.url('/mcp/stats', 'admin'))
    assert.ok(json.turned_away >= 3)
  })
})

describe('addresses that open connections too fast', () => {
  it('are answered 429 and told when to come again; others are not held up', async () => {
    const weir = await Weir.start({ config: '[security]\nexempt_loopback = false\nhandshakes_per_second = 2\n', shards: 2 })
    const fast = []
    for (let n = 0; n < 20; n++) fast.push(await ask(weir, '127.0.0.39'))
    const served = fast.filter(({ status }) => status === 404).length
    assert.ok(served >= 2 && served < 20, `${served} were served`)
    const { json, headers } = fast.find(({ status }) => status === 429)
    assert.deepEqual([json.error, json.reason], ['rate_limit_exceeded', 'ip'])
    assert.ok(json.retry_after > 0 && headers['retry-after'])
    const calm = await ask(weir, '127.0.0.40')
    assert.equal(calm.status, 404)
    for (const { tcp } of [...fast, calm]) tcp.destroy()
    await weir.close()
  })
})

describe('requests of one address', () => {
  let weir
  before(async () => {
    weir = await Weir.start({
      config: '[security]\nexempt_loopback = false\n[rate_limiting.ip]\nlimit = 1\nper = "1h"\nburst = 8\n', shards: 1,
    })
  })
  after(() => weir.close())

  it('are limited on one connection and over several', async () => {
    const one = await ask(weir, '127.0.0.49', REQUEST.repeat(12))
    await one.tcp.until('"ip"')
    const other = await ask(weir, '127.0.0.49')
    assert.deepEqual([other.status, other.json.reason], [429, 'ip'])
    assert.equal((await ask(weir, '127.0.0.50')).status, 404)
    one.tcp.destroy()
  })

  it('are limited on a channel, which stays', async () => {
    const socket = phoenix(weir, { client_id: 'pushes' })
    const { channel } = await join(socket, 'mcp:gateway')
    let refused
    for (let n = 0; refused === undefined; n++) {
      const { status, response } = await answer(channel.push('order', { n }), 'the reply')
      if (status === 'error') refused = response
    }
    assert.deepEqual([refused.error, refused.reason], ['rate_limit_exceeded', 'ip'])
    assert.ok(refused.retry_after > 0)
    await answer(channel.push('ping', {}), 'the pong')
    await disconnect(socket)
  })
})

describe('addresses on the blacklist', () => {
  it('are refused before they have said anything', async () => {
    const weir = await Weir.start({ config: '[security]\nexempt_loopback = false\nblacklist = ["127.0.0.64/30"]\n' })
    const { status, json } = await ask(weir, '127.0.0.66')
    assert.deepEqual([status, json.error, json.reason], [403, 'forbidden', 'blacklisted'])
    const other = await ask(weir, '127.0.0.68')
    assert.equal(other.status, 404)
    other.tcp.destroy()
    await weir.close()
  })
})

describe('loopback addresses', () => {
  it('have no limits unless they are to have some', async () => {
    const weir = await Weir.start()
    const open = await Promise.all(Array.from({ length: 150 }, () => ask(weir, '127.0.0.1')))
    assert.ok(open.every(({ status }) => status === 404))
    for (const { tcp } of open) tcp.destroy()
    await weir.close()
  })
})
