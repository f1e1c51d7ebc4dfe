// What runs out comes back: the gateway refuses what it has no room for, serves those it has, goes on by itself once
// there is room, and says so in its log a few times at most, however often somebody asks meanwhile.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'

import { event, message, source } from '../lib/events.js'
import { get, send } from '../lib/http.js'
import { LONG } from '../lib/inbox.js'
import { responses, stream, Tcp } from '../lib/tcp.js'
import { DRIVER, Weir } from '../lib/weir.js'

/** What two shards may say of one shortage: that it began and that it is over, each for itself. */
const LINES_MAX = 4

/** How many lines the gateway has said since `before`, which is how long its output was. */
function said(weir, before) {
  return weir.output.slice(before).split('\n').filter(line => line !== '').length
}

/** Repeats `attempt` until what it answers is `wanted`. */
async function until(wanted, attempt) {
  for (const end = Date.now() + LONG; ;) {
    const answer = await attempt().catch(error => error)
    if (wanted(answer)) return answer
    assert.ok(Date.now() < end, `in vain; the last: ${answer.status ?? answer}`)
  }
}

describe('no more connections', () => {
  it('are refused, those that are there are served, and when they go others come', async () => {
    const weir = await Weir.start({ config: '[server]\nconnections_per_shard = 192\n' })
    const before = weir.output.length
    const es = source(weir.url('/mcp/sse?client_id=served'))
    await event(es, 'connected')
    const backend = await Tcp.open(weir)
    const crowd = []
    for (let n = 0; n < 600; n++) crowd.push(await stream(weir, `/mcp/sse?client_id=crowd${n}`))
    // Those beyond wait in the backlog of a shard that has paused, or are told.
    await until(() => count(crowd, 503) > 0, () => get(weir.url('/health', 'admin')))
    assert.ok(count(crowd, 200) > 100, `${count(crowd, 200)} were let in`)
    for (let n = 1; n <= 20; n++) {
      const body = JSON.stringify({ type: 'chat', data: n })
      backend.write(`POST /mcp/clients/served/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      assert.equal((await message(es, 'chat')).data.data, n)
    }
    for (const tcp of crowd) tcp.destroy('reset')
    // Only then is there room, and the door opens a while later: an EventSource that is refused once does not come again.
    await until(({ json }) => json.http_sse.connections === 1, () => get(weir.url('/mcp/stats', 'admin')))
    await until(({ json }) => json.admission === 'open', () => get(weir.url('/mcp/admin/control', 'admin')))
    await until(({ status }) => status === 202, () => send(weir, 'later', { type: 'chat', data: 1 }))
    const later = source(weir.url('/mcp/sse?client_id=later'))
    await event(later, 'connected')
    assert.ok(said(weir, before) <= LINES_MAX, weir.output.slice(before))
    for (const client of [es, later]) client.close()
    backend.destroy()
    await weir.close()
  })
})

/** How many of them were answered with `status`. */
function count(crowd, status) {
  return crowd.filter(tcp => responses(tcp.text).some(answer => answer.status === status)).length
}

describe('no more descriptors', () => {
  it('keep clients from nothing, and the admin port answers again when there are some', { skip: DRIVER === 'epoll' }, async () => {
    const weir = await Weir.start()
    const before = weir.output.length
    limit(weir, 1)
    const refused = await Promise.all(Array.from({ length: 20 }, () => Tcp.open(weir, 'admin')))
    const es = source(weir.url('/mcp/sse?client_id=none'))
    await event(es, 'connected')
    for (let n = 1; n <= 200; n++) {
      assert.equal((await send(weir, 'none', { type: 'chat', data: n })).status, 202)
      assert.equal((await message(es, 'chat')).data.data, n)
    }
    limit(weir, 20_000)
    for (const tcp of refused) tcp.destroy('reset')
    await until(({ status }) => status === 200, () => get(weir.url('/health', 'admin')))
    assert.ok(said(weir, before) <= LINES_MAX, weir.output.slice(before))
    es.close()
    await weir.close()
  })
})

// There a connection is a descriptor; on io_uring it is none.
describe('no more descriptors on epoll', () => {
  it('keep newcomers waiting, those that are there are served, and when there are some the others are', async () => {
    const weir = await Weir.start({ flags: ['--driver', 'epoll'] })
    const before = weir.output.length
    const es = source(weir.url('/mcp/sse?client_id=served'))
    await event(es, 'connected')
    const backend = await Tcp.open(weir)
    const publish = async n => {
      const body = JSON.stringify({ type: 'chat', data: n })
      backend.write(`POST /mcp/clients/served/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      assert.equal((await message(es, 'chat')).data.data, n)
    }
    await publish(0)
    limit(weir, 1)
    const newcomers = []
    for (let n = 0; n < 20; n++) newcomers.push(await stream(weir, `/mcp/sse?client_id=newcomer${n}`))
    for (let n = 1; n <= 200; n++) await publish(n)
    assert.equal(count(newcomers, 200), 0)
    limit(weir, 20_000)
    for (const tcp of newcomers) await tcp.until('event: connected')
    assert.ok(said(weir, before) <= LINES_MAX, weir.output.slice(before))
    for (const tcp of [backend, ...newcomers]) tcp.destroy()
    es.close()
    await weir.close()
  })
})

/** Sets how many descriptors the gateway may have from now on. */
function limit(weir, descriptors) {
  execFileSync('prlimit', ['--pid', `${weir.pid}`, `--nofile=${descriptors}:20000`])
}

describe('no more memory for streams', () => {
  it('refuse what would be kept, and take it once older streams are forgotten', async () => {
    const weir = await Weir.start({
      shards: 1, config: '[outbox]\nmax_bytes_per_shard = 1048576\n[session]\nidle_timeout = "2s"\n',
    })
    const before = weir.output.length
    const es = source(weir.url('/mcp/sse?client_id=there'))
    await event(es, 'connected')
    const text = 'x'.repeat(60_000)
    // What is less urgent is shed before there is no room at all.
    const publish = n => send(weir, `away${n % 10}`, { type: 'chat', data: { n, text }, priority: 'urgent' })
    let n = 0
    const full = await until(({ status }) => status !== 202, () => publish(n++))
    assert.deepEqual([full.status, full.json.reason], [503, 'insufficient_resources'])
    assert.ok(full.headers['retry-after'])
    assert.ok(n > 10, `${n} messages fitted`)
    for (let more = 0; more < 200; more++) await publish(more)
    assert.equal((await get(weir.url('/mcp/stats'))).status, 200)
    await until(({ status }) => status === 202, () => send(weir, 'there', { type: 'chat', data: 'again' }))
    assert.equal((await message(es, 'chat')).data.data, 'again')
    assert.ok(said(weir, before) <= LINES_MAX, weir.output.slice(before))
    es.close()
    await weir.close()
  })
})
