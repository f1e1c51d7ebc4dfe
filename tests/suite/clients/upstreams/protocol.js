// What the small servers say.

/** The response with this result. */
export function answer({ id }, result) {
  return { jsonrpc: '2.0', id, result }
}

/** Results by method; `work` answers that of the tool for an input. */
export const RESULTS = {
  'initialize': {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 'weir-suite-upstream', version: '1' },
  },
  'ping': {},
  'tools/list': { tools: [{ name: 'work', description: 'Answers its input', inputSchema: { type: 'object' } }] },
  work: input => ({ content: [{ type: 'text', text: `worked on ${input}` }] }),
}
