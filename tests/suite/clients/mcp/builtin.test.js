// The server every gateway has that is configured to have no other.

import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'

import { Weir } from '../lib/weir.js'
import { CLIENTS } from './lib/clients.js'
import { all, prompts, resources, text, tools } from './lib/lists.js'

describe('the built-in server', () => {
  let weir
  before(async () => { weir = await Weir.start() })
  after(() => weir.close())

  for (const { name, connect } of CLIENTS) {
    describe(name, () => {
      let client
      beforeEach(async () => { client = await connect(weir) })
      afterEach(() => client.close())

      it('lists what it has', async () => {
        assert.deepEqual((await tools(client)).sort(), ['add', 'echo', 'now', 'sleep'])
        assert.deepEqual(await prompts(client), ['hello'])
        assert.deepEqual(await resources(client), ['weir://about'])
        const templates = await all(client, 'listResourceTemplates', 'resourceTemplates')
        assert.deepEqual(templates.map(({ uriTemplate }) => uriTemplate), ['weir://echo/{text}'])
        assert.equal(client.getServerVersion().name, 'weir')
      })

      it('echoes to the byte', async () => {
        for (const message of ['plain', 'ä "quoted" \\ \u2028 \ud83d\ude00\n', 'x'.repeat(50_000)]) {
          assert.equal(text(await client.use('echo', { message })), message)
        }
      })

      it('adds, and tells the time', async () => {
        assert.equal(Number(text(await client.use('add', { a: 2.5, b: 40 }))), 42.5)
        assert.ok(!Number.isNaN(Date.parse(text(await client.use('now')))))
      })

      it('sleeps and tells how far it is', async () => {
        const told = []
        await client.use('sleep', { seconds: 0.2, steps: 4 }, { onprogress: ({ progress }) => { told.push(progress) } })
        assert.ok(told.length > 0)
        assert.deepEqual(told, told.toSorted((a, b) => a - b))
        assert.equal(new Set(told).size, told.length)
      })

      it('stops sleeping when it is cancelled', async () => {
        const abort = new AbortController()
        const call = client.use('sleep', { seconds: 60, steps: 1000 }, {
          signal: abort.signal,
          onprogress: () => abort.abort('the test wants it so'),
        })
        await assert.rejects(call)
        assert.equal(text(await client.use('echo', { message: 'still there' })), 'still there')
      })

      it('refuses what makes no sense, and says what', async () => {
        await refused(client.use('no_such_tool'))
        await refused(client.use('add', { a: 'one' }))
        await refused(client.getPrompt({ name: 'no_such_prompt' }))
        await refused(client.readResource({ uri: 'weir://nothing' }))
      })

      it('reads its resource and its template, and gets its prompt', async () => {
        assert.ok((await client.readResource({ uri: 'weir://about' })).contents[0].text.length > 0)
        assert.equal((await client.readResource({ uri: 'weir://echo/one%20two' })).contents[0].text, 'one two')
        const { messages } = await client.getPrompt({ name: 'hello', arguments: { name: 'Alice' } })
        assert.match(messages[0].content.text, /Alice/)
      })
    })
  }
})

/** A JSON-RPC error that the request is to blame for, or a result that says it failed. */
async function refused(answer) {
  const result = await answer.catch(error => error)
  const refused = result.isError === true || result.code === -32602 || result.code === -32002
  assert.ok(refused, JSON.stringify(result))
}
