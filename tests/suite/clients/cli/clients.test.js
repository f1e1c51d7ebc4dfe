// weir publish and weir tail: a backend and a client made of words.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix } from '../lib/channel.js'
import { follow, run } from '../lib/command.js'
import { event, message, source } from '../lib/events.js'
import { deadline } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'

const SECRET = 'a secret of the suites: 32 bytes'

describe('weir publish', () => {
  let weir, ann, publish
  before(async () => {
    weir = await Weir.start()
    ann = source(weir.url('/mcp/sse?client_id=ann'))
    await event(ann, 'connected')
    publish = (words, options) => run(['publish', ...words, '--url', weir.url('')], options)
  })
  after(async () => { ann.close(); await weir.close() })

  it('sends to a client', async () => {
    const { code, stdout } = await publish(['ann', '{"n":12345678901234567890}', '--type', 'chat', '--priority', 'high'])
    assert.equal(code, 0)
    assert.match(stdout, /^[0-9a-z]{8}-1 {2}delivered$/m)
    const { data } = await message(ann, 'chat')
    assert.equal(data.lane, 'high')
  })

  it('reads standard input, and answers JSON', async () => {
    const { code, stdout } = await publish(['nobody', '--json'], { input: '[1, 2]\n' })
    assert.deepEqual([code, JSON.parse(stdout).state], [0, 'queued'])
    await publish(['ann', '-'], { input: '"by dash"' })
    assert.equal((await message(ann, 'message')).data.data, 'by dash')
  })

  it('sends to all of a topic', async () => {
    const socket = phoenix(weir, { client_id: 'bob' })
    const { events } = await join(socket, 'topic:news')
    const { code, stdout } = await publish(['--topic', 'topic:news', '{"head":"line"}'])
    assert.equal(code, 0)
    assert.match(stdout, /-1 {2}to 1 who have joined$/m)
    assert.deepEqual((await events.take('the message')).payload.data, { head: 'line' })
    await disconnect(socket)
  })

  it('does nothing twice under one key', async () => {
    const words = ['ann', '1', '--type', 'once', '--idempotency-key', 'k1', '--json']
    const [first, again] = [await publish(words), await publish(words)]
    assert.equal(JSON.parse(again.stdout).sequence, JSON.parse(first.stdout).sequence)
    const other = await publish(['ann', '2', ...words.slice(2)])
    assert.ok(other.code === 1 && /409/.test(other.stderr), other.stderr)
  })

  it('waits for the acknowledgement, or says that there was none', async () => {
    const { code, stderr } = await publish(['ann', '1', '--wait', '100ms'])
    assert.ok(code === 1 && /504/.test(stderr), stderr)
  })

  it('says what is wrong with its words', async () => {
    for (const [words, said] of [
      [['ann', 'hello'], /no JSON.*double quotes/],
      [[], /name a CLIENT/],
      [['--topic', 'topic:news', 'ann', '1'], /no CLIENT/],
      [['ann', '1', '--priority', 'highest'], /possible values/],
      [['ann', '1', '--ttl', 'soon'], /must be a whole number/],
    ]) {
      const { code, stderr } = await publish(words)
      assert.ok(code === 2 && said.test(stderr), `${code}: ${stderr}`)
    }
    const nobody = await run(['publish', 'ann', '1', '--url', 'http://127.0.0.1:1'])
    assert.ok(nobody.code === 1 && /is it running\?/.test(nobody.stderr), nobody.stderr)
  })
})

describe('weir tail', () => {
  it('goes on after a restart where it was', async () => {
    const folder = mkdtempSync(path(tmpdir(), 'weir-tail-'))
    const options = { flags: ['--data-dir', folder] }
    let weir = await Weir.start(options)
    const tail = follow(['tail', 'u1', '--json', '--url', weir.url('')])
    const next = async name => JSON.parse(await tail.lines.take(name, line => JSON.parse(line).event === name))
    assert.equal((await next('connected')).data.client_id, 'u1')
    const publish = words => run(['publish', 'u1', ...words, '--url', weir.url('')])
    await publish(['{"n":1}', '--type', 'chat'])
    const first = await next('message')
    assert.deepEqual([first.data.data, first.data.sequence, first.id], [{ n: 1 }, 1, first.data.id])
    weir = await weir.restart(options)
    await publish(['{"n":2}'])
    assert.equal((await next('connected')).data.recovered, true)
    const second = await next('message')
    assert.deepEqual([second.data.data, second.data.sequence], [{ n: 2 }, 2])
    tail.child.kill()
    assert.equal(await tail.ended, 'SIGTERM')
    await weir.close()
    rmSync(folder, { recursive: true })
  })

  it('shows people a line for each message, from where they say, as many as they say', async () => {
    const weir = await Weir.start()
    const ids = []
    for (const n of [1, 2, 3]) {
      const { stdout } = await run(['publish', 'u1', String(n), '--json', '--url', weir.url('')])
      const { epoch, sequence } = JSON.parse(stdout)
      ids.push(`${epoch}-${sequence}`)
    }
    const { code, stdout } = await run(['tail', 'u1', '--from', ids[0], '--count', '2', '--url', weir.url('')])
    assert.equal(code, 0)
    const lines = stdout.trim().split('\n')
    assert.match(lines[0], new RegExp(`^\\d{4}-\\S+Z {2}${ids[1]} {2}message {2}2$`))
    assert.match(lines[1], new RegExp(`${ids[2]} {2}message {2}3$`))
    const over = await run(['tail', 'u1', '--for', '10ms', '--url', weir.url('')])
    assert.equal(over.code, 0)
    const nobody = await run(['tail', 'u1', '--url', 'http://127.0.0.1:1'])
    assert.equal(nobody.code, 1)
    await weir.close()
  })
})

describe('with authentication both', () => {
  it('make a token with the secret, or show one that they are given', async () => {
    const weir = await Weir.start({ config: `[auth.jwt]\nsecret = "${SECRET}"\n` })
    const words = ['publish', 'u1', '1', '--url', weir.url('')]
    const refused = await run(words)
    assert.ok(refused.code === 1 && /wants to know who asks.*weir token mint/.test(refused.stderr), refused.stderr)
    assert.equal((await run(words, { env: { JWT_SECRET: SECRET } })).code, 0)
    const minted = await run(['token', 'mint', '--sub', 'u1'], { env: { JWT_SECRET: SECRET } })
    const tail = follow(['tail', 'u1', '--count', '1', '--json', '--url', weir.url('')], { WEIR_TOKEN: minted.stdout })
    await tail.lines.take('the stream', line => JSON.parse(line).event === 'connected')
    await run(words, { env: { JWT_SECRET: SECRET } })
    assert.equal(await deadline(tail.ended, 'the one message'), 0)
    await weir.close()
  })
})
