// What the gateway asks the kernel with: io_uring, or epoll where a host forbids that, as containers do by default.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

import { disconnect, join, phoenix } from '../lib/channel.js'
import { event, message, source } from '../lib/events.js'
import { get, send } from '../lib/http.js'
import { deadline } from '../lib/inbox.js'
import { BINARY, DRIVER, Weir } from '../lib/weir.js'

/** Numbers of system calls, which are the same on every architecture from 424 on. */
const IO_URING_SETUP = 425
const EPOLL_PWAIT2 = 441

const FORBID = fileURLToPath(new URL('../lib/forbid.py', import.meta.url))

/** A start for which these system calls are forbidden. The flag goes before what the environment says. */
function forbidding(calls, driver) {
  return { inside: ['python3', FORBID, calls.join(',')], flags: ['--driver', driver] }
}

/** Clients of both transports on two shards are served; answers what the figures call the driver. */
async function serves(weir) {
  for (const client of ['one', 'two', 'three', 'four']) {
    const es = source(weir.url(`/mcp/sse?client_id=${client}`))
    await event(es, 'connected')
    assert.equal((await send(weir, client, { type: 'chat', data: client })).status, 202)
    assert.equal((await message(es, 'chat')).data.data, client)
    es.close()
    const socket = phoenix(weir, { client_id: client })
    await join(socket, 'mcp:gateway')
    await disconnect(socket)
  }
  return (await get(weir.url('/mcp/stats', 'admin'))).json.driver
}

describe('where io_uring is forbidden', () => {
  it('the gateway runs on epoll and says why, once', async () => {
    const weir = await Weir.start(forbidding([IO_URING_SETUP], 'auto'))
    assert.equal(await serves(weir), 'epoll')
    assert.equal(weir.output.match(/io_uring is forbidden here/g).length, 1, weir.output)
    assert.match(weir.output, /2 shards on core \S+, epoll/)
    await weir.close()
  })

  it('and without exact time-outs, too', async () => {
    const weir = await Weir.start(forbidding([IO_URING_SETUP, EPOLL_PWAIT2], 'auto'))
    assert.equal(await serves(weir), 'epoll')
    await weir.close()
  })

  it('the gateway does not start if io_uring is what it is told to use, and says what to do', async () => {
    const weir = Weir.launch(forbidding([IO_URING_SETUP], 'io_uring'))
    weir.expectExit = true
    const { code } = await deadline(weir.exited, 'weir to give up')
    assert.equal(code, 1)
    assert.match(weir.output, /io_uring is forbidden here: .*seccomp profile, or choose the driver epoll/)
    await weir.close()
  })
})

describe('the driver', () => {
  for (const driver of ['io_uring', 'epoll']) {
    it(`is ${driver} when that is asked for, and the figures say so`, { skip: DRIVER === 'epoll' && driver !== DRIVER }, async () => {
      const weir = await Weir.start({ flags: ['--driver', driver] })
      assert.equal(await serves(weir), driver)
      const said = execFileSync(BINARY, ['stats', '--url', weir.url('', 'admin')], { encoding: 'utf8' })
      assert.match(said, new RegExp(`driver +${driver}`))
      assert.match(weir.output, new RegExp(`driver=${driver}`))
      await weir.close()
    })
  }
})
