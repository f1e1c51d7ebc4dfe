// Clients of the official TypeScript SDK v2: the legacy era, the modern one by negotiation or by decree.

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'

import { deadline, Inbox } from '../../lib/inbox.js'
import { CAPABILITIES, ELICITED, ROOTS, SAMPLED } from './answers.js'
import { bridge } from './v1.js'

const http = weir => new StreamableHTTPClientTransport(new URL(weir.url('/mcp')))
const sse = weir => new SSEClientTransport(new URL(weir.url('/sse')))
const stdio = weir => new StdioClientTransport(bridge(weir))

/** How a client may come to its era, and the transport it takes. */
const WAYS = {
  legacy: { mode: 'legacy', transport: http },
  'legacy sse': { mode: 'legacy', transport: sse },
  auto: { mode: 'auto', transport: http },
  pinned: { mode: { pin: '2026-07-28' }, transport: http },
  stdio: { mode: 'auto', transport: stdio },
}

/** What `connect` can be told. */
export const V2 = Object.keys(WAYS)

/** As `connect` of v1.js. */
export async function connect(weir, way) {
  const { mode, transport } = WAYS[way]
  const options = { capabilities: CAPABILITIES, versionNegotiation: { mode } }
  const client = new Client({ name: 'weir-suite', version: '1.0.0' }, options)
  client.heard = new Inbox()
  client.asked = new Inbox()
  client.fallbackNotificationHandler = async notification => client.heard.put(notification)
  const answer = (method, result) => client.setRequestHandler(method, request => {
    client.asked.put(request)
    return result
  })
  answer('sampling/createMessage', SAMPLED)
  answer('elicitation/create', ELICITED)
  answer('roots/list', ROOTS)
  client.use = (name, args = {}, options = {}) => client.callTool({ name, arguments: args }, options)
  await deadline(client.connect(transport(weir)), `the client to connect, ${way}`)
  return client
}
