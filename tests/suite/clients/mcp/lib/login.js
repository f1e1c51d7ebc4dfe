// A small authorization server (OAuth 2.1): enough for the client of the official SDK, and for a gateway that asks for
// itself or exchanges tokens. Whoever comes to /authorize has already said yes.

import { createHash, createSign, generateKeyPairSync, randomUUID } from 'node:crypto'
import http from 'node:http'
import { once } from 'node:events'

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

const base64url = value => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** One server, with a key of its own. */
export class Login {
  static async start() {
    const login = new Login()
    login.server.listen(0, '127.0.0.1')
    await once(login.server, 'listening')
    login.url = `http://127.0.0.1:${login.server.address().port}`
    return login
  }

  constructor() {
    this.keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
    /** Who comes to /authorize. */
    this.user = 'alice'
    /** What /authorize grants of what is asked for. */
    this.grants = scope => scope
    /** Requests to /token: their forms, with `authorization`. */
    this.asked = []
    /** What /token answers instead of a token. */
    this.refuses = null
    /** How long the tokens for upstreams last, seconds. */
    this.life = 3600
    /** What stands behind each code, and behind each token for an upstream. */
    this.codes = new Map()
    this.issued = new Map()
    this.server = http.createServer((request, response) => this.#serve(request, response))
  }

  close() {
    this.server.closeAllConnections()
    this.server.close()
  }

  /** A signed token. */
  token(claims) {
    const now = Math.floor(Date.now() / 1000)
    const all = { iss: this.url, sub: this.user, exp: now + 3600, iat: now, jti: randomUUID(), ...claims }
    const signed = `${base64url({ alg: 'RS256', typ: 'JWT', kid: 'k1' })}.${base64url(all)}`
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(this.keys.privateKey, 'base64url')}`
  }

  /** `[auth.jwt]` of a gateway that takes its tokens. */
  get config() {
    return `[auth.jwt]\nissuer = ["${this.url}"]\njwks_url = "${this.url}/jwks"\n`
  }

  async #serve(request, response) {
    const url = new URL(request.url, this.url)
    let body = ''
    for await (const part of request) body += part
    const answer = (status, value, headers = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
    }
    switch (url.pathname) {
      case '/.well-known/oauth-authorization-server': return answer(200, this.#metadata())
      case '/jwks': {
        const key = this.keys.publicKey.export({ format: 'jwk' })
        return answer(200, { keys: [{ ...key, kid: 'k1', alg: 'RS256', use: 'sig' }] })
      }
      case '/register': return answer(201, { ...JSON.parse(body), client_id: 'suite' })
      case '/authorize': return this.#authorize(url.searchParams, response)
      case '/token': return this.#token(new URLSearchParams(body), request, answer)
      default: return answer(404, {})
    }
  }

  #metadata() {
    return {
      issuer: this.url,
      authorization_endpoint: `${this.url}/authorize`,
      token_endpoint: `${this.url}/token`,
      registration_endpoint: `${this.url}/register`,
      response_types_supported: ['code'],
      grant_types_supported: ['authorization_code', 'client_credentials', EXCHANGE],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['none', 'client_secret_basic'],
    }
  }

  #authorize(asked, response) {
    const code = randomUUID()
    const { resource, scope = '', code_challenge: challenge } = Object.fromEntries(asked)
    this.codes.set(code, { resource, challenge, scope: this.grants(scope), sub: this.user })
    const to = new URL(asked.get('redirect_uri'))
    to.searchParams.set('code', code)
    if (asked.has('state')) to.searchParams.set('state', asked.get('state'))
    response.writeHead(302, { location: to.href }).end()
  }

  #token(form, request, answer) {
    this.asked.push({ ...Object.fromEntries(form), authorization: request.headers.authorization })
    if (this.refuses) return answer(...this.refuses)
    const bearer = (access_token, more) => answer(200, { access_token, token_type: 'Bearer', ...more })
    switch (form.get('grant_type')) {
      case 'authorization_code': {
        const code = this.codes.get(form.get('code'))
        const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url')
        if (code?.challenge !== challenge) return answer(400, { error: 'invalid_grant' })
        const { sub, scope, resource } = code
        return bearer(this.token({ sub, scope, aud: resource }), { expires_in: 3600, scope })
      }
      case 'client_credentials': return bearer(this.#issue('the gateway'), { expires_in: this.life })
      case EXCHANGE: {
        const [, claims] = form.get('subject_token').split('.')
        const { sub } = JSON.parse(Buffer.from(claims, 'base64url'))
        return bearer(this.#issue(sub), { expires_in: this.life, issued_token_type: form.get('requested_token_type') })
      }
      default: return answer(400, { error: 'unsupported_grant_type' })
    }
  }

  #issue(whom) {
    const token = `for-upstream-${this.issued.size}-${randomUUID()}`
    this.issued.set(token, whom)
    return token
  }
}
