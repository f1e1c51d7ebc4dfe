// What a service manager sees of the gateway, and what an operator sees of an orderly stop.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'

import { get, post, send } from '../lib/http.js'
import { deadline, Inbox } from '../lib/inbox.js'
import { plain, tell } from '../lib/plain.js'
import { event, source } from '../lib/events.js'
import { Weir } from '../lib/weir.js'

/** A datagram socket as systemd has one, in Python, as Node.js has none; `messages` gets what it is told. */
function manager(socket) {
  const program = 'import socket, sys\n'
    + 's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nprint("bound", flush=True)\n'
    + 'while True: print(s.recv(4096).decode().replace("\\n", " "), flush=True)\n'
  const child = spawn('python3', ['-c', program, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  const messages = new Inbox()
  child.stdout.setEncoding('utf8').on('data', text => text.split('\n').filter(Boolean).forEach(line => messages.put(line)))
  return { messages, end: () => child.kill() }
}

/** A command that passes listening sockets on as systemd does, and then becomes what stands behind it. */
function activation(ports, names) {
  const program = 'import os, socket, sys\n'
    + 'ports, names, rest = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]\n'
    + 'for at, port in enumerate(ports):\n'
    + '  s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(port))); s.listen(128)\n'
    + '  fd = s.detach(); os.dup2(fd, 50 + at); os.close(fd)\n'
    + 'for at in range(len(ports)): os.dup2(50 + at, 3 + at, inheritable=True); os.close(50 + at)\n'
    + 'os.environ.update(LISTEN_FDS=str(len(ports)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=names)\n'
    + 'os.execvp(rest[0], rest)\n'
  return ['python3', '-c', program, ports.join(','), names.join(':')]
}

async function freePort() {
  const server = http.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

describe('a service manager', () => {
  it('is told that the gateway is ready, alive, reloads and stops', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'weir-manager-'))
    const socket = path.join(folder, 'notify')
    const { messages, end } = manager(socket)
    await messages.take('the socket', line => line === 'bound')
    const weir = await Weir.start({ inside: ['env', `NOTIFY_SOCKET=${socket}`, 'WATCHDOG_USEC=200000'] })
    const ready = await messages.take('READY', line => line.startsWith('READY=1'))
    assert.match(ready, new RegExp(`MAINPID=${weir.pid}\\b`))
    await messages.take('WATCHDOG', line => line === 'WATCHDOG=1')
    weir.child.kill('SIGHUP')
    assert.match(await messages.take('RELOADING', line => line.startsWith('RELOADING=1')), /MONOTONIC_USEC=\d+/)
    await messages.take('READY again', line => line.startsWith('READY=1'))
    assert.deepEqual(await weir.end('SIGTERM'), { code: 0, signal: null })
    await messages.take('STOPPING', line => line.startsWith('STOPPING=1'))
    end()
    await weir.close()
    rmSync(folder, { recursive: true })
  })

  it('may listen in its place, with one socket that all shards accept on', async () => {
    const ports = [await freePort(), await freePort(), await freePort()]
    const weir = await Weir.start({ inside: activation(ports, ['ws', 'admin', 'sse']) })
    assert.deepEqual(weir.ports, { ws: ports[0], admin: ports[1], sse: ports[2] })
    for (let client = 0; client < 8; client++) {
      assert.equal((await send(weir, `c${client}`, { type: 'chat', data: 1 })).status, 202)
    }
    const rpc = await plain(weir, '/mcp/ws?client_id=c1', { protocols: ['mcp'] })
    rpc.terminate()
    await weir.close()
  })
})

describe('an orderly stop', () => {
  it('turns readiness red before listeners close, tells how far it is, and is told to webhooks with its reason', async () => {
    const told = new Inbox()
    const hook = http.createServer((request, response) => {
      let body = ''
      request.on('data', text => { body += text }).on('end', () => { told.put(JSON.parse(body)); response.end() })
    }).listen(0, '127.0.0.1')
    await once(hook, 'listening')
    const config = '[drain]\ndelay = "700ms"\ntimeout = "20s"\n'
      + `[[webhook]]\nname = "ops"\nurl = "http://127.0.0.1:${hook.address().port}/"\ntopics = ["s1_operations"]\n`
    const weir = await Weir.start({ config })
    const es = source(weir.url('/mcp/sse?client_id=u'))
    await event(es, 'connected')
    const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
    const rpc = await plain(weir, '/mcp/ws?client_id=busy', { protocols: ['mcp'] })
    const params = { name: 'sleep', arguments: { seconds: 3 }, _meta: meta }
    tell(rpc, { jsonrpc: '2.0', id: 7, method: 'tools/call', params })
    // Its turn has come: the call is under way.
    tell(rpc, { jsonrpc: '2.0', id: 8, method: 'tools/call', params: { ...params, name: 'now', arguments: {} } })
    assert.equal((await rpc.messages.take('the quick answer')).id, 8)
    weir.expectExit = true
    const reason = 'a new kernel'
    assert.equal((await post(weir.url('/mcp/admin/drain', 'admin'), { reason })).status, 202)
    const ready = await get(weir.url('/ready', 'admin'))
    assert.deepEqual([ready.status, ready.json.status, ready.json.reason], [503, 'draining', reason])
    // Listeners are still open.
    assert.equal((await get(weir.url('/mcp/stats'))).status, 200)
    const { data } = await event(es, 'shutdown_pending')
    assert.deepEqual([data.reason, data.message], ['draining', reason])
    assert.ok(data.reconnect_after >= 0 && data.deadline > Date.now())
    await assert.rejects(get(weir.url('/mcp/stats')), /ECONNREFUSED|ECONNRESET/)
    const { json: progress } = await get(weir.url('/mcp/admin/drain', 'admin'))
    assert.deepEqual([progress.phase, progress.connections, progress.calls], ['finishing', 1, 1])
    assert.equal((await rpc.messages.take('the answer of the call')).id, 7)
    assert.equal((await rpc.closed).code, 1012)
    assert.deepEqual(await deadline(weir.exited, 'the end'), { code: 0, signal: null })
    const phases = []
    while (phases.at(-1) !== 'ended') {
      const { event: name, data: { phase, reason: why } } = await told.take('the next phase')
      assert.deepEqual([name, why], ['drain', reason])
      phases.push(phase)
    }
    assert.equal(phases[0], 'begun')
    es.close()
    hook.close()
    await weir.close()
  })

  it('ends by force when its time is up, and says so to what is under way', async () => {
    const weir = await Weir.start({ config: '[drain]\ntimeout = "2s"\n' })
    const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
    const rpc = await plain(weir, '/mcp/ws?client_id=busy', { protocols: ['mcp'] })
    const params = { name: 'sleep', arguments: { seconds: 60 }, _meta: meta }
    tell(rpc, { jsonrpc: '2.0', id: 7, method: 'tools/call', params })
    const ended = weir.end('SIGTERM')
    const { id, error } = (await rpc.messages.take('the answer of the call'))
    assert.deepEqual([id, error.code, error.data.reason], [7, 503, 'draining'])
    assert.equal((await rpc.closed).code, 1012)
    assert.deepEqual(await ended, { code: 0, signal: null })
    await weir.close()
  })
})

describe('a takeover', () => {
  it('has no connection refused, and cursors go on', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'weir-takeover-'))
    const socket = path.join(folder, 'takeover')
    const config = `[server]\ntakeover = "${socket}"\n`
    const first = await Weir.start({ config })
    assert.equal(statSync(socket).mode & 0o777, 0o600)
    const { json: before } = await send(first, 'u', { type: 'chat', data: 1 })
    await send(first, 'u', { type: 'chat', data: 2, priority: 'urgent', idempotency_key: 'k' })
    let running = true
    const refused = []
    const knocking = (async () => {
      while (running) await get(first.url('/mcp/stats')).then(({ status }) => status, error => refused.push(error.message))
    })()
    first.expectExit = true
    const second = await Weir.start({ config, flags: ['--takeover'], shards: 3 })
    assert.deepEqual(second.ports, first.ports)
    assert.deepEqual(await deadline(first.exited, 'the end of the first'), { code: 0, signal: null })
    running = false
    await knocking
    assert.deepEqual(refused, [])
    const again = await send(second, 'u', { type: 'chat', data: 2, priority: 'urgent', idempotency_key: 'k' })
    assert.deepEqual([again.json.epoch, again.json.sequence], [before.epoch, 1], 'the key is known')
    const { json: after } = await send(second, 'u', { type: 'chat', data: 3 })
    assert.deepEqual([after.epoch, after.sequence], [before.epoch, 2])
    const es = source(second.url(`/mcp/sse?client_id=u&last_event_id=${before.epoch}-0`))
    assert.equal((await event(es, 'connected')).data.recovered, true)
    const messages = []
    while (messages.length < 3) messages.push((await event(es, 'message')).data.data)
    assert.deepEqual(messages.sort(), [1, 2, 3])
    es.close()
    await first.close()
    await second.close()
    rmSync(folder, { recursive: true })
  })

  it('that comes to nothing leaves the gateway as it was', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'weir-takeover-'))
    const socket = path.join(folder, 'takeover')
    const weir = await Weir.start({ config: `[server]\ntakeover = "${socket}"\n` })
    // Says everything that a successor says but the last word.
    const program = 'import socket, sys, time\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n'
      + 's.sendall(b"weir takeover 2\\n"); s.recv(65536); s.recv(65536); s.sendall(b"go\\n"); s.recv(65536)\n'
    assert.equal(spawnSync('python3', ['-c', program, socket]).status, 0)
    const answer = async () => (await send(weir, 'u', { type: 'chat', data: 1 })).status
    const end = Date.now() + 20_000
    while (await answer() !== 202) assert.ok(Date.now() < end, weir.output)
    assert.ok(existsSync(socket))
    await weir.close()
    rmSync(folder, { recursive: true })
  })

  it('of nobody says where it looked', async () => {
    const weir = Weir.launch({ flags: ['--takeover'], config: '[server]\ntakeover = "nowhere"\n' })
    weir.expectExit = true
    assert.equal((await deadline(weir.exited, 'the end')).code, 1)
    assert.match(weir.output, /no running gateway waits at .*nowhere/)
    await weir.close()
  })
})
