// Rules that the operator wrote: whom they are about, what they demand, and what becomes of those who break them.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { CONFIG, record } from '../lib/audit.js'
import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'

const RULES = `
[[rule]]
name = "order-fields"
types = ["order"]
effect = "require"
required = ["amount", "customer.id"]

[[rule]]
name = "small-chats"
types = ["chat", "chat.*"]
effect = "require"
max_size = 64

[[rule]]
name = "watch-numbers"
types = ["chat"]
pattern = '\\d{16}'
effect = "deny"
dry_run = true

[[rule]]
name = "no-shutdown"
types = ["admin.shutdown"]
effect = "close"
`

describe('message rules', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: CONFIG, files: { 'rules.toml': RULES }, flags: ['--rules', 'rules.toml'] }) })
  after(() => weir.close())

  it('refuse by their name, whichever way a message comes', async () => {
    const socket = phoenix(weir, { client_id: 'customer' })
    const { channel } = await join(socket, 'mcp:gateway')
    const good = { amount: 7, customer: { id: 'c1' } }
    const bad = { amount: 7, customer: {} }
    for (const [data, fine] of [[good, true], [bad, false]]) {
      const answers = [await push(channel, 'order', data), await push(channel, 'message', { type: 'order', data })]
      for (const { status, response } of answers) {
        assert.equal(status, fine ? 'ok' : 'error')
        if (!fine) assert.deepEqual([response.error, response.reason], ['policy_violation', 'order-fields'])
      }
      const { status, json } = await send(weir, 'customer', { type: 'order', data })
      assert.equal(status, fine ? 202 : 403)
      if (!fine) assert.deepEqual([json.error, json.reason], ['policy_violation', 'order-fields'])
    }
    const found = await record(weir, 'the order', ({ reason }) => reason === 'order-fields')
    assert.deepEqual([found.event, found.action, found.client, found.type], ['policy_violation', 'denied', 'customer', 'order'])
    assert.equal(found.detail, 'without customer.id')
    await disconnect(socket)
  })

  it('know sizes and types', async () => {
    const socket = phoenix(weir, { client_id: 'talker' })
    const { channel } = await join(socket, 'mcp:gateway')
    const long = { text: 'x'.repeat(100) }
    assert.equal((await push(channel, 'chat', long)).response.reason, 'small-chats')
    assert.equal((await push(channel, 'chat.private', long)).response.reason, 'small-chats')
    assert.equal((await push(channel, 'chats', long)).status, 'ok')
    await disconnect(socket)
  })

  it('report and let pass, where they are tried out', async () => {
    const socket = phoenix(weir, { client_id: 'payer' })
    const { channel } = await join(socket, 'mcp:gateway')
    assert.equal((await push(channel, 'chat', { text: 'card 4111111111111111' })).status, 'ok')
    const found = await record(weir, 'the number', ({ reason }) => reason === 'watch-numbers')
    assert.deepEqual([found.action, found.client], ['reported', 'payer'])
    await disconnect(socket)
  })

  it('close the connection with 1008, where that is their effect', async () => {
    const socket = phoenix(weir, { client_id: 'rogue' }, { reconnectAfterMs: () => 60_000 })
    const { channel } = await join(socket, 'mcp:gateway')
    channel.push('admin.shutdown', {})
    assert.deepEqual(await socket.closes.take('the close'), { code: 1008, reason: 'no-shutdown' })
    const found = await record(weir, 'the close', ({ reason }) => reason === 'no-shutdown')
    assert.equal(found.action, 'closed')
    socket.disconnect()
  })
})
