// The gateway under tuning/container/seccomp.json, as a container runtime applies it.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'

import { event, message, source } from '../lib/events.js'
import { send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'
import { Client, worked } from '../upstreams/client.js'
import { ROOT, run } from './lib.js'

const PROFILE = `${ROOT}tuning/container/seccomp.json`
const UNDER = [`${ROOT}tests/.deps/deploy/bin/python3`, new URL('under.py', import.meta.url).pathname, PROFILE]
const CHILD = [process.execPath, new URL('../upstreams/child.js', import.meta.url).pathname]

describe('under the seccomp profile', () => {
  it('the gateway has its ring, its disk and its children', async () => {
    const config = `[mcp]\nprefix = "always"\n[[upstream]]\nname = "child"\ncommand = ${JSON.stringify(CHILD)}\n`
    const weir = await Weir.start({ config, inside: UNDER, flags: ['--data-dir', 'data'] })
    assert.match(weir.output, /, io_uring\n/)
    const es = source(weir.url('/mcp/sse?client_id=u1'))
    await event(es, 'connected')
    assert.equal((await send(weir, 'u1', { type: 'chat', data: 1 })).status, 202)
    assert.equal((await message(es, 'chat')).data.data, 1)
    es.close()
    const client = await Client.open(weir)
    assert.equal(worked(await client.work('child', 'this')), 'worked on this')
    await client.close()
    assert.deepEqual(await weir.end('SIGTERM'), { code: 0, signal: null })
    await weir.close()
  })

  it('without the three calls of the ring the gateway takes epoll, and says so', async () => {
    const profile = JSON.parse(readFileSync(PROFILE, 'utf8'))
    profile.syscalls = profile.syscalls.filter(({ names }) => !names.includes('io_uring_setup'))
    const folder = mkdtempSync(path.join(tmpdir(), 'weir-seccomp-'))
    const file = path.join(folder, 'profile.json')
    writeFileSync(file, JSON.stringify(profile))
    const weir = await Weir.start({ inside: [...UNDER.slice(0, 2), file] })
    assert.match(weir.output, /, epoll\n/)
    assert.match(weir.output, /the driver is epoll, .*seccomp/)
    await weir.close()
    rmSync(folder, { recursive: true })
  })

  it('what no gateway needs is refused', () => {
    const [python, ...under] = UNDER
    const attempts = { 'a new namespace': ['unshare', '-n', 'true'], 'a mount': ['mount', '-t', 'tmpfs', 'none', '/mnt'] }
    for (const [what, command] of Object.entries(attempts)) {
      const { code, text } = run(python, [...under, ...command])
      assert.ok(code !== 0 && /not permitted|denied/.test(text), `${what}: ${text}`)
    }
  })
})
