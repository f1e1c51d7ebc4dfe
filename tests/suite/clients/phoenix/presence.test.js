// Presence: who is on a topic, as phoenix.js's own Presence class makes it out of states and diffs.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { Presence } from 'phoenix'

import { answer, disconnect, phoenix, push } from '../lib/channel.js'
import { get } from '../lib/http.js'
import { Inbox } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'

const CONFIG = '[rate_limiting.default]\nlimit = 0\n[presence]\nmax_per_topic = 3\n'

/** A client joined to `topic` that watches; `synced` gets the names after each change. */
async function member(weir, topic, name, presence, options = {}) {
  const socket = phoenix(weir, { client_id: name }, options)
  const channel = socket.channel(topic, () => ({ presence: typeof presence === 'function' ? presence() : presence }))
  const watched = watch(channel)
  const { response } = await answer(channel.join(), `join of ${topic}`)
  return { socket, channel, response, ...watched }
}

function watch(channel) {
  const seen = new Presence(channel)
  const synced = new Inbox()
  const [joins, leaves] = [new Inbox(), new Inbox()]
  seen.onJoin((name, before, now) => joins.put({ name, before, now }))
  seen.onLeave((name, left, gone) => leaves.put({ name, left, gone }))
  seen.onSync(() => synced.put(names(seen)))
  return { seen, synced, joins, leaves }
}

const names = seen => seen.list(name => name).sort()

/** Waits until `one` sees just these. */
const sees = (one, ...wanted) => one.synced.take(`${wanted} on the roster`, list => list.join() === wanted.sort().join())

const roster = async (weir, topic) => (await get(weir.url(`/mcp/topics/${encodeURIComponent(topic)}/presence`))).json

for (const shards of [1, 2]) {
  describe(`presence with ${shards} shard(s)`, () => {
    let weir
    before(async () => { weir = await Weir.start({ shards, config: CONFIG }) })
    after(() => weir.close())

    it('shows everyone who is on the topic to everyone, and who leaves or dies is gone', async () => {
      const ann = await member(weir, 'room:1', 'ann', { status: 'away', deep: { n: [1, null] } })
      await sees(ann, 'ann')
      const bob = await member(weir, 'room:1', 'bob', true)
      await Promise.all([sees(ann, 'ann', 'bob'), sees(bob, 'ann', 'bob')])
      const [meta] = bob.seen.state.ann.metas
      assert.deepEqual(meta, { phx_ref: ann.response.presence.phx_ref, online_at: meta.online_at,
        status: 'away', deep: { n: [1, null] } })
      assert.ok(Math.abs(Date.parse(meta.online_at) - Date.now()) < 60_000)
      assert.deepEqual(ann.seen.state, bob.seen.state)

      const cid = await member(weir, 'room:1', 'cid', true)
      await Promise.all([ann, bob, cid].map(one => sees(one, 'ann', 'bob', 'cid')))
      cid.channel.leave()
      await Promise.all([ann, bob].map(one => sees(one, 'ann', 'bob')))
      bob.socket.reconnectTimer.scheduleTimeout = () => {} // a client that dies does not come back
      bob.socket.conn.terminate()
      await sees(ann, 'ann')
      const left = await ann.leaves.take('the leave of bob', ({ name }) => name === 'bob')
      assert.equal(left.gone.metas[0].phx_ref, bob.response.presence.phx_ref)
      await Promise.all([ann, cid].map(({ socket }) => disconnect(socket)))
    })

    it('is the same for whoever comes back', async () => {
      const eve = await member(weir, 'room:back', 'eve', true)
      const fay = await member(weir, 'room:back', 'fay', true, { reconnectAfterMs: () => 10 })
      await Promise.all([eve, fay].map(one => sees(one, 'eve', 'fay')))
      fay.socket.conn.terminate()
      await sees(eve, 'eve')
      await Promise.all([eve, fay].map(one => sees(one, 'eve', 'fay')))
      assert.deepEqual(eve.seen.state, fay.seen.state)
      assert.notEqual(fay.seen.state.fay.metas[0].phx_ref, fay.response.presence.phx_ref)
      await Promise.all([eve, fay].map(({ socket }) => disconnect(socket)))
    })

    it('has a client once, with a meta for each of its connections', async () => {
      const tabs = [await member(weir, 'room:tabs', 'gil', { tab: 1 }), await member(weir, 'room:tabs', 'gil', { tab: 2 })]
      const two = ({ name, now }) => name === 'gil' && now.metas.length === 1
      await tabs[0].joins.take('the second tab', two)
      await tabs[0].joins.take('the second tab', two)
      assert.deepEqual(tabs[0].seen.state.gil.metas.map(({ tab }) => tab), [1, 2])
      assert.equal((await roster(weir, 'room:tabs')).count, 1)
      await disconnect(tabs[1].socket)
      await tabs[0].leaves.take('the second tab')
      assert.deepEqual(tabs[0].seen.state.gil.metas.map(({ tab }) => tab), [1])
      await disconnect(tabs[0].socket)
    })

    it('updates a meta with another join of the same topic', async () => {
      const hal = await member(weir, 'room:update', 'hal', { status: 'here' })
      const ivy = await member(weir, 'room:update', 'ivy', true)
      await sees(ivy, 'hal', 'ivy')
      // phoenix.js itself leaves a topic before it joins it again, and then nothing is updated.
      const [ref, payload] = [hal.socket.makeRef(), { presence: { status: 'away' } }]
      hal.socket.push({ topic: 'room:update', event: 'phx_join', payload, ref, join_ref: ref })
      const joined = await ivy.joins.take('the update', ({ name, now }) => name === 'hal' && now.metas[0].status === 'away')
      assert.equal(joined.now.metas[0].phx_ref_prev, hal.response.presence.phx_ref)
      await ivy.leaves.take('what was updated', ({ name, gone }) => name === 'hal' && gone.metas[0].status === 'here')
      assert.deepEqual(ivy.seen.state.hal.metas.map(({ status }) => status), ['away'])
      await Promise.all([hal, ivy].map(({ socket }) => disconnect(socket)))
    })

    it('follows a client that leaves and joins again at once', async () => {
      const ned = await member(weir, 'room:again', 'ned', { status: 'here' })
      const ola = await member(weir, 'room:again', 'ola', true)
      await sees(ola, 'ned', 'ola')
      const again = ned.socket.channel('room:again', { presence: { status: 'away' } })
      const watched = watch(again)
      await answer(again.join(), 'the second join')
      await ola.leaves.take('what was left', ({ name, gone }) => name === 'ned' && gone.metas[0].status === 'here')
      await Promise.all([sees(watched, 'ned', 'ola'), ola.joins.take('the new meta', ({ now }) => now.metas[0].status === 'away')])
      assert.deepEqual(ola.seen.state.ned.metas.map(({ status }) => status), ['away'])
      await Promise.all([ned, ola].map(({ socket }) => disconnect(socket)))
    })

    it('is nothing to those who did not ask, and they are not seen', async () => {
      const jim = phoenix(weir, { client_id: 'jim' })
      const channel = jim.channel('room:quiet', {})
      const { response } = await answer(channel.join(), 'the join')
      assert.equal(response.presence, undefined)
      const kim = await member(weir, 'room:quiet', 'kim', true)
      await sees(kim, 'kim')
      assert.equal((await push(channel, 'shout', {})).response.delivered_to, 1)
      assert.deepEqual(jim.frames.items.filter(({ event }) => event.startsWith('presence')), [])
      await Promise.all([jim, kim.socket].map(disconnect))
    })

    it('can be read by backends', async () => {
      const topic = 'topic:read "me"'
      assert.deepEqual(await roster(weir, topic), { topic, count: 0, presence: {} })
      const lea = await member(weir, topic, 'lea "the" lion', { n: 1 })
      await sees(lea, 'lea "the" lion')
      assert.deepEqual(await roster(weir, topic), { topic, count: 1, presence: { ...lea.seen.state } })
      assert.equal((await get(weir.url('/mcp/topics/lobby/presence'))).status, 404)
      assert.equal((await get(weir.url('/mcp/stats'))).json.present, 1)
      await disconnect(lea.socket)
    })

    it('refuses the roster, not the join, when the topic has as many as it may', async () => {
      const all = []
      for (const n of [1, 2, 3, 4]) all.push(await member(weir, 'room:full', `full ${n}`, true))
      const refused = all[3].response
      assert.equal(refused.presence.reason, 'insufficient_resources')
      assert.equal(refused.sequence, 0)
      assert.equal((await roster(weir, 'room:full')).count, 3)
      assert.equal((await push(all[3].channel, 'shout', {})).response.delivered_to, 3)
      await disconnect(all[0].socket)
      await sees(all[1], 'full 2', 'full 3')
      await Promise.all(all.slice(1).map(({ socket }) => disconnect(socket)))
    })

    it('refuses a meta that is none, and says what one may be', async () => {
      const socket = phoenix(weir, { client_id: 'max' })
      for (const [presence, why] of [
        ['here', /true, false or an object/],
        [{ phx_ref: 'mine' }, /phx_ref/],
        [{ name: 'x'.repeat(2000) }, /1024 bytes/],
      ]) {
        const channel = socket.channel('room:refused', { presence })
        const { status, response } = await answer(channel.join(), 'the join')
        assert.deepEqual([status, response.reason], ['error', 'malformed'])
        assert.match(response.message, why)
        channel.leave()
      }
      await disconnect(socket)
    })
  })
}
