// One message's way through all systems: what S5 allows, S1 takes, S3 lets pass, a server answers and the client gets, as
// the bus tells it; and what S5 and S3 stop, each where it does and with its reason.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, describe, it } from 'node:test'

import { Bus } from '../lib/bus.js'
import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { post, request, send } from '../lib/http.js'
import { bearer, required, token } from '../lib/tokens.js'
import { Weir } from '../lib/weir.js'
import { Fixture, freePort, upstream } from '../mcp/lib/fixture.js'
import { text } from '../mcp/lib/lists.js'
import { connect } from '../mcp/lib/v1.js'

const installed = createRequire(new URL('../mcp/lib/v1.js', import.meta.url))
const SERVER = installed.resolve('@modelcontextprotocol/server-everything/dist/index.js')

const ADMIN = 'the admin token of this suite'
const OPERATOR = bearer(ADMIN)
const BACKEND = bearer(token('backend', { permissions: ['publish'] }))

/** S5: a role that may not use one tool, and a rule for orders. */
const POLICY = `
[admin]
token = "${ADMIN}"
[auth.roles.clerk]
permissions = ["read", "write"]
mcp_allow = ["tools/call:*"]
mcp_deny = ["tools/call:*get-env"]
[rules]
file = "rules.toml"
[mcp]
prefix = "always"
`
const RULES = `[[rule]]
name = "orders-have-amounts"
types = ["order"]
effect = "require"
required = ["amount"]
`

/** S3: two failures open the breaker, which stays so for as long as the test lasts. */
const BREAKER = 'circuit_breaker = { minimum = 2, timeout = "10m" }'

const CLIENT = 'clerk-1'

describe('a message on its way through the systems', () => {
  let server, weir, bus, client, socket, channel

  before(async () => {
    server = await Fixture.launch([SERVER, 'streamableHttp'], /listening on port (\d+)/, { PORT: String(await freePort()) })
    // One shard: what it says is in the order in which it happened.
    const config = required({ rest: POLICY + upstream('everything', server.url, BREAKER) })
    weir = await Weir.start({ shards: 1, config, files: { 'rules.toml': RULES } })
    const credential = token(CLIENT, { role: 'clerk' })
    client = await connect(weir, 'http', { headers: bearer(credential) })
    socket = phoenix(weir, { token: credential })
    channel = (await join(socket, 'mcp:gateway')).channel
    bus = await Bus.open(weir, `client:${CLIENT},s3_control,algedonic`, OPERATOR)
    assert.equal((await post(admin(`trace/${CLIENT}`), { for_s: 300 }, { headers: OPERATOR })).status, 200)
  })
  after(async () => {
    bus.close()
    await disconnect(socket)
    await client.close()
    await weir.close()
    await server.close()
  })

  const admin = path => weir.url(`/mcp/admin/${path}`, 'admin')
  const publish = message => send(weir, CLIENT, message, { headers: BACKEND })
  const set = (path, value) => request('PUT', admin(path), {
    body: JSON.stringify(value), headers: { ...OPERATOR, 'content-type': 'application/json' },
  })

  /** Everything the bus has said until now. What is urgent is never shed, so it tells when that is. */
  async function told() {
    assert.equal((await publish({ type: 'marker', data: 1, priority: 'urgent' })).status, 202)
    const last = item => item.event === 'dispatched' && item.data.type === 'marker'
    await bus.inbox.take('the marker', last)
    return bus.inbox.items.splice(0).filter(({ data }) => data.type !== 'marker')
  }

  /** The operations of that type among what was told: `[step, detail]` each, in order. */
  function lives(events, type) {
    const operations = Map.groupBy(events.filter(({ system, data }) => system === 'client' && data.type === type),
      ({ data }) => data.operation)
    return [...operations.values()].map(steps => steps.map(({ event, data }) => [event, data.detail]))
  }

  /** Why a call was refused. */
  async function refusal(call) {
    return call.then(result => assert.fail(`it was served: ${JSON.stringify(result)}`), ({ data }) => data?.reason)
  }

  it('passes S5, is taken by S1, let through by S3, and answered', async () => {
    assert.equal(text(await client.use('everything__echo', { message: 'hello' })), 'Echo: hello')
    const events = await told()
    const way = [['received', undefined], ['allowed', undefined], ['dispatched', 'everything'], ['answered', undefined]]
    assert.deepEqual(lives(events, 'tools/call'), [way])
    const times = events.map(({ timestamp }) => Date.parse(timestamp))
    assert.deepEqual(times, times.toSorted((a, b) => a - b))
    assert.ok(events.every(({ source }) => source === 'shard 0'))
  })

  it('is stopped by S5: by what its role may use, before any server hears of it', async () => {
    assert.equal(await refusal(client.use('everything__get-env')), 'insufficient_scope')
    const way = [['received', undefined], ['denied', 'insufficient_scope']]
    assert.deepEqual(lives(await told(), 'tools/call'), [way])
  })

  it('is stopped by S5: by a rule, which is named', async () => {
    assert.equal((await push(channel, 'order', { amount: 1 })).status, 'ok')
    const { status, response } = await push(channel, 'order', {})
    assert.deepEqual([status, response.reason], ['error', 'orders-have-amounts'])
    const passed = [['received', undefined], ['allowed', undefined], ['dispatched', 'events'], ['answered', undefined]]
    // A backend's message for the client, too.
    assert.equal((await publish({ type: 'order', data: {} })).json.reason, 'orders-have-amounts')
    const stopped = [['received', undefined], ['denied', 'orders-have-amounts']]
    assert.deepEqual(lives(await told(), 'order'), [passed, stopped, stopped])
  })

  it('is stopped by S3: while messages of its priority are shed, and no longer', async () => {
    assert.equal((await set('control', { shedding: 2, for_s: 60 })).status, 200)
    const { status, json } = await publish({ type: 'chat', data: 1 })
    assert.deepEqual([status, json.reason], [503, 'load_shed'])
    assert.equal((await set('control', { shedding: 'auto' })).status, 200)
    assert.equal((await publish({ type: 'chat', data: 2 })).status, 202)
    const events = await told()
    const changes = events.filter(({ event }) => event === 'shedding_changed')
    assert.deepEqual(changes.map(({ system, data }) => [system, data.level]), [['s3_control', 2], ['s3_control', 0]])
    const [stopped, passed] = lives(events, 'chat')
    assert.deepEqual(stopped, [['received', undefined], ['denied', 'load_shed']])
    assert.deepEqual(passed.map(([step]) => step).slice(0, 3), ['received', 'allowed', 'dispatched'])
    const denied = events.findIndex(({ event }) => event === 'denied')
    assert.ok(events.indexOf(changes[0]) < denied && denied < events.indexOf(changes[1]), 'between the two')
  })

  it('is stopped by S3: by the breaker of a server that is gone, which hurts', async () => {
    await server.close()
    let reason
    do reason = await refusal(client.use('everything__echo', { message: 'hello' })); while (reason !== 'breaker_open')
    const events = await told()
    const way = [['received', undefined], ['allowed', undefined], ['denied', 'breaker_open']]
    const calls = lives(events, 'tools/call')
    assert.deepEqual(calls.at(-1), way)
    const tried = calls.slice(0, -1)
    assert.ok(tried.length >= 1)
    for (const steps of tried) {
      assert.equal(steps.at(-1)[0], 'answered')
      assert.match(steps.at(-1)[1], /the server everything/)
    }
    const opened = events.findIndex(({ event }) => event === 'breaker_opened')
    assert.deepEqual(events[opened].data, { name: 'everything' })
    assert.ok(opened < events.findIndex(({ event }) => event === 'denied'), 'the cause is told before what it causes')
    const pains = events.filter(({ event }) => event === 'pain')
    assert.deepEqual(pains.map(({ data }) => data.context), [{ cause: 'breaker', name: 'everything' }])
  })
})
