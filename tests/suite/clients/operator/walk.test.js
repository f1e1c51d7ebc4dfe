// An operator's first day, in order: start, a configuration that is wrong, traffic, a noisy client, a server that fails,
// the end. What is typed is the command line's, what comes is judged by what it prints and by its exit code.

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'

import { join, phoenix, push } from '../lib/channel.js'
import { run } from '../lib/command.js'
import { event, message, source } from '../lib/events.js'
import { send } from '../lib/http.js'
import { refusal } from '../lib/plain.js'
import { Weir } from '../lib/weir.js'
import { Client, worked } from '../upstreams/client.js'
import { Server, well } from '../upstreams/server.js'

describe('an operator', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'weir-operator-'))
  const [file, data] = ['weir.toml', 'data'].map(name => path.join(folder, name))
  let weir, server, config, es, socket, quiet, mcp

  before(async () => { server = await Server.start(well) })
  after(async () => {
    await server.close()
    await weir?.close()
    rmSync(folder, { recursive: true })
  })

  /** A command that asks the gateway: what it answers, as JSON. */
  const ask = async (...words) => {
    const { code, stdout, stderr } = await run([...words, '--json', '--url', weir.url('', 'admin')])
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout)
  }
  const breaker = async name => (await ask('breakers')).breakers.find(found => found.name === name).state

  it('finds the two commands in the README', () => {
    const readme = readFileSync(new URL('../../../../README.md', import.meta.url), 'utf8')
    const [, commands] = readme.split('## Two commands')
    assert.match(commands, /^ {4}cargo run --release .*\n {4}tests\/run /m)
  })

  it('breaks the configuration, and reads in the error where, what, and what it should be', async () => {
    const wrong = `[http_sse]\nheartbeat_intervall = "30s"\n\n[websocket]\nmax_topics = 0\n`
    writeFileSync(file, wrong)
    for (const words of [['check-config', '-c', file], ['serve', '-c', file]]) {
      const { code, stderr } = await run(words)
      assert.equal(code, 2, `weir ${words.join(' ')}`)
      assert.match(stderr, /weir\.toml:2: .*heartbeat_intervall.*heartbeat_interval\b/)
      assert.match(stderr, /weir\.toml:5: .*max_topics.* 1 to 100000/)
    }
  })

  it('mends it, and is told that it is fine', async () => {
    config = `[http_sse]\nheartbeat_interval = "30s"\n\n[circuit_breaker]\nminimum = 3\ntimeout = "500ms"\nprobes = 1\n\n`
      + `[mcp]\nprefix = "always"\n\n[[upstream]]\nname = "tools"\nurl = "${server.url}"\n`
    writeFileSync(file, config)
    const { code, stdout } = await run(['check-config', '-c', file])
    assert.deepEqual([code, stdout], [0, 'the configuration is fine\n'])
  })

  it('starts it with a data folder that is not there yet', async () => {
    weir = await Weir.start({ config, flags: ['--data-dir', data] })
    assert.ok(existsSync(data))
    assert.match((await run(['stats', '--url', weir.url('', 'admin')])).stdout, /^websocket +0 /m)
  })

  it('sees the traffic of its clients', async () => {
    es = source(weir.url('/mcp/sse?client_id=reader'))
    await event(es, 'connected')
    await send(weir, 'reader', { type: 'chat', data: 1 })
    await message(es, 'chat')
    socket = phoenix(weir, { client_id: 'quiet' })
    const { channel } = await join(socket, 'mcp:gateway')
    quiet = channel
    await push(quiet, 'message', { type: 'order', data: 1 })
    mcp = await Client.open(weir, 'agent')
    assert.equal(worked(await mcp.work('tools', 'traffic')), 'worked on traffic')
    const { websocket, http_sse } = await ask('stats')
    assert.deepEqual([websocket.connections, http_sse.connections], [2, 1])
    assert.ok(websocket.messages_in >= 3 && http_sse.messages_out >= 1)
    const { clients } = await ask('clients', '--sort', 'age')
    assert.deepEqual(clients.map(({ client_id: client }) => client).sort(), ['agent', 'quiet', 'reader'])
  })

  // The dashboard's step belongs here: what it shows of this traffic.

  it('finds the noisy client and black-lists it', async () => {
    const noisy = phoenix(weir, { client_id: 'noisy' })
    const { channel } = await join(noisy, 'mcp:gateway')
    const replies = await Promise.all(Array.from({ length: 300 }, () => push(channel, 'message', { type: 'noise', data: 1 })))
    assert.ok(replies.some(({ status, response }) => status === 'error' && response.error === 'rate_limit_exceeded'))
    assert.ok((await ask('stats')).limited > 0)
    const { clients } = await ask('clients')
    assert.equal(clients.sort((a, b) => b.received - a.received)[0].client_id, 'noisy')
    await ask('blacklist', 'add', 'noisy', '--reason', 'too loud', '--for', '1h')
    assert.deepEqual(await noisy.closes.take('the close'), { code: 1008, reason: 'blacklisted' })
    noisy.disconnect()
    assert.equal(await refusal(weir, '/mcp/ws/websocket?vsn=2.0.0&client_id=noisy'), 403)
    assert.equal((await push(quiet, 'message', { type: 'order', data: 2 })).status, 'ok', 'the others notice nothing')
  })

  it('watches a breaker open and close', async () => {
    assert.equal(await breaker('tools'), 'closed')
    await server.kill()
    while (await breaker('tools') !== 'open') await mcp.work('tools', 'nobody there')
    await server.listen()
    assert.equal(worked(await mcp.workAgain('tools', 'there again')), 'worked on there again')
    assert.equal(await breaker('tools'), 'closed')
  })

  it('drains it: everybody is told, and the exit code is 0', async () => {
    const { status } = await ask('drain')
    assert.equal(status, 'draining')
    await event(es, 'shutdown_pending')
    assert.equal((await socket.closes.take('the close')).code, 1012)
    weir.expectExit = true
    assert.deepEqual(await weir.exited, { code: 0, signal: null })
    const { code, stderr } = await run(['stats', '--url', weir.url('', 'admin')])
    assert.ok(code === 1 && /no gateway answers at/.test(stderr), stderr)
    await weir.close()
  })

  it('starts it again on the same folder, and its clients go on where they were', async () => {
    weir = await Weir.start({ config, flags: ['--data-dir', data], ports: weir.ports })
    assert.equal((await event(es, 'connected')).data.recovered, true)
    assert.equal((await send(weir, 'reader', { type: 'chat', data: 2 })).json.sequence, 2)
    assert.equal((await message(es, 'chat')).data.data, 2)
    es.close()
    socket.disconnect()
  })
})
