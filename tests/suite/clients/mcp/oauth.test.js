// The gateway as a resource server: the official SDK's client finds out by itself where tokens come from.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'

import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

import { get, post } from '../lib/http.js'
import { deadline } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'
import { Login } from './lib/login.js'

const WELL_KNOWN = '/.well-known/oauth-protected-resource'

/** What the SDK keeps for a client; the user's browser is `visit`. */
class Keeper {
  redirectUrl = 'http://127.0.0.1:1/callback'
  clientMetadata = {
    client_name: 'weir-suite', redirect_uris: [this.redirectUrl], grant_types: ['authorization_code'],
    response_types: ['code'], token_endpoint_auth_method: 'none',
  }
  clientInformation = () => this.client
  saveClientInformation = client => { this.client = client }
  tokens = () => this.saved
  saveTokens = tokens => { this.saved = tokens }
  redirectToAuthorization = url => { this.url = url }
  saveCodeVerifier = verifier => { this.verifier = verifier }
  codeVerifier = () => this.verifier

  /** What the user brings back from where the client has sent him. */
  async visit() {
    const { headers } = await get(this.url)
    return new URL(headers.location).searchParams.get('code')
  }
}

const connected = async transport => {
  const client = new Client({ name: 'weir-suite', version: '1' })
  await deadline(client.connect(transport), 'the client to connect')
  return client
}

const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }

describe('a gateway with an authorization server', () => {
  let login, weir
  before(async () => {
    login = await Login.start()
    weir = await Weir.start({ config: login.config })
  })
  afterEach(() => { login.grants = scope => scope })
  after(async () => {
    await weir.close()
    login.close()
  })

  for (const [what, path, Transport] of [
    ['Streamable HTTP', '/mcp', StreamableHTTPClientTransport], ['HTTP+SSE', '/sse', SSEClientTransport],
  ]) {
    it(`lets a client over ${what} in that has found out where to get a token`, async () => {
      const keeper = new Keeper()
      const transport = () => new Transport(new URL(weir.url(path)), { authProvider: keeper })
      const first = transport()
      await assert.rejects(connected(first), UnauthorizedError)
      assert.equal(keeper.url.searchParams.get('resource'), weir.url(path))
      assert.equal(keeper.url.searchParams.get('scope'), 'mcp:read mcp:write')
      await first.finishAuth(await keeper.visit())
      const client = await connected(transport())
      const { content } = await client.callTool({ name: 'echo', arguments: { message: 'in' } })
      assert.equal(content[0].text, 'in')
      await client.close()
    })
  }

  it('lets a client ask for more when it needs more', async () => {
    const keeper = new Keeper()
    const transport = () => new StreamableHTTPClientTransport(new URL(weir.url('/mcp')), { authProvider: keeper })
    login.grants = () => 'mcp:read'
    const first = transport()
    await assert.rejects(connected(first), UnauthorizedError)
    await first.finishAuth(await keeper.visit())
    const reader = transport()
    const client = await connected(reader)
    assert.ok((await client.listTools()).tools.length > 0)
    login.grants = scope => scope
    const call = { name: 'echo', arguments: { message: 'more' } }
    await assert.rejects(client.callTool(call), UnauthorizedError)
    assert.equal(keeper.url.searchParams.get('scope'), 'mcp:read mcp:write')
    await reader.finishAuth(await keeper.visit())
    assert.equal((await client.callTool(call)).content[0].text, 'more')
    await client.close()
  })

  it('describes itself, as it is called', async () => {
    for (const [path, resource] of [[WELL_KNOWN, '/mcp'], [`${WELL_KNOWN}/mcp`, '/mcp'], [`${WELL_KNOWN}/sse`, '/sse']]) {
      const { status, json } = await get(weir.url(path))
      assert.equal(status, 200)
      assert.deepEqual([json.resource, json.authorization_servers], [weir.url(resource), [login.url]])
      assert.deepEqual(json.scopes_supported, ['mcp:read', 'mcp:write'])
      assert.deepEqual(json.bearer_methods_supported, ['header'])
    }
    const { json } = await get(weir.url(WELL_KNOWN), { headers: { host: `localhost:${weir.ports.sse}` } })
    assert.equal(json.resource, `http://localhost:${weir.ports.sse}/mcp`)
    assert.equal((await get(weir.url(`${WELL_KNOWN}/other`))).status, 404)
  })

  it('says what is missing, wrong or too little', async () => {
    const asked = async headers => {
      const { status, headers: { 'www-authenticate': challenge } } = await post(weir.url('/mcp'), ping, { headers })
      return [status, challenge]
    }
    const metadata = `resource_metadata="${weir.url(`${WELL_KNOWN}/mcp`)}"`
    const both = 'scope="mcp:read mcp:write"'
    assert.deepEqual(await asked({}), [401, `Bearer ${metadata}, ${both}`])
    const bad = await asked({ authorization: 'Bearer nonsense' })
    assert.equal(bad[0], 401)
    assert.match(bad[1], /^Bearer error="invalid_token", error_description="[^"]+", resource_metadata=/)
    const backend = await post(weir.url('/mcp/clients/a/messages'), { type: 'a', data: 1 })
    assert.deepEqual([backend.status, backend.headers['www-authenticate']], [401, `Bearer ${metadata}, ${both}`])
    const reader = login.token({ aud: weir.url('/mcp'), scope: 'mcp:read' })
    const published = await post(weir.url('/mcp/clients/a/messages'), { type: 'a', data: 1 }, {
      headers: { authorization: `Bearer ${reader}` },
    })
    assert.equal(published.status, 403)
    assert.match(published.headers['www-authenticate'], /error="insufficient_scope".*scope="mcp:read mcp:publish"$/)
  })

  it('takes tokens that are meant for it, and no others', async () => {
    const status = async aud => {
      const headers = { authorization: `Bearer ${login.token({ aud, scope: 'mcp:read mcp:write' })}` }
      const initialize = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'a', version: '1' } }
      const message = { jsonrpc: '2.0', id: 1, method: 'initialize', params: initialize }
      return (await post(weir.url('/mcp'), message, { headers })).status
    }
    for (const aud of [weir.url('/mcp'), `http://localhost:${weir.ports.ws}/mcp`, ['other', weir.url('/sse')]]) {
      assert.equal(await status(aud), 200, aud)
    }
    for (const aud of ['https://weir.example.com/mcp', weir.url('/mcp/'), weir.url(''), 'weir', [], undefined]) {
      assert.equal(await status(aud), 401, String(aud))
    }
  })
})

it('a gateway that is told its own URL says and takes that one', async () => {
  const login = await Login.start()
  const weir = await Weir.start({ config: `[auth]\nresource = "https://weir.example.com/gate/mcp"\n${login.config}` })
  const { json } = await get(weir.url(WELL_KNOWN))
  assert.equal(json.resource, 'https://weir.example.com/gate/mcp')
  const { headers } = await post(weir.url('/mcp'), ping)
  assert.ok(headers['www-authenticate'].includes(`"https://weir.example.com${WELL_KNOWN}/gate/mcp"`))
  for (const [aud, status] of [['https://weir.example.com/gate/mcp', 400], [weir.url('/mcp'), 401]]) {
    const authorization = `Bearer ${login.token({ aud, scope: 'mcp:read' })}`
    assert.equal((await post(weir.url('/mcp'), ping, { headers: { authorization } })).status, status, aud)
  }
  await weir.close()
  login.close()
})

it('a gateway without one names none', async () => {
  const weir = await Weir.start({ config: `[auth.jwt]\nsecret = "${'s'.repeat(32)}"\n` })
  assert.equal((await get(weir.url(WELL_KNOWN))).status, 404)
  const { status, headers } = await post(weir.url('/mcp'), ping)
  assert.deepEqual([status, headers['www-authenticate']], [401, 'Bearer scope="mcp:read mcp:write"'])
  await weir.close()
})
