// Coming back: after a cut, with a cursor; after the gateway was killed; with a cursor nobody knows.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const isMessage = ({ event }) => event === 'message'

describe('resume of the own stream', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('gets exactly what was missed, in order, before anything new', async () => {
    const first = phoenix(weir, { client_id: 'resumer' })
    const { events, response } = await join(first, 'mcp:gateway')
    for (let n = 1; n <= 3; n++) await send(weir, 'resumer', { type: 'chat', data: n })
    await events.takeMany(3, 'a message', isMessage)
    await disconnect(first)
    for (let n = 4; n <= 9; n++) {
      assert.equal((await send(weir, 'resumer', { type: 'chat', data: n })).json.state, 'queued')
    }
    const second = phoenix(weir, { client_id: 'resumer' })
    const resume = { epoch: response.epoch, sequence: 3 }
    const back = await join(second, 'mcp:gateway', { resume })
    assert.equal(back.response.recovered, true)
    assert.equal(back.response.epoch, response.epoch)
    await send(weir, 'resumer', { type: 'chat', data: 10 })
    const missed = await back.events.takeMany(7, 'a message', isMessage)
    assert.deepEqual(missed.map(({ payload }) => payload.sequence), [4, 5, 6, 7, 8, 9, 10])
    assert.deepEqual(missed.map(({ payload }) => payload.data), [4, 5, 6, 7, 8, 9, 10])
    await disconnect(second)
  })

  it('repeats what the client says it never saw', async () => {
    const first = phoenix(weir, { client_id: 'rewinder' })
    const { events, response } = await join(first, 'mcp:gateway')
    for (let n = 1; n <= 5; n++) await send(weir, 'rewinder', { type: 'chat', data: n })
    await events.takeMany(5, 'a message', isMessage)
    await disconnect(first)
    const second = phoenix(weir, { client_id: 'rewinder' })
    const back = await join(second, 'mcp:gateway', { resume: { epoch: response.epoch, sequence: 2 } })
    assert.equal(back.response.recovered, true)
    const again = await back.events.takeMany(3, 'a message', isMessage)
    assert.deepEqual(again.map(({ payload }) => payload.sequence), [3, 4, 5])
    await disconnect(second)
  })

  for (const [what, resume] of [
    ['another epoch', () => ({ epoch: 'no-such-epoch', sequence: 1 })],
    ['a sequence ahead of the stream', epoch => ({ epoch, sequence: 1000 })],
  ]) {
    it(`is honest about a cursor of ${what}: not recovered, and a gap`, async () => {
      const client = `honest ${what}`
      const first = phoenix(weir, { client_id: client })
      const { response } = await join(first, 'mcp:gateway')
      await disconnect(first)
      await send(weir, client, { type: 'chat', data: 1 })
      const second = phoenix(weir, { client_id: client })
      const back = await join(second, 'mcp:gateway', { resume: resume(response.epoch) })
      assert.equal(back.status, 'ok')
      assert.equal(back.response.recovered, false)
      const { payload } = await back.events.take('the gap', ({ event }) => event === 'gap')
      assert.ok(payload.reason && payload.epoch && 'from' in payload && 'to' in payload)
      await disconnect(second)
    })
  }
})

describe('a gateway killed with SIGKILL and started again on the same ports', () => {
  it('gets its clients back: rejoin by themselves, push, reply, a new epoch', async () => {
    const first = await Weir.start()
    const socket = phoenix(first, { client_id: 'survivor' })
    const rejoins = []
    const channel = socket.channel('mcp:gateway', {})
    const joined = count => new Promise(resolve => {
      channel.joinPush.receive('ok', response => { if (rejoins.push(response) === count) resolve(response) })
    })
    const before = joined(1)
    channel.join()
    await before
    await first.end('SIGKILL')
    assert.equal((await socket.closes.take('the end')).code, 1006)
    const second = await Weir.start({ ports: first.ports })
    assert.equal((await push(channel, 'message', { type: 'again' })).status, 'ok')
    const [was, is] = [rejoins[0], rejoins.at(-1)]
    assert.notEqual(is.epoch, was.epoch, 'memory is gone, and the epoch says so')
    assert.equal((await send(second, 'survivor', { type: 'chat', data: 1 })).json.state, 'delivered')
    await disconnect(socket)
    await first.close()
    await second.close()
  })

  it('tells a client that resumes into the new epoch what it lost', async () => {
    const first = await Weir.start()
    const socket = phoenix(first, { client_id: 'loser' })
    const { response } = await join(socket, 'mcp:gateway')
    await send(first, 'loser', { type: 'chat', data: 1 })
    await disconnect(socket)
    const second = await first.restart()
    const later = phoenix(second, { client_id: 'loser' })
    const back = await join(later, 'mcp:gateway', { resume: { epoch: response.epoch, sequence: 0 } })
    assert.equal(back.response.recovered, false)
    await back.events.take('the gap', ({ event }) => event === 'gap')
    await disconnect(later)
    await first.close()
    await second.close()
  })
})
