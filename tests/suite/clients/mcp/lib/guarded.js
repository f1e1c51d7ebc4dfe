// A small MCP server over HTTP that wants a token of its authorization server: `whoami` says whose it was.

import http from 'node:http'
import { once } from 'node:events'
import { randomUUID } from 'node:crypto'

/** One server of 2025-11-25, or of 2026-07-28. */
export class Guarded {
  static async start(login, { modern = false } = {}) {
    const guarded = new Guarded(login, modern)
    guarded.server.listen(0, '127.0.0.1')
    await once(guarded.server, 'listening')
    guarded.url = `http://127.0.0.1:${guarded.server.address().port}/mcp`
    return guarded
  }

  constructor(login, modern) {
    this.login = login
    this.modern = modern
    /** Every `Authorization` that came. */
    this.seen = []
    /** The sessions, and who began each. */
    this.sessions = new Map()
    this.server = http.createServer((request, response) => this.#serve(request, response))
  }

  close() {
    this.server.closeAllConnections()
    this.server.close()
  }

  async #serve(request, response) {
    const { authorization = '' } = request.headers
    this.seen.push(authorization)
    let body = ''
    for await (const part of request) body += part
    const who = this.login.issued.get(authorization.replace(/^Bearer /, ''))
    if (who === undefined) return response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
    if (request.method === 'DELETE') return response.writeHead(200).end()
    if (request.method !== 'POST') return response.writeHead(405).end()
    const { id, method, params } = JSON.parse(body)
    if (id === undefined) return response.writeHead(202).end()
    const session = request.headers['mcp-session-id']
    const headers = { 'content-type': 'application/json' }
    if (method === 'initialize') this.sessions.set(headers['mcp-session-id'] = randomUUID(), who)
    const result = this.#result(method, params, who, this.sessions.get(session))
    const answer = result ? { result } : { error: { code: -32601, message: `no ${method} here` } }
    response.writeHead(200, headers).end(JSON.stringify({ jsonrpc: '2.0', id, ...answer }))
  }

  #result(method, params, who, began) {
    const about = { capabilities: { tools: {} }, serverInfo: { name: 'guarded', version: '1' } }
    const fresh = this.modern ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } : {}
    switch (method) {
      case 'initialize': return this.modern ? null : { protocolVersion: '2025-11-25', ...about }
      case 'server/discover': return this.modern ? { supportedVersions: ['2026-07-28'], ...about, ...fresh } : null
      case 'tools/list': return { tools: [{ name: 'whoami', inputSchema: { type: 'object' } }], ...fresh }
      case 'tools/call': {
        const said = began === undefined || began === who ? who : `${who} in a session of ${began}`
        return { content: [{ type: 'text', text: said }], ...(this.modern ? { resultType: 'complete' } : {}) }
      }
      default: return null
    }
  }
}
