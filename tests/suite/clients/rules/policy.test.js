// The rule file as a whole: without it everything passes, with it what it says, and it is read again as a whole or not at all.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { CONFIG, record } from '../lib/audit.js'
import { Bus } from '../lib/bus.js'
import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { get, post, send } from '../lib/http.js'
import { BINARY, Weir } from '../lib/weir.js'

const RULES = `
[[rule]]
name = "trusted"
clients = ["boss"]
effect = "allow"

[[rule]]
name = "no-echo"
methods = ["tools/call"]
tools = ["echo"]
effect = "deny"

[[rule]]
name = "quiet-rooms"
topics = ["room:*"]
min_size = 40
effect = "deny"

[[rule]]
name = "few-orders"
types = ["order"]
effect = "throttle"
limit = { limit = 1, per = "1h", burst = 2 }

[[rule]]
name = "maybe-later"
types = ["note"]
effect = "deny"
dry_run = true
`
const FLAGS = ['--rules', 'rules.toml']
const MCP = { accept: 'application/json, text/event-stream' }

/** An MCP session; calls answer results or errors. */
async function session(weir) {
  const call = async (method, params, headers = {}) => {
    return post(weir.url('/mcp'), { jsonrpc: '2.0', id: 1, method, params }, { headers: { ...MCP, ...headers } })
  }
  const client = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const { headers } = await call('initialize', client)
  const id = { 'mcp-session-id': headers['mcp-session-id'] }
  return (method, params, more) => call(method, params, { ...id, ...more }).then(({ json }) => json)
}

const echo = { name: 'echo', arguments: { message: 'hello' } }

/** A command of this binary: its exit code and what it said. */
function run(...words) {
  return new Promise(resolve => {
    execFile(BINARY, words, { env: { PATH: process.env.PATH } }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, said: stdout + stderr })
    })
  })
}

/** What clients and backends try, each with the reason it is refused for, or none. */
async function tried(weir) {
  const socket = phoenix(weir, { client_id: 'ann' })
  const { channel } = await join(socket, 'mcp:gateway')
  const room = (await join(socket, 'room:1')).channel
  const long = { text: 'x'.repeat(50) }
  const reasons = []
  for (const answer of [
    await push(channel, 'order', {}), await push(channel, 'order', {}), await push(channel, 'order', {}),
    await push(room, 'said', { text: 'short' }), await push(room, 'said', long), await push(channel, 'note', {}),
  ]) reasons.push(answer.response?.reason)
  const published = await post(weir.url('/mcp/topics/room:1/messages'), { type: 'said', data: long })
  const call = await session(weir)
  const tool = await call('tools/call', echo)
  reasons.push(published.json.reason, tool.error?.data.reason)
  await disconnect(socket)
  return reasons
}

describe('without a rule file', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: CONFIG }) })
  after(() => weir.close())

  it('everything passes', async () => {
    assert.deepEqual(await tried(weir), Array(8).fill(undefined))
    const { json } = await get(weir.url('/mcp/admin/rules', 'admin'))
    assert.deepEqual([json.file, json.rules], [null, []])
    const { status, json: refused } = await post(weir.url('/mcp/admin/rules/reload', 'admin'), {})
    assert.equal(status, 400)
    assert.match(refused.message, /set rules.file/)
  })
})

describe('a rule file', () => {
  let weir, bus
  before(async () => {
    weir = await Weir.start({ config: CONFIG, files: { 'rules.toml': RULES }, flags: FLAGS })
    bus = await Bus.open(weir, 's5_policy')
  })
  after(async () => {
    bus.close()
    await weir.close()
  })

  it('refuses what it says, by the name of the first rule that decides', async () => {
    const none = undefined
    const wanted = [none, none, 'few-orders', none, 'quiet-rooms', none, 'quiet-rooms', 'no-echo']
    assert.deepEqual(await tried(weir), wanted)
    const refused = await send(weir, 'u1', { type: 'order', data: 1 })
    assert.equal(refused.status, 202, 'the backend has a bucket of its own')
    const found = await record(weir, 'the echo', ({ reason }) => reason === 'no-echo')
    assert.deepEqual([found.event, found.action, found.type, found.detail], ['policy_violation', 'denied', 'tools/call', 'denied'])
    const { data } = await bus.said('judged', item => item.data.rule === 'quiet-rooms')
    assert.ok(data.denied >= 1 && data.reported === 0)
  })

  it('says in a refusal what is wrong and when to come back', async () => {
    const call = await session(weir)
    const { error } = await call('tools/call', echo)
    assert.deepEqual([error.code, error.data.error], [403, 'policy_violation'])
    assert.match(error.message, /rule "no-echo"/)
    // Each of two cores has two of them for what it takes over HTTP.
    const order = () => send(weir, 'u1', { type: 'order', data: 1 }, { headers: { 'x-client-id': 'shop' } })
    const answers = [await order(), await order(), await order(), await order(), await order()]
    assert.deepEqual(answers.slice(0, 2).map(({ status }) => status), [202, 202])
    const refused = answers.find(({ status }) => status === 429)
    assert.deepEqual([refused.json.error, refused.json.reason], ['policy_violation', 'few-orders'])
    assert.ok(refused.json.retry_after > 0 && Number(refused.headers['retry-after']) > 0)
  })

  it('shields whom it allows from the rules below', async () => {
    const call = await session(weir)
    assert.equal((await call('tools/call', echo, { 'x-client-id': 'boss' })).result.content[0].text, 'hello')
    const socket = phoenix(weir, { client_id: 'boss' })
    const { channel } = await join(socket, 'mcp:gateway')
    for (let n = 0; n < 4; n++) assert.equal((await push(channel, 'order', {})).status, 'ok')
    await disconnect(socket)
  })

  it('only reports what it tries out', async () => {
    const found = await record(weir, 'the note', ({ reason }) => reason === 'maybe-later')
    assert.deepEqual([found.action, found.client], ['reported', 'ann'])
    const { json } = await get(weir.url('/mcp/admin/rules', 'admin'))
    const counted = name => json.rules.find(rule => rule.name === name)
    assert.deepEqual([counted('maybe-later').reported, counted('maybe-later').refused], [1, 0])
    assert.ok(counted('trusted').allowed >= 5 && counted('quiet-rooms').refused === 2)
    const table = await run('rules', '--url', weir.url('', 'admin'))
    assert.match(table.said, /^rule +effect +dry run +allowed +refused +reported\ntrusted +allow /)
  })

  it('is read again while clients are connected: on request, by SIGHUP, or not at all if it is broken', async () => {
    const socket = phoenix(weir, { client_id: 'ben' })
    const { channel } = await join(socket, 'mcp:gateway')
    const file = path(weir.folder, 'rules.toml')
    const rule = (name, rest) => `[[rule]]\nname = "${name}"\ntypes = ["note"]\neffect = "deny"\n${rest}`
    const note = async () => (await push(channel, 'note', {})).response.reason

    writeFileSync(file, rule('no-notes', ''))
    const { status, json } = await post(weir.url('/mcp/admin/rules/reload', 'admin'), {})
    assert.deepEqual([status, json.rules.map(({ name }) => name)], [200, ['no-notes']])
    assert.equal(await note(), 'no-notes')
    assert.deepEqual((await bus.said('rules_reloaded')).data, { rules: 1, dry_run: false })

    writeFileSync(file, rule('broken', 'min_sise = 1\n'))
    const refused = await run('rules', '--reload', '--url', weir.url('', 'admin'))
    assert.equal(refused.code, 1)
    assert.match(refused.said, /rules\.toml:5: there is no rule\.min_sise; did you mean rule\.min_size\?/)
    assert.match((await run('check-config', '--rules', file)).said, /did you mean rule\.min_size/)
    assert.match((await bus.said('rules_rejected')).data.message, /min_sise/)
    assert.equal(await note(), 'no-notes', 'the rules are those of before')

    writeFileSync(file, `dry_run = true\n${rule('tried', '')}`)
    process.kill(weir.pid, 'SIGHUP')
    assert.deepEqual((await bus.said('rules_reloaded')).data, { rules: 1, dry_run: true })
    assert.equal(await note(), undefined)
    assert.equal((await record(weir, 'the note', ({ reason }) => reason === 'tried')).action, 'reported')
    assert.equal(socket.closes.items.length, 0)
    await disconnect(socket)
  })
})

describe('a rule file that is wrong', () => {
  it('keeps the gateway from starting', async () => {
    const weir = Weir.launch({ files: { 'rules.toml': '[[rule]]\nname = "a"\neffect = "drop"\n' }, flags: FLAGS })
    weir.expectExit = true
    assert.equal((await weir.exited).code, 2)
    assert.match(weir.output, /rules\.toml:3: rule\.effect is "drop" and must be "allow"/)
    await weir.close()
  })
})
