// Connections that go on in the process that succeeds: their clients notice nothing.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { describe, it } from 'node:test'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { event, source } from '../lib/events.js'
import { frame, TEXT } from '../lib/frames.js'
import { post, send } from '../lib/http.js'
import { deadline, LONG } from '../lib/inbox.js'
import { until } from '../lib/metrics.js'
import { plain, tell } from '../lib/plain.js'
import { bearer, required, token } from '../lib/tokens.js'
import { Weir } from '../lib/weir.js'

/**
 * Runs `use(weir, succeed)`: `succeed(config)` has another process take over, with that configuration or the same, and
 * resolves to it once the first has ended.
 */
async function lineage(config, use, flags = () => []) {
  const folder = mkdtempSync(path(tmpdir(), 'weir-takeover-'))
  const options = of => ({ config: `${of}\n[server]\ntakeover = "${path(folder, 'takeover')}"\n`, flags: flags(folder) })
  const runs = [await Weir.start(options(config))]
  const succeed = async (other = config) => {
    const before = runs.at(-1)
    before.expectExit = true
    const { config: text, flags: given } = options(other)
    const after = await Weir.start({ config: text, flags: [...given, '--takeover'] })
    runs.push(after)
    assert.deepEqual(await deadline(before.exited, 'the end of the first', LONG), { code: 0, signal: null }, before.output)
    return after
  }
  try {
    await use(runs[0], succeed)
  } finally {
    for (const run of runs) await run.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** So many connections of another process go on in this one; the shards may still be at it when the other has ended. */
async function takesUp(weir, wanted) {
  const count = scrape => scrape.sum('weir_connections_taken_up_total')
  assert.equal(count(await until(weir, `${wanted} connections taken up`, scrape => count(scrape) >= wanted)), wanted)
}

for (const [tier, flags] of [['memory', () => []], ['disk', folder => ['--data-dir', path(folder, 'data')]]]) {
  describe(`a takeover, ${tier}`, () => {
    it('leaves connections at rest open, with their streams and topics', async () => {
      await lineage('', async (weir, succeed) => {
        const socket = phoenix(weir, { client_id: 'p1' })
        const own = await join(socket, 'mcp:gateway')
        const room = await join(socket, 'room:1')
        const quiet = await join(socket, 'room:quiet')
        const es = source(weir.url('/mcp/sse?client_id=e1'))
        await event(es, 'connected')
        const busy = await plain(weir, '/mcp/ws?client_id=m1', { protocols: ['mcp'] })
        const ended = []
        es.addEventListener('error', () => ended.push('EventSource'))
        socket.onClose(() => ended.push('phoenix.js'))
        for (const n of [1, 2]) {
          await send(weir, 'p1', { type: 'n', data: n })
          await send(weir, 'e1', { type: 'n', data: n })
          await post(weir.url('/mcp/topics/room:1/messages'), { type: 'n', data: n })
        }
        const numbered = name => ({ event: of, payload }) => of === 'message' && payload.data === name
        for (const n of [1, 2]) {
          await own.events.take('a message', numbered(n))
          await room.events.take('a message in the room', numbered(n))
          await event(es, 'message')
        }

        const after = await succeed()
        await takesUp(after, 2)
        assert.deepEqual(ended, [])
        // One that MCP messages are under way on, or may be, is closed as ever.
        assert.equal((await deadline(busy.closed, 'the end of a raw socket')).code, 1012)

        const { json } = await send(after, 'p1', { type: 'n', data: 3 })
        assert.deepEqual([json.state, json.sequence], ['delivered', 3])
        assert.equal((await own.events.take('the third message', numbered(3))).payload.sequence, 3)
        await send(after, 'e1', { type: 'n', data: 3 })
        assert.equal((await event(es, 'message')).data.sequence, 3)
        await post(after.url('/mcp/topics/room:1/messages'), { type: 'n', data: 3 })
        assert.equal((await room.events.take('the third in the room', numbered(3))).payload.sequence, 3)
        await post(after.url('/mcp/topics/room:quiet/messages'), { type: 'n', data: 1 })
        await quiet.events.take('the first in a quiet room', numbered(1))
        const pushed = await push(room.channel, 'shout', { text: 'hello' })
        assert.equal(pushed.status, 'ok')
        assert.deepEqual(ended, [])
        // Nothing twice, and nothing of a stop.
        assert.deepEqual([...own.events.items, ...room.events.items], [])
        assert.equal(socket.opens.items.length + socket.closes.items.length, 1)
        es.close()
        await disconnect(socket)
      }, flags)
    })

    it('gives the place of a connection that goes on to whoever brings its token', async () => {
      await lineage('', async (weir, succeed) => {
        const names = ['heard', 'quiet']
        const sockets = names.map(client_id => phoenix(weir, { client_id }, { reconnectAfterMs: () => 3_600_000 }))
        const joined = []
        for (const socket of sockets) joined.push((await join(socket, 'mcp:gateway')).response)
        await send(weir, 'heard', { type: 'n', data: 1 })
        const after = await succeed()
        await takesUp(after, 2)
        for (const [n, client_id] of names.entries()) {
          const other = phoenix(after, { client_id })
          const { response } = await join(other, 'mcp:gateway', { resume: { token: joined[n].recovery_token } })
          assert.deepEqual([response.recovered, response.epoch], [true, joined[n].epoch])
          assert.equal((await sockets[n].closes.take(`the end of ${client_id}`)).code, 1008)
          await disconnect(other)
        }
        for (const socket of sockets) socket.disconnect()
      }, flags)
    })

    it('knows who has proved who he is, and closes whoever is in the middle of a message', async () => {
      await lineage(required(), async (weir, succeed) => {
        const open = async sub => {
          const socket = await plain(weir, `/mcp/ws/websocket?vsn=2.0.0&token=${token(sub)}`)
          tell(socket, ['1', '1', 'mcp:gateway', 'phx_join', {}])
          assert.equal((await socket.messages.take('the join', ([, ref]) => ref === '1'))[4].status, 'ok')
          return socket
        }
        const [whole, half] = [await open('u1'), await open('u2')]
        half._socket.write(frame(TEXT, '["1","2","mcp:gateway","heartbeat",{}]').subarray(0, 9))
        const after = await succeed()
        await takesUp(after, 1)
        assert.equal((await deadline(half.closed, 'the close')).code, 1012)
        tell(whole, ['1', '2', 'mcp:gateway', 'message', { type: 'late', data: 1 }])
        assert.equal((await whole.messages.take('the reply', ([, ref]) => ref === '2'))[4].status, 'ok')
        // Another client's name is still not his to take.
        tell(whole, ['3', '3', 'mcp:gateway', 'phx_join', { client_id: 'u2' }])
        assert.equal((await whole.messages.take('the reply', ([, ref]) => ref === '3'))[4].status, 'error')
        const es = source(after.url('/mcp/sse'), bearer(token('u1')))
        await event(es, 'connected')
        es.close()
        whole.close()
      }, flags)
    })
  })
}

describe('a takeover by another configuration', () => {
  it('asks anew who may stay', async () => {
    await lineage('', async (weir, succeed) => {
      const socket = phoenix(weir, { client_id: 'nobody' })
      await join(socket, 'mcp:gateway')
      await succeed(required())
      assert.equal((await socket.closes.take('the close')).code, 1012)
      socket.disconnect()
    })
  })
})
