// The reference server "everything" behind the gateway: everything it has is listed and called.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'

import { Inbox } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'
import { CLIENTS } from './lib/clients.js'
import { Fixture, freePort, upstream } from './lib/fixture.js'
import { all, prompts, resources, text, tools } from './lib/lists.js'

const SERVER = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js')

/** What a switch says. Clients without a session share the server's one, and with it the switch. */
const TOGGLED = /^(Started|Stopped)/

/** Resources that a tool made in one conversation. Clients without a session have no claim on the same one twice. */
const MADE = 'demo://resource/session/'

/** What each tool is called with, and what of its answer shows that it was the right one. */
const CALLS = {
  'echo': [{ message: 'ä "quoted" \u2028 line' }, result => assert.equal(text(result), 'Echo: ä "quoted" \u2028 line')],
  'get-annotated-message': [{ messageType: 'error', includeImage: true }, ({ content }) => {
    assert.deepEqual(content.map(({ annotations }) => annotations.priority), [1, 0.5])
  }],
  'get-env': [{}, result => assert.equal(typeof JSON.parse(text(result)).PATH, 'string')],
  'get-resource-links': [{ count: 4 }, ({ content }) => {
    assert.equal(content.filter(({ type }) => type === 'resource_link').length, 4)
  }],
  'get-resource-reference': [{ resourceType: 'Text', resourceId: 7 }, ({ content }) => {
    assert.equal(content[1].resource.uri, 'demo://resource/dynamic/text/7')
  }],
  'get-structured-content': [{ location: 'Chicago' }, ({ structuredContent, content }) => {
    assert.deepEqual(JSON.parse(content[0].text), structuredContent)
  }],
  'get-sum': [{ a: 2.5, b: -1 }, result => assert.match(text(result), /1\.5/)],
  'get-tiny-image': [{}, ({ content }) => assert.equal(content[1].mimeType, 'image/png')],
  'gzip-file-as-resource': [{ name: 'a.gz', data: 'data:text/plain,hello', outputType: 'resource' }, ({ content }) => {
    assert.equal(Buffer.from(content[0].resource.blob, 'base64').readUInt16BE(), 0x1f8b)
  }],
  'toggle-simulated-logging': [{}, result => assert.match(text(result), TOGGLED)],
  'toggle-subscriber-updates': [{}, result => assert.match(text(result), TOGGLED)],
  'trigger-long-running-operation': [{ duration: 0.2, steps: 2 }, result => assert.match(text(result), /completed/)],
  'get-roots-list': [{}, result => assert.match(text(result), /file:\/\/\/weir\/suite/)],
  'trigger-elicitation-request': [{}, result => assert.match(text(result), /Alice|accept|provided/)],
  'trigger-url-elicitation': [{ url: 'https://example.org/', message: 'go', elicitationId: 'e1' }, ({ isError }) => {
    assert.ok(!isError)
  }],
  'trigger-sampling-request': [{ prompt: 'hello', maxTokens: 10 }, result => assert.match(text(result), /as the model says/)],
}

/** These run as tasks of 2025-11-25, an experiment the gateway does not carry on. */
const TASKS = ['simulate-research-query', 'trigger-sampling-request-async', 'trigger-elicitation-request-async']

const PROMPTS = {
  'simple-prompt': {},
  'args-prompt': { city: 'Bern', state: 'BE' },
  'completable-prompt': { department: 'Engineering', name: 'Alice' },
  'resource-prompt': { resourceType: 'Text', resourceId: '3' },
}

/** The server over HTTP; it listens on the port it is given, on all interfaces. */
async function http() {
  const port = await freePort()
  return Fixture.launch([SERVER, 'streamableHttp'], /listening on port (\d+)/, { PORT: String(port) })
}

for (const transport of ['http', 'stdio']) {
  describe(`everything over ${transport}`, () => {
    let server, weir
    before(async () => {
      if (transport === 'http') server = await http()
      weir = await Weir.start({ config: upstream('everything', server?.url ?? [process.execPath, SERVER, 'stdio']) })
    })
    after(async () => {
      await weir?.close()
      await server?.close()
    })

    for (const { name, connect, modern } of CLIENTS) {
      describe(name, () => {
        let client
        beforeEach(async () => { client = await connect(weir) })
        afterEach(() => client.close())

        it('calls every tool it lists', async () => {
          const listed = await tools(client)
          assert.deepEqual(listed.filter(name => !(name in CALLS) && !TASKS.includes(name)), [])
          for (const [name, [args, judge]] of Object.entries(CALLS)) {
            assert.ok(listed.includes(name), `${name} is not listed`)
            const result = await client.use(name, args)
            assert.ok(!result.isError, `${name}: ${JSON.stringify(result)}`)
            judge(result)
          }
        })

        it('reads every resource it lists, and templates', async () => {
          const listed = await resources(client)
          const uris = listed.filter(uri => !(modern && uri.startsWith(MADE)))
          assert.ok(uris.length > 0)
          for (const uri of uris) assert.equal((await client.readResource({ uri })).contents[0].uri, uri)
          const templates = await all(client, 'listResourceTemplates', 'resourceTemplates')
          assert.deepEqual(templates.map(({ uriTemplate }) => uriTemplate).sort(), [
            'demo://resource/dynamic/blob/{resourceId}', 'demo://resource/dynamic/text/{resourceId}',
          ])
          const { contents } = await client.readResource({ uri: 'demo://resource/dynamic/blob/5' })
          assert.ok(contents[0].blob)
        })

        it('gets every prompt it lists, and completes its arguments', async () => {
          assert.deepEqual((await prompts(client)).sort(), Object.keys(PROMPTS).sort())
          for (const [name, args] of Object.entries(PROMPTS)) {
            const { messages } = await client.getPrompt({ name, arguments: args })
            assert.ok(messages.length > 0, name)
          }
          const ref = { type: 'ref/prompt', name: 'completable-prompt' }
          const { completion } = await client.complete({ ref, argument: { name: 'department', value: 'E' } })
          assert.deepEqual(completion.values, ['Engineering'])
        })

        it('is told of every step', async () => {
          const told = new Inbox()
          const args = { duration: 0.5, steps: 5 }
          await client.use('trigger-long-running-operation', args, { onprogress: progress => told.put(progress) })
          assert.ok(told.items.length > 0)
          // The SDKs drop what they read together with the answer.
          assert.deepEqual(told.items.map(({ progress }) => progress), [1, 2, 3, 4, 5].slice(0, told.items.length))
        })

        if (modern) return

        it('hears of the resource it subscribed to', async () => {
          const uri = 'demo://resource/dynamic/text/1'
          await client.subscribeResource({ uri })
          await client.use('toggle-subscriber-updates')
          const { params } = await client.heard.take('an update', ({ method }) => method === 'notifications/resources/updated')
          assert.equal(params.uri, uri)
        })
      })
    }
  })
}
