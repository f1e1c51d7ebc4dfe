// What the gateway proves itself with to the servers behind: tokens of its own, or for whoever asks.

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'

import { post } from '../lib/http.js'
import { Weir } from '../lib/weir.js'
import { Guarded } from './lib/guarded.js'
import { Login } from './lib/login.js'

const SECRET = 'the gateway\'s own secret'
const META = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }

/** A stateless call of `whoami`: its text, or its error's message. */
async function whoami(weir, authorization) {
  const params = { name: 'whoami', arguments: {}, _meta: META }
  const headers = {
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'whoami',
    ...(authorization ? { authorization } : {}),
  }
  const { json } = await post(weir.url('/mcp'), { jsonrpc: '2.0', id: 1, method: 'tools/call', params }, { headers })
  return json.result?.content[0].text ?? json.error.message
}

for (const modern of [false, true]) {
  describe(`an upstream of ${modern ? '2026-07-28' : '2025-11-25'} that wants tokens`, () => {
    let login, guarded, weir
    beforeEach(async () => {
      login = await Login.start()
      guarded = await Guarded.start(login, { modern })
    })
    afterEach(async () => {
      assert.ok(!weir.output.includes(SECRET), 'a secret was written to the log')
      await weir.close()
      guarded.close()
      login.close()
    })

    const start = async (grant, auth = '') => {
      const credential = `{ grant = "${grant}", token_url = "${login.url}/token", client_id = "weir", `
        + `client_secret = "${SECRET}", audience = "tools" }`
      const config = `${auth}\n[[upstream]]\nname = "tools"\nurl = "${guarded.url}"\nauth = ${credential}\n`
      weir = await Weir.start({ config, shards: 1 })
    }

    it('gets one that the gateway has asked for, and keeps', async () => {
      await start('client_credentials')
      for (let n = 0; n < 5; n += 1) assert.equal(await whoami(weir), 'the gateway')
      assert.equal(login.asked.length, 1)
      const [{ authorization, ...form }] = login.asked
      assert.deepEqual(form, { grant_type: 'client_credentials', audience: 'tools' })
      const pair = Buffer.from(authorization.replace('Basic ', ''), 'base64').toString()
      assert.deepEqual([...new URLSearchParams(pair.replace(':', '='))], [['weir', SECRET]])
    })

    it('gets the next one before it refuses the last', async () => {
      login.life = 2
      await start('client_credentials')
      const end = Date.now() + 3_000
      while (Date.now() < end) assert.equal(await whoami(weir), 'the gateway')
      assert.ok(login.asked.length >= 2, `${login.asked.length} tokens`)
      assert.ok(login.asked.length < 20, `${login.asked.length} tokens`)
    })

    it('gets another after it has refused one', async () => {
      await start('client_credentials')
      assert.equal(await whoami(weir), 'the gateway')
      login.issued.clear()
      assert.match(await whoami(weir), /401/)
      assert.equal(await whoami(weir), 'the gateway')
    })

    it('is not asked without, and the client learns what to do', async () => {
      login.refuses = [401, { error: 'invalid_client', error_description: SECRET }]
      await start('client_credentials')
      const said = await whoami(weir)
      assert.match(said, /tools was not asked, for want of a token.*invalid_client.*client_secret/)
      assert.ok(!said.includes(SECRET))
      assert.deepEqual(guarded.seen, [])
      login.refuses = null
      await until(async () => await whoami(weir) === 'the gateway')
      assert.equal(weir.output.match(/for want of a token/g).length, 1, 'said once')
    })

    it('is told who asks, and never gets the token that was shown to the gateway', async () => {
      await start('token_exchange', login.config)
      const tokens = ['alice', 'bob'].map(sub => {
        return login.token({ sub, aud: weir.url('/mcp'), scope: 'mcp:read mcp:write' })
      })
      for (let n = 0; n < 3; n += 1) {
        assert.equal(await whoami(weir, `Bearer ${tokens[0]}`), 'alice')
        assert.equal(await whoami(weir, `Bearer ${tokens[1]}`), 'bob')
      }
      const exchanged = login.asked.map(({ subject_token }) => subject_token)
      assert.deepEqual(exchanged.toSorted(), tokens.toSorted(), 'each once')
      for (const seen of guarded.seen) assert.ok(!tokens.some(token => seen.includes(token)), seen)
    })

    it('is not told of who has nothing to exchange', async () => {
      const guests = '[auth]\nmode = "optional"\n[auth.roles.guest]\npermissions = ["read", "write"]\n'
      await start('token_exchange', `${guests}${login.config}`)
      assert.match(await whoami(weir), /for want of a token.*without one/)
      assert.deepEqual(guarded.seen, [])
    })
  })
}

/** Waits until `done` says so; what it asks is asked again. */
async function until(done) {
  while (!(await done()));
}
