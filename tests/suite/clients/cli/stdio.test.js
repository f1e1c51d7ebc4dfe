// weir stdio between the official SDK's client and a gateway: what the suite mcp does not ask of it.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { run } from '../lib/command.js'
import { get } from '../lib/http.js'
import { Weir } from '../lib/weir.js'
import { text } from '../mcp/lib/lists.js'
import * as v1 from '../mcp/lib/v1.js'

const INITIALIZE = '{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},' +
  '"clientInfo":{"name":"words","version":"1"}}}\n'
const INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}\n'

const sessions = async weir => (await get(weir.url('/mcp/stats'))).json.mcp.sessions

describe('weir stdio', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  it('is a server to who writes lines', async () => {
    const input = `${INITIALIZE}${INITIALIZED}{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":2}}}\n` +
      'no json\n{"jsonrpc":"2.0","id":3,"method":"no/such"}\n'
    const { code, stdout, stderr } = await run(['stdio', '--url', weir.url('/mcp')], { input })
    assert.equal(code, 0, stderr)
    const lines = stdout.trim().split('\n').map(line => JSON.parse(line))
    const answer = id => lines.find(line => line.id === id)
    assert.equal(answer('i').result.serverInfo.name, 'weir')
    assert.equal(answer(2).result.content[0].text, '3')
    assert.equal(answer(3).error.code, -32601)
    assert.equal(lines.find(({ error }) => error?.code === -32700).id, null)
    assert.equal(await sessions(weir), 0, 'it ends its session')
  })

  it('says what is wrong with the gateway, as an answer', async () => {
    const { code, stdout } = await run(['stdio', '--url', 'http://127.0.0.1:1', '--patience', '10ms'], { input: INITIALIZE })
    const { id, error } = JSON.parse(stdout)
    assert.deepEqual([code, id], [0, 'i'])
    assert.match(error.message, /no gateway answers at http:\/\/127\.0\.0\.1:1/)
  })

  it('begins the session again that a restart has lost', async () => {
    let other = await Weir.start()
    const client = await v1.connect(other, 'stdio')
    assert.equal(text(await client.use('echo', { message: 'before' })), 'before')
    other = await other.restart()
    assert.equal(text(await client.use('echo', { message: 'after' })), 'after')
    await client.close()
    await other.close()
  })

  it('shows a token to a gateway that wants one', async () => {
    const secret = 'a secret of the suites: 32 bytes'
    const guarded = await Weir.start({ config: `[auth.jwt]\nsecret = "${secret}"\n` })
    const words = ['stdio', '--url', guarded.url('')]
    const refused = await run(words, { input: INITIALIZE })
    assert.equal(JSON.parse(refused.stdout).error.code, 401)
    const taken = await run(words, { input: INITIALIZE, env: { JWT_SECRET: secret } })
    assert.equal(JSON.parse(taken.stdout).result.serverInfo.name, 'weir')
    await guarded.close()
  })
})
