// What every client must be able to do with the fixture behind the gateway, whatever the eras of both.

import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'

import { Inbox } from '../../lib/inbox.js'
import { all, prompts, resources, text, tools } from './lists.js'
import { PROMPTS } from '../fixture/prompts.js'
import { RESOURCES } from '../fixture/resources.js'
import { TOOLS } from '../fixture/tools.js'

/** Between two attempts at what cannot be waited for, milliseconds. */
const PACE = 50

const WATCHED = 'test://watched-resource'

/** What a test is called, and the test of a connected client. */
export const EXERCISES = {
  'sees every tool, prompt, resource and template': async client => {
    assert.deepEqual(await tools(client), TOOLS.map(({ name }) => name))
    assert.deepEqual(await prompts(client), PROMPTS.map(({ name }) => name))
    assert.deepEqual(await resources(client), RESOURCES.map(({ uri }) => uri))
    const templates = await all(client, 'listResourceTemplates', 'resourceTemplates')
    assert.deepEqual(templates.map(({ uriTemplate }) => uriTemplate), ['test://template/{id}/data'])
  },

  'sees the schema of a tool unharmed': async client => {
    const { tools } = await client.listTools()
    const { inputSchema } = tools.find(({ name }) => name === 'json_schema_2020_12_tool')
    assert.deepEqual(inputSchema, TOOLS.find(({ name }) => name === 'json_schema_2020_12_tool').inputSchema)
  },

  'calls a tool, reads a resource, gets a prompt, completes an argument': async client => {
    assert.equal(text(await client.use('test_simple_text')), 'This is a simple text response for testing.')
    assert.equal(text(await client.use('test_param_header', { region: 'Zürich\n' })), 'region Zürich\n')
    const { contents } = await client.readResource({ uri: 'test://template/ä%20b/data' })
    assert.equal(JSON.parse(contents[0].text).templateTest, true)
    const { messages } = await client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'a', arg2: 'b' } })
    assert.equal(messages[0].content.text, 'Prompt with arguments: arg1=\'a\', arg2=\'b\'')
    const ref = { type: 'ref/prompt', name: 'test_prompt_with_arguments' }
    const { completion } = await client.complete({ ref, argument: { name: 'arg1', value: 'testi' } })
    assert.deepEqual(completion.values, ['testing'])
  },

  'gets a tool\'s failure as a result and a missing resource as an error': async client => {
    const { isError, content } = await client.use('test_error_handling')
    assert.deepEqual([isError, content[0].text], [true, 'This tool intentionally returns an error for testing'])
    await assert.rejects(client.readResource({ uri: 'test://nothing' }), ({ code }) => code === -32002 || code === -32602)
  },

  'has many calls under way at once': async client => {
    await client.listTools() // from which clients learn the headers that go with a call
    const regions = Array.from({ length: 50 }, (_, index) => `region-${index}`)
    const answers = await Promise.all(regions.map(region => client.use('test_param_header', { region })))
    assert.deepEqual(answers.map(text), regions.map(region => `region ${region}`))
  },

  'is told of progress, in order': async client => {
    const told = []
    await client.use('test_tool_with_progress', {}, { onprogress: ({ progress }) => { told.push(progress) } })
    assert.ok(told.length > 0)
    assert.deepEqual(told, [0, 50, 100].slice(0, told.length)) // the SDKs drop what they read together with the answer
  },

  'is asked to sample, to elicit and for its roots, and its answers arrive': async client => {
    const answers = JSON.parse(text(await client.use('test_input_required_result_multiple_inputs')))
    assert.equal(answers.user_name.content.name, 'Alice')
    assert.equal(answers.greeting.content.text, 'as the model says')
    assert.equal(answers.client_roots.roots[0].uri, 'file:///weir/suite')
    const asked = await client.asked.takeMany(3, 'a request of the server')
    assert.deepEqual(asked.map(({ method }) => method).sort(), ['elicitation/create', 'roots/list', 'sampling/createMessage'])
  },

  'is asked twice in a row within one call': async client => {
    const answer = await client.use('test_input_required_result_multi_round')
    assert.match(text(answer), /^Alice likes/)
    assert.equal((await client.asked.takeMany(2, 'a request of the server')).length, 2)
  },

  'is asked by a prompt': async client => {
    const { messages } = await client.getPrompt({ name: 'test_input_required_result_prompt' })
    assert.match(messages[0].content.text, /^Use this context/)
    await client.asked.take('a request of the server', ({ method }) => method === 'elicitation/create')
  },

  'cancels a call, and the server stops': async client => {
    const progress = new Inbox()
    const started = { onprogress: () => progress.put('started') }
    const cancellation = client.use('test_await_cancellation', {}, started)
    await progress.take('the first call to run')
    const abort = new AbortController()
    const call = client.use('test_until_cancelled', {}, { ...started, signal: abort.signal })
    await progress.take('the second call to run')
    abort.abort('the test wants it so')
    await assert.rejects(call)
    assert.equal(text(await cancellation), 'a call was cancelled')
  },
}

/**
 * Calls a tool that causes a notification until one has come, and answers it: the streams that carry it on open in their
 * own time, and what happens before is nobody's.
 */
export async function provoke(client, tool, args, method) {
  const wanted = notification => notification.method === method
  const come = client.heard.take(`${method} after ${tool}`, wanted)
  let waiting = true
  come.catch(() => {}).finally(() => { waiting = false })
  do {
    await client.use(tool, args)
    await pause(PACE)
  } while (waiting)
  return come
}

/** What the server said until now and nobody took. */
async function settle(client) {
  await provoke(client, 'test_trigger_prompt_change', {}, 'notifications/prompts/list_changed')
  return client.heard.items.splice(0)
}

/** What holds where the client is of a session: it hears of changes on a stream of its own. */
export const SESSION_EXERCISES = {
  'hears that a list has changed': async client => {
    await provoke(client, 'test_trigger_tool_change', {}, 'notifications/tools/list_changed')
  },

  'hears of the resource it subscribed to, until it does no longer': async client => {
    await client.subscribeResource({ uri: WATCHED })
    const updated = 'notifications/resources/updated'
    const { params } = await provoke(client, 'test_trigger_resource_update', { uri: WATCHED }, updated)
    assert.equal(params.uri, WATCHED)
    await client.unsubscribeResource({ uri: WATCHED })
    await settle(client)
    await client.use('test_trigger_resource_update', { uri: WATCHED })
    assert.deepEqual((await settle(client)).filter(({ method }) => method === updated), [])
  },

  'gets the log of the level it set': async client => {
    await client.setLoggingLevel('info')
    await client.use('test_tool_with_logging')
    const log = ({ method }) => method === 'notifications/message'
    const lines = await client.heard.takeMany(3, 'a line of the log', log)
    const data = ['Tool execution started', 'Tool processing data', 'Tool execution completed']
    assert.deepEqual(lines.map(({ params }) => params.data), data)
    await client.setLoggingLevel('error')
    await client.use('test_tool_with_logging')
    assert.deepEqual((await settle(client)).filter(log), [])
  },
}

/** What holds where the client is of no session: it hears of changes while it listens. */
export const LISTENING_EXERCISES = {
  'hears what it listens for, and nothing else': async client => {
    const subscription = await client.listen({ toolsListChanged: true, resourceSubscriptions: [WATCHED] })
    await client.use('test_trigger_prompt_change')
    await client.use('test_trigger_resource_update', { uri: 'test://static-text' })
    await provoke(client, 'test_trigger_tool_change', {}, 'notifications/tools/list_changed')
    await provoke(client, 'test_trigger_resource_update', { uri: WATCHED }, 'notifications/resources/updated')
    const others = client.heard.items.filter(({ method, params }) => {
      return method !== 'notifications/tools/list_changed' && params.uri !== WATCHED
    })
    assert.deepEqual(others, [])
    await subscription.close()
  },
  'gets the log of the level it asks for with a call, and none without': async client => {
    await client.use('test_tool_with_logging')
    assert.deepEqual(client.heard.items, [])
    const _meta = { 'io.modelcontextprotocol/logLevel': 'info' }
    await client.callTool({ name: 'test_tool_with_logging', arguments: {}, _meta })
    const lines = await client.heard.takeMany(3, 'a line of the log', ({ method }) => method === 'notifications/message')
    assert.deepEqual(lines.map(({ params }) => params.level), ['info', 'info', 'info'])
  },
}
