// The configuration read again while clients are connected: as a whole or not at all, with a report, and to the effect that it says.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { event, source } from '../lib/events.js'
import { get, post, send } from '../lib/http.js'
import { deadline } from '../lib/inbox.js'
import { BINARY, Weir } from '../lib/weir.js'

const TOKEN = 'operators only here'
const OPERATOR = { headers: { authorization: `Bearer ${TOKEN}` } }
const KEYS = { billing: 'weir_billing', stock: 'weir_stock' }

/** A section of an API key. */
const key = (name, role = 'user') => `
[[auth.api_key]]
name = "${name}"
hash = "sha256:${createHash('sha256').update(KEYS[name]).digest('hex')}"
role = "${role}"
permissions = ["read", "write", "publish"]
`

/** A configuration; `rest` goes behind it. */
const config = rest => `[admin]\ntoken = "${TOKEN}"\n${rest}`

const BOTH = key('billing') + key('stock')

/** Runs a command of `weir`; answers `{code, said}`. */
function run(...words) {
  return new Promise(resolve => {
    execFile(BINARY, words, { env: { WEIR_ADMIN_TOKEN: TOKEN } }, (error, out, err) => {
      resolve({ code: error?.code ?? 0, said: `${out}${err}` })
    })
  })
}

describe('a configuration that is read again', () => {
  let weir

  before(async () => { weir = await Weir.start({ config: config(BOTH) }) })
  after(() => weir.close())

  const write = rest => writeFileSync(path(weir.folder, 'weir.toml'), config(rest))
  const as = name => ({ headers: { 'x-api-key': KEYS[name] } })
  const stream = name => source(weir.url(`/mcp/sse?client_id=${name}`), as(name).headers)

  /** Sends SIGHUP and answers what came of it. */
  async function hangup() {
    const said = /SIGHUP: configuration, rules and certificates (stay|are read again)/
    const before = weir.output.length
    weir.child.kill('SIGHUP')
    const done = async () => { while (!said.test(weir.output.slice(before))) await once(weir.child.stderr, 'data') }
    await deadline(done(), 'the log to say what came of it')
    return (await get(weir.url('/mcp/admin/reload', 'admin'), OPERATOR)).json
  }

  it('changes nothing if something is wrong, and says all that is', async () => {
    const es = stream('stock')
    await event(es, 'connected')
    write(`[http_sse]\nheartbeat_intervall = "50ms"\n[message]\nmax_size = 5\n${key('stock')}`)
    const { refused } = await hangup()
    const said = refused.split('\n').map(line => line.replace(/^.*weir\.toml/, 'weir.toml'))
    assert.deepEqual(said, [
      'weir.toml:4: there is no http_sse.heartbeat_intervall; did you mean http_sse.heartbeat_interval?',
      'weir.toml:6: message.max_size is 5 and must be a whole number from 1024 to 67108864',
    ])
    assert.equal((await send(weir, 'stock', { type: 'note', data: 1 }, as('billing'))).status, 202, 'the key is there still')
    const { code, said: told } = await run('reload', '--url', weir.url('', 'admin'))
    assert.equal(code, 1)
    assert.match(told, /did you mean http_sse\.heartbeat_interval\?/)
    es.close()
  })

  it('takes effect for those who are connected once it is mended', async () => {
    const es = stream('stock')
    await event(es, 'connected')
    write(`[http_sse]\nheartbeat_interval = "50ms"\n[message]\nmax_size = 2048\n[outbox]\nmax_bytes = 4096\n${BOTH}`)
    const report = await hangup()
    assert.deepEqual(report.changed, [
      { key: 'http_sse.heartbeat_interval', from: '"30s"', to: '"50ms"' },
      { key: 'message.max_size', from: '1048576', to: '2048' },
      { key: 'outbox.max_bytes', from: '1048576', to: '4096' },
    ])
    assert.deepEqual(report.needs_restart, [])
    assert.ok(report.unchanged.includes('server.ws_port'))
    await event(es, 'heartbeat')
    const long = { type: 'note', data: 'x'.repeat(3000) }
    assert.equal((await send(weir, 'stock', long, as('billing'))).json.reason, 'message_too_large')
    assert.equal(es.responses.items.length, 1, 'it was one stream all the time')
    es.close()
  })

  it('has buckets go on at the new rate', async () => {
    const publish = () => send(weir, 'stock', { type: 'note', data: 1 }, as('billing')).then(({ status }) => status)
    assert.equal(await publish(), 202)
    write(`[rate_limiting.roles]\nuser = { limit = 2, per = "1h" }\n${BOTH}`)
    await hangup()
    // A bucket is that of a shard, and there are two.
    const answers = []
    for (let n = 0; n < 5; n++) answers.push(await publish())
    assert.ok(answers.includes(429), `${answers}`)
    write(BOTH)
    await hangup()
    const again = async () => { while (await publish() !== 202); }
    await deadline(again(), 'the bucket to fill at the old rate')
  })

  it('ends those whose key is gone, and nobody else', async () => {
    const [billing, stock] = [stream('billing'), stream('stock')]
    for (const es of [billing, stock]) await event(es, 'connected')
    const gone = new Promise(resolve => { billing.onerror = error => { if (error.code === 401) resolve() } })
    write(key('stock'))
    const { changed } = await hangup()
    assert.deepEqual(changed, [{ key: 'auth.api_key' }])
    await deadline(gone, 'the stream to end and its client to be refused')
    assert.equal((await send(weir, 'stock', { type: 'note', data: 1 }, as('billing'))).status, 401)
    assert.equal((await send(weir, 'stock', { type: 'note', data: 1 }, as('stock'))).status, 202)
    assert.equal((await event(stock, 'message')).data.type, 'note')
    for (const es of [billing, stock]) es.close()
  })

  it('has the roles that it names, and those that are gone are guests', async () => {
    write(`[auth.roles.partner]\npermissions = ["read"]\n${key('stock', 'partner')}`)
    const { code, said } = await run('reload', '--url', weir.url('', 'admin'))
    assert.equal(code, 0, said)
    assert.match(said, /^changed +auth\.api_key/m)
    assert.match(said, /^changed +auth\.roles/m)
    assert.match(said, /^unchanged +\d+ keys/m)
    const es = stream('stock')
    assert.equal((await event(es, 'connected')).data.role, 'partner')
    es.close()
    write(key('stock'))
    await hangup()
    const again = stream('stock')
    assert.equal((await event(again, 'connected')).data.role, 'user')
    again.close()
  })

  it('says what it cannot change while it runs', async () => {
    write(`[durability]\ndir = "elsewhere"\n[vsm]\nsink = "bus.ndjson"\n[cors]\nmax_age = "1h"\n${key('stock')}`)
    const { status, json } = await post(weir.url('/mcp/admin/reload', 'admin'), {}, OPERATOR)
    assert.equal(status, 200)
    assert.deepEqual(json.changed, [{ key: 'cors.max_age', from: '"24h"', to: '"1h"' }])
    assert.deepEqual(json.needs_restart, [
      { key: 'durability.dir', why: 'the log is opened at start' },
      { key: 'vsm.sink', why: 'the file is opened at start' },
    ])
    assert.equal((await post(weir.url('/mcp/admin/reload', 'admin'), {})).status, 401, 'operators only')
  })
})
