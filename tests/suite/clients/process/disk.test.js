// The disk tier: streams that outlive the process, however it ends; and a disk that is full: a clear refusal,
// nothing lost that was acknowledged, and on again by itself.

import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'

import { event, message, source } from '../lib/events.js'
import { get, send } from '../lib/http.js'
import { LONG } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'

/** Runs what follows where `folder` is a file system of 4 MiB, half of it taken by `ballast`. */
const small = folder => ['unshare', '-rm', 'sh', '-c',
  'mount -t tmpfs -o size=4m weir "$0" && head -c 2097152 /dev/zero >"$0/ballast" && exec "$@"', folder]

describe('a restart', () => {
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    it(`after ${signal} goes on in the same epoch`, async () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'weir-data-'))
      const flags = ['--data-dir', folder]
      const first = await Weir.start({ flags })
      const es = source(first.url('/mcp/sse?client_id=stays'))
      await event(es, 'connected')
      await send(first, 'stays', { type: 'chat', data: 1 })
      const { data: seen } = await message(es, 'chat')
      await send(first, 'away', { type: 'chat', data: 1 })
      await first.end(signal)
      await first.close()
      const second = await Weir.start({ flags, ports: first.ports, shards: 3 })
      const { data: back } = await event(es, 'connected')
      assert.equal(back.recovered, true)
      const { json } = await send(second, 'stays', { type: 'chat', data: 2 })
      const { data } = await message(es, 'chat')
      assert.deepEqual([data.epoch, data.sequence, data.data], [seen.epoch, 2, 2])
      assert.deepEqual([json.epoch, json.sequence], [seen.epoch, 2])
      assert.equal((await send(second, 'away', { type: 'chat', data: 2 })).json.sequence, 2)
      assert.deepEqual(es.inbox.items.filter(({ name }) => name === 'gap'), [])
      es.close()
      await second.close()
      rmSync(folder, { recursive: true })
    })
  }
})

describe('a full disk', () => {
  const config = '[outbox]\nmax_bytes = 8388608\n'
  const text = 'x'.repeat(8_000)
  const written = []
  const folder = mkdtempSync(path.join(tmpdir(), 'weir-data-'))
  const copy = mkdtempSync(path.join(tmpdir(), 'weir-data-'))
  let weir
  before(async () => {
    weir = await Weir.start({ config, flags: ['--data-dir', folder], inside: small(folder) })
  })
  after(async () => {
    await weir.close()
    for (const made of [folder, copy]) rmSync(made, { recursive: true })
  })

  /** Publishes number `n`, and remembers where it stands if that was acknowledged. */
  async function publish(n) {
    const answer = await send(weir, 'kept', { type: 'chat', data: { n, text } })
    if (answer.status === 202) written.push({ ...answer.json, n })
    return answer
  }

  /** Publishes until the answer has `status`. */
  async function until(status, first) {
    const end = Date.now() + LONG
    for (let n = first; ; n++) {
      const answer = await publish(n)
      if (answer.status === status) return answer
      assert.ok(Date.now() < end, `no ${status} came`)
    }
  }

  it('refuses what it cannot keep, says why, and lives', async () => {
    const { json, headers } = await until(503, 1)
    assert.equal(json.reason, 'insufficient_resources')
    assert.match(json.message, /disk/)
    assert.ok(headers['retry-after'])
    for (let n = 0; n < 50; n++) await publish(0)
    assert.ok(written.length > 50, `${written.length} messages fitted`)
    assert.equal((await publish(0)).status, 503)
    assert.equal((await get(weir.url('/health', 'admin'))).status, 200)
    for (let n = 0; n < 20; n++) await publish(0)
    assert.equal(weir.output.match(/the disk of the data folder is full/g).length, 1, 'said once')
  })

  it('goes on by itself when there is room', async () => {
    rmSync(path.join(`/proc/${weir.pid}/root`, folder, 'ballast'))
    await until(202, 1_000_000)
    const sequences = written.map(({ sequence }) => sequence)
    assert.deepEqual(sequences, sequences.map((_, at) => at + 1), 'what was refused left no hole')
    const lines = weir.output.split('\n').filter(line => /storage|disk|log/i.test(line))
    assert.ok(lines.length <= 6, `it says so once, not each time: ${lines.join('\n')}`)
  })

  it('has lost nothing that was acknowledged when it is killed', async () => {
    // All but the socket on which it waits for a successor.
    const filter = source => !source.endsWith('/takeover')
    cpSync(path.join(`/proc/${weir.pid}/root`, folder), copy, { recursive: true, filter })
    await weir.end('SIGKILL')
    await weir.close()
    weir = await Weir.start({ config, flags: ['--data-dir', copy] })
    const [{ epoch }] = written
    const es = source(weir.url(`/mcp/sse?client_id=kept&last_event_id=${epoch}-0`))
    assert.equal((await event(es, 'connected')).data.recovered, true)
    const kept = await es.inbox.takeMany(written.length, 'a message', ({ name }) => name === 'message')
    assert.deepEqual(kept.map(({ data }) => [data.epoch, data.sequence, data.data.n]),
      written.map(({ epoch, sequence, n }) => [epoch, sequence, n]))
    es.close()
  })
})
