// What a role may use of the servers behind: by names and patterns, what is denied going first.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, describe, it } from 'node:test'

import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

import { deadline } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'

const SECRET = 'rights'.repeat(8)
const CONFIG = `
[auth.jwt]
secret = "${SECRET}"
[auth.roles.clerk]
permissions = ["read", "write"]
mcp_allow = ["tools/call:*", "resources/read:weir://*"]
mcp_deny = ["tools/call:weir__sleep", "tools/call:n*"]
[auth.roles.reader]
permissions = ["read"]
`

const base64url = value => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token of HS256, made here. */
function token(claims) {
  const exp = Math.floor(Date.now() / 1000) + 600
  const head = base64url({ alg: 'HS256', typ: 'JWT' })
  const signed = `${head}.${base64url({ iss: 'weir', aud: 'mcp-gateway', exp, ...claims })}`
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`
}

describe('a role', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: CONFIG }) })
  after(() => weir.close())

  /** A connected client of this role. */
  async function as(role) {
    const headers = { authorization: `Bearer ${token({ sub: `a ${role}`, role })}` }
    const client = new Client({ name: 'weir-suite', version: '1' })
    const transport = new StreamableHTTPClientTransport(new URL(weir.url('/mcp')), { requestInit: { headers } })
    await deadline(client.connect(transport), `a ${role} to connect`)
    return client
  }

  it('sees what it may use, and no more', async () => {
    const clerk = await as('clerk')
    const names = async (list, key) => (await clerk[list]())[key].map(({ name }) => name).toSorted()
    assert.deepEqual(await names('listTools', 'tools'), ['add', 'echo'])
    assert.deepEqual(await names('listPrompts', 'prompts'), [])
    assert.deepEqual((await clerk.listResources()).resources.map(({ uri }) => uri), ['weir://about'])
    await clerk.close()
    const user = await as('user')
    assert.equal((await user.listTools()).tools.length, 4)
    await user.close()
  })

  it('uses what it may use, and is told why it may not use the rest', async () => {
    const clerk = await as('clerk')
    const call = (name, args) => clerk.callTool({ name, arguments: args })
    assert.equal((await call('add', { a: 1, b: 2 })).content[0].text, '3')
    assert.ok((await clerk.readResource({ uri: 'weir://about' })).contents.length)
    for (const refused of [
      () => call('sleep', { seconds: 0 }), () => call('now', {}),
      () => clerk.getPrompt({ name: 'hello', arguments: { name: 'a' } }),
      () => clerk.readResource({ uri: 'weir://a/../about' }),
    ]) {
      const error = await refused().then(() => assert.fail('it was served'), error => error)
      assert.equal(error.code, 403)
      assert.deepEqual([error.data.error, error.data.reason], ['forbidden', 'insufficient_scope'])
    }
    await clerk.close()
  })

  it('that may only read calls no tool', async () => {
    const reader = await as('reader')
    assert.equal((await reader.listTools()).tools.length, 4)
    await assert.rejects(reader.callTool({ name: 'echo', arguments: { message: 'a' } }), /403|scope|permission/i)
    await reader.close()
  })
})
