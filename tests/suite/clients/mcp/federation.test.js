// Several servers behind the gateway, seen as one.

import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'

import { Weir } from '../lib/weir.js'
import { CLIENTS } from './lib/clients.js'
import { provoke } from './lib/exercises.js'
import { command, Fixture, upstream } from './lib/fixture.js'
import { prompts, resources, text, tools } from './lib/lists.js'
import { PROMPTS } from './fixture/prompts.js'
import { RESOURCES } from './fixture/resources.js'
import { TOOLS } from './fixture/tools.js'

const WATCHED = 'test://watched-resource'
const OLD_AND_NEW = ['old', 'new']

/** What each upstream has, as `shown(upstream, what)` says it. */
const of = (upstreams, items, shown) => upstreams.flatMap(upstream => items.map(item => shown(upstream, item)))
const prefixed = (upstream, { name }) => `${upstream}__${name}`

describe('two servers', () => {
  let old, weir
  const start = async (...lines) => {
    old = await Fixture.start('legacy', '--page', '3')
    weir = await Weir.start({ config: [...lines, upstream('old', old.url), upstream('new', command('modern'))].join('\n') })
  }
  after(async () => {
    await weir?.close()
    await old?.close()
  })
  before(() => start('[mcp]', 'prefix = "always"'))

  for (const { name, connect, modern } of CLIENTS) {
    describe(name, () => {
      let client
      beforeEach(async () => { client = await connect(weir) })
      afterEach(() => client.close())

      it('have their lists merged: nothing lost over pages, nothing twice, always in the same order', async () => {
        const uri = (upstream, { uri }) => `${upstream}+${uri}`
        for (const [list, expected] of [
          [tools, of(OLD_AND_NEW, TOOLS, prefixed)],
          [prompts, of(OLD_AND_NEW, PROMPTS, prefixed)],
          [resources, of(OLD_AND_NEW, RESOURCES, uri)],
        ]) {
          const listed = await list(client)
          assert.deepEqual(listed.toSorted(), expected.toSorted())
          assert.deepEqual(await list(client), listed)
        }
      })

      for (const upstream of OLD_AND_NEW) {
        it(`are called by name: ${upstream}`, async () => {
          assert.match(text(await client.use(`${upstream}__test_simple_text`)), /^This is a simple text/)
          const { messages } = await client.getPrompt({ name: `${upstream}__test_simple_prompt` })
          assert.match(messages[0].content.text, /^This is a simple prompt/)
          const ref = { type: 'ref/prompt', name: `${upstream}__test_prompt_with_arguments` }
          const { completion } = await client.complete({ ref, argument: { name: 'arg1', value: 'testi' } })
          assert.deepEqual(completion.values, ['testing'])
        })

        it(`are read by URI, which is rewritten wherever it occurs: ${upstream}`, async () => {
          const uri = `${upstream}+test://template/7/data`
          assert.equal((await client.readResource({ uri })).contents[0].uri, uri)
          const { content } = await client.use(`${upstream}__test_embedded_resource`)
          assert.equal(content[0].resource.uri, `${upstream}+test://embedded-resource`)
        })

        it(`ask the client and get its answer: ${upstream}`, async () => {
          const answer = await client.use(`${upstream}__test_input_required_result_multiple_inputs`)
          assert.equal(JSON.parse(text(answer)).user_name.content.name, 'Alice')
        })

        if (modern) continue
        it(`tell of what was subscribed to: ${upstream}`, async () => {
          const uri = `${upstream}+${WATCHED}`
          await client.subscribeResource({ uri })
          const tool = `${upstream}__test_trigger_resource_update`
          const { params } = await provoke(client, tool, { uri: WATCHED }, 'notifications/resources/updated')
          assert.equal(params.uri, uri)
        })
      }

      it('answer calls to both at once', async () => {
        const calls = of(OLD_AND_NEW, Array.from({ length: 20 }, (_, index) => index), (upstream, index) => [upstream, index])
        await client.listTools()
        const answers = await Promise.all(calls.map(([upstream, index]) => {
          return client.use(`${upstream}__test_param_header`, { region: `${upstream}${index}` })
        }))
        assert.deepEqual(answers.map(text), calls.map(([upstream, index]) => `region ${upstream}${index}`))
      })

      it('have nothing by a name without a prefix', async () => {
        await assert.rejects(client.use('test_simple_text'), ({ code }) => code === -32602)
        await assert.rejects(client.readResource({ uri: 'test://static-text' }), ({ code }) => code === -32002 || code === -32602)
      })
    })
  }
})

describe('two servers that have the same names', () => {
  const first = CLIENTS[0]

  /** Runs `test` with a client of a gateway with the prefix rule `rule`. */
  async function withRule(rule, test) {
    const servers = [upstream('old', command('legacy')), upstream('new', command('modern'))]
    const weir = await Weir.start({ config: [...rule, ...servers].join('\n') })
    try {
      const client = await first.connect(weir)
      await test(client)
      await client.close()
    } finally {
      await weir.close()
    }
  }

  it('are told apart by a prefix, by default', () => withRule([], async client => {
    assert.deepEqual(await tools(client), of(OLD_AND_NEW, TOOLS, prefixed))
    assert.match(text(await client.use('new__test_simple_text')), /^This is/)
  }))

  it('give way to the first where nothing may be prefixed', () => withRule(['[mcp]', 'prefix = "never"'], async client => {
    assert.deepEqual(await tools(client), TOOLS.map(({ name }) => name))
    assert.deepEqual(await resources(client), RESOURCES.map(({ uri }) => uri))
    assert.match(text(await client.use('test_simple_text')), /^This is/)
  }))
})
