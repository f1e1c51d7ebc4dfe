// Clients of the official TypeScript SDK v1 (2025-11-25 and older) over each of its transports.

import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js'
import * as types from '@modelcontextprotocol/sdk/types.js'

import { deadline, Inbox } from '../../lib/inbox.js'
import { BINARY } from '../../lib/weir.js'
import { CAPABILITIES, ELICITED, ROOTS, SAMPLED } from './answers.js'

const TRANSPORTS = {
  http: (weir, requestInit) => new StreamableHTTPClientTransport(new URL(weir.url('/mcp')), { requestInit }),
  sse: (weir, requestInit) => new SSEClientTransport(new URL(weir.url('/sse')), { requestInit }),
  ws: weir => new WebSocketClientTransport(new URL(weir.wsUrl('/mcp/ws'))),
  stdio: weir => new StdioClientTransport(bridge(weir)),
}

/** What `connect` can be told, beside `stdio`: that is `weir stdio` between client and gateway. */
export const V1 = ['http', 'sse', 'ws']

/** How a client starts `weir stdio`. */
export function bridge(weir) {
  return { command: BINARY, args: ['stdio', '--url', weir.url('')], env: { PATH: process.env.PATH } }
}

/**
 * A connected client. It answers whatever it is asked; `asked` keeps those requests, `heard` the notifications.
 * `use(name, args, options)` calls a tool.
 *
 * @param {Weir} weir
 * @param {'http' | 'sse' | 'ws' | 'stdio'} transport
 * @param {RequestInit} [requestInit] what goes with each HTTP request, such as its `headers`
 */
export async function connect(weir, transport, requestInit) {
  const client = new Client({ name: 'weir-suite', version: '1.0.0' }, { capabilities: CAPABILITIES })
  client.heard = new Inbox()
  client.asked = new Inbox()
  client.fallbackNotificationHandler = async notification => client.heard.put(notification)
  const answer = (schema, result) => client.setRequestHandler(schema, request => {
    client.asked.put(request)
    return result
  })
  answer(types.CreateMessageRequestSchema, SAMPLED)
  answer(types.ElicitRequestSchema, ELICITED)
  answer(types.ListRootsRequestSchema, ROOTS)
  client.use = (name, args = {}, options = {}) => client.callTool({ name, arguments: args }, undefined, options)
  await deadline(client.connect(TRANSPORTS[transport](weir, requestInit)), `the client to connect over ${transport}`)
  return client
}
