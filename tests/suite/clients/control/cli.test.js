// The commands that ask a running gateway: what they print, for people and for programs, and how they prove that they may.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { run } from '../lib/command.js'
import { stream } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

describe('a command', () => {
  let weir, ask, sse
  before(async () => {
    weir = await Weir.start()
    ask = (...words) => run([...words, '--url', weir.url('', 'admin')])
    sse = await stream(weir, '/mcp/sse?client_id=ann')
    await sse.until('event: connected')
  })
  after(() => weir.close())

  const json = async (...words) => {
    const { code, stdout, stderr } = await ask(...words, '--json')
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout)
  }

  it('shows figures', async () => {
    assert.equal((await json('stats')).http_sse.connections, 1)
    assert.match((await ask('stats')).stdout, /^http_sse +1 /m)
  })

  it('shows clients', async () => {
    const { count, clients } = await json('clients', '--sort', 'idle')
    assert.deepEqual([count, clients[0].client_id, clients[0].transport], [1, 'ann', 'http_sse'])
    assert.equal((await json('clients', '--older', '24h')).count, 0)
    assert.match((await ask('clients')).stdout, /^client .*\nann +http_sse +1 /)
    assert.equal((await ask('clients', '--sort', 'name')).code, 2)
  })

  it('shows and holds breakers', async () => {
    assert.match((await ask('breakers')).stdout, /^breaker .*\nwebsocket +closed .*\nhttp_sse +closed .*\nrouter +closed /)
    const { breakers } = await json('breakers', 'router', 'open', '--for', '1m')
    const { state, held_ms: held } = breakers.find(({ name }) => name === 'router')
    assert.ok(state === 'open' && held > 50_000)
    await json('breakers', 'router', 'auto')
    assert.equal((await ask('breakers', 'router')).code, 2, 'a state is missing')
  })

  it('shows and holds admission and shedding', async () => {
    const held = await json('control', '--shedding', '2', '--admission', 'soft', '--for', '1h')
    assert.deepEqual([held.shedding, held.admission], [2, 'soft'])
    assert.match((await ask('control')).stdout, /^shedding +2$/m)
    await json('control', '--shedding', 'auto', '--admission', 'auto')
    const wrong = await ask('control', '--shedding', '9')
    assert.ok(wrong.code === 1 && /shedding is a number from 0 to 3/.test(wrong.stderr), wrong.stderr)
    assert.match((await ask('control', '--shedding', '1', '--for', 'long')).stderr, /--for long is no time/)
  })

  it('shows the ring and the pools', async () => {
    assert.equal((await json('hash-ring')).nodes.length, 2)
    assert.match((await ask('hash-ring')).stdout, /^shard .*\n +0 +1 +150 /)
    assert.deepEqual((await json('pool')).pools, [])
    assert.equal((await ask('pool', 'none', '--size', '1')).code, 1)
  })

  it('forgets clients that are away', async () => {
    const gone = await stream(weir, '/mcp/sse?client_id=gone')
    await gone.until('event: connected')
    gone.destroy()
    while ((await json('clients')).clients.some(({ client_id, connections }) => client_id === 'gone' && connections > 0));
    while ((await json('cleanup', '--max-idle', '1s')).forgotten === 0);
    assert.deepEqual((await json('clients')).clients.map(({ client_id: client }) => client), ['ann'])
  })

  it('says when nobody answers', async () => {
    const { code, stderr } = await run(['breakers', '--url', 'http://127.0.0.1:1'])
    assert.ok(code === 1 && /no gateway answers at http:\/\/127\.0\.0\.1:1/.test(stderr), stderr)
  })

  it('begins the orderly stop', async () => {
    assert.equal((await json('drain', '--reason', 'a new disk')).status, 'draining')
    assert.match(await sse.until('shutdown_pending'), /"message":"a new disk"/)
    weir.expectExit = true
    assert.deepEqual(await weir.exited, { code: 0, signal: null })
  })
})

describe('with authentication a command', () => {
  it('finds the admin token in its file, or in the environment', async () => {
    const config = '[auth.jwt]\nsecret = "a secret of at least thirty-two bytes"\n'
    const weir = await Weir.start({ config, flags: ['--data-dir', 'data'] })
    const url = weir.url('', 'admin')
    const refused = await run(['breakers', '--url', url])
    assert.ok(refused.code === 1 && /admin token/.test(refused.stderr), refused.stderr)
    const folder = join(weir.folder, 'data')
    assert.equal((await run(['breakers', '--url', url, '--data-dir', folder])).code, 0)
    assert.equal((await run(['breakers', '--url', url, '--json'], { env: { WEIR_ADMIN_TOKEN: 'not the right token' } })).code, 1)
    await weir.close()
  })
})
