// Tokens and keys as operators meet them: `weir token`, the admin token, the admin port's endpoints for tokens.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, createHmac, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'

import { get, post, request } from '../lib/http.js'
import { BINARY, Weir } from '../lib/weir.js'

const SECRET = 'a secret of thirty-two bytes 012'

/** Runs `weir token ...`; answers `{code, out, err, json}`. */
function token(words, { env = { JWT_SECRET: SECRET }, input } = {}) {
  return new Promise(resolve => {
    const child = execFile(BINARY, ['token', ...words], { env }, (error, out, err) => {
      const json = words.includes('--json') && out !== '' ? JSON.parse(out) : undefined
      resolve({ code: error?.code ?? 0, out: out.trim(), err, json })
    })
    child.stdin.on('error', () => {}) // it may not be read
    child.stdin.end(input)
  })
}

/** Header and claims of a token. */
function read(text) {
  return text.split('.').slice(0, 2).map(part => JSON.parse(Buffer.from(part, 'base64url')))
}

describe('weir token', () => {
  it('mints what the contract says, and takes it back', async () => {
    const minted = await token(['mint', '--sub', 'u1'])
    assert.equal(minted.code, 0, minted.err)
    const [header, claims] = read(minted.out)
    assert.deepEqual(header, { alg: 'HS256', typ: 'JWT' })
    const { iat, exp, jti, ...rest } = claims
    assert.deepEqual(rest, { iss: 'weir', aud: 'mcp-gateway', sub: 'u1', role: 'user', permissions: ['read'] })
    assert.equal(exp - iat, 3600)
    assert.match(jti, /^[0-9a-f]{32}$/)
    const [head, payload, signature] = minted.out.split('.')
    assert.equal(signature, createHmac('sha256', SECRET).update(`${head}.${payload}`).digest('base64url'))

    const { json, code } = await token(['verify', '--json', minted.out])
    assert.equal(code, 0)
    assert.deepEqual([json.valid, json.sub, json.role, json.permissions], [true, 'u1', 'user', ['read']])
    assert.match((await token(['verify'], { input: `${minted.out}\n` })).out, /^accepted: u1$/m)
  })

  it('mints what is asked for', async () => {
    const words = ['--role', 'premium', '--permissions', 'read,publish', '--expires', '5m', '--json']
    const { json } = await token(['mint', '--sub', 'u1', ...words])
    assert.equal(json.expires_in, 300)
    assert.deepEqual(json.claims, read(json.token)[1])
    assert.deepEqual([json.claims.role, json.claims.permissions], ['premium', ['read', 'publish']])
  })

  it('refreshes only a token whose end is near', async () => {
    const { out: minted } = await token(['mint', '--sub', 'u1'])
    const same = await token(['refresh', '--json', minted])
    assert.deepEqual([same.json.refreshed, same.json.token], [false, minted])
    const now = Math.floor(Date.now() / 1000)
    const old = sign({ ...read(minted)[1], iat: now - 900, exp: now + 100 })
    const fresh = await token(['refresh', '--json', '-'], { input: old })
    assert.equal(fresh.json.refreshed, true)
    assert.equal(read(fresh.json.token)[1].jti, read(minted)[1].jti)
    assert.ok(fresh.json.expires_in >= 999)
  })

  it('refuses with the reason, and exits 1', async () => {
    const { out: minted } = await token(['mint', '--sub', 'u1'])
    const expired = sign({ ...read(minted)[1], exp: 1_000_000_000 })
    for (const [text, reason, said] of [
      [expired, 'token_expired', /has expired/],
      [`${minted}x`, 'invalid_token', /signature is wrong/],
      ['a.b', 'invalid_token', /three parts/],
    ]) {
      const { code, json, err } = await token(['verify', '--json', text])
      assert.deepEqual([code, json.valid, json.reason], [1, false, reason])
      assert.match(err, said)
    }
    for (const [words, said, env] of [
      [['mint', '--sub', 'u1'], /set JWT_SECRET/, {}],
      [['verify', minted], /set JWT_SECRET/, {}],
      [['mint', '--sub', 'u1', '--role', 'root'], /only admin, premium, user, guest/],
      [['mint', '--sub', 'u1', '--permissions', 'fly'], /there is no permission "fly"/],
      [['mint', '--sub', 'u1', '--expires', '1'], /is no time/],
      [['mint', '--sub', 'u1', '--expires', '1000h'], /from 1 second to 30 days/],
      [['mint', '--sub', 'mcp:events'], /sub is the client's name/],
    ]) {
      const { code, err, out } = await token(words, env && { env })
      assert.deepEqual([code, out], [1, ''], words.join(' '))
      assert.match(err, said)
    }
    const weak = await token(['mint', '--sub', 'u1'], { env: { JWT_SECRET: 'short secret' } })
    assert.equal(weak.code, 2)
    assert.match(weak.err, /JWT_SECRET.*12 bytes/)
    assert.doesNotMatch(weak.err, /short secret/)
  })

  it('makes keys whose hash the configuration takes', async () => {
    const { json } = await token(['key', 'billing', '--json'])
    assert.match(json.key, /^weir_[0-9a-f]{64}$/)
    assert.equal(json.hash, `sha256:${createHash('sha256').update(json.key).digest('hex')}`)
    assert.equal((await token(['hash'], { input: `${json.key}\n` })).out, json.hash)
    const made = await token(['key', 'billing', '--role', 'premium', '--permissions', 'publish'])
    const folder = mkdtempSync(path.join(tmpdir(), 'weir-token-'))
    const file = path.join(folder, 'weir.toml')
    writeFileSync(file, made.out)
    const key = made.out.match(/weir_\w+/)[0]
    const found = await token(['verify', '--json', '-c', file, key], { env: {} })
    assert.deepEqual([found.json.sub, found.json.role, found.json.permissions], ['billing', 'premium', ['publish']])
    rmSync(folder, { recursive: true })
  })

  for (const [name, algorithm, kind, options] of [
    ['RSA', 'RS256', 'rsa', { modulusLength: 2048 }],
    ['P-256', 'ES256', 'ec', { namedCurve: 'P-256' }],
    ['Ed25519', 'EdDSA', 'ed25519', {}],
  ]) {
    it(`signs with a private key: ${name}`, async () => {
      const { publicKey, privateKey } = generateKeyPairSync(kind, options)
      const folder = mkdtempSync(path.join(tmpdir(), 'weir-token-'))
      const file = path.join(folder, 'key.pem')
      writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }))
      const minted = await token(['mint', '--sub', 'u1', '--private-key', file, '--kid', 'k'], { env: {} })
      assert.equal(minted.code, 0, minted.err)
      assert.deepEqual(read(minted.out)[0], { alg: algorithm, kid: 'k', typ: 'JWT' })
      const env = { WEIR_AUTH_JWT_PUBLIC_KEY: publicKey.export({ type: 'spki', format: 'pem' }) }
      assert.equal((await token(['verify', minted.out], { env })).code, 0)
      assert.equal((await token(['verify', minted.out])).code, 1, 'the secret does not sign so')
      rmSync(folder, { recursive: true })
    })
  }
})

describe('the admin port with authentication', () => {
  let weir, headers, file

  before(async () => {
    weir = await Weir.start({ config: `[auth.jwt]\nsecret = "${SECRET}"\n` })
    file = weir.output.match(/the admin token is in a file file=(\S+)/)[1]
    headers = { authorization: `Bearer ${readFileSync(file, 'utf8')}` }
  })

  after(() => weir.close())

  it('has a token that only its user may read, and shows it nowhere', () => {
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.doesNotMatch(weir.output, new RegExp(readFileSync(file, 'utf8')))
    assert.doesNotMatch(weir.output, new RegExp(SECRET))
  })

  it('is changed by nobody else', async () => {
    const url = weir.url('/mcp/admin/token', 'admin')
    for (const [sent, reason] of [
      [{}, 'missing_token'],
      [{ authorization: 'Bearer x' }, 'invalid_token'],
      [{ authorization: 'Basic x' }, 'missing_token'],
    ]) {
      const { status, json, headers: got } = await post(url, { sub: 'u1' }, { headers: sent })
      assert.deepEqual([status, json.error, json.reason], [401, 'authentication_failed', reason])
      assert.equal(got['www-authenticate'], 'Bearer')
    }
    assert.equal((await get(weir.url('/mcp/admin/dlq', 'admin'))).status, 401)
    assert.equal((await request('DELETE', weir.url('/mcp/admin/dlq', 'admin'))).status, 401)
    assert.equal((await get(weir.url('/mcp/admin/dlq', 'admin'), { headers })).status, 200)
    assert.equal((await get(weir.url('/health', 'admin'))).status, 200)
    assert.equal((await get(weir.url('/mcp/stats', 'admin'))).status, 200)
  })

  it('makes tokens that the gateway takes', async () => {
    const { status, json } = await post(
      weir.url('/mcp/admin/token', 'admin'), { sub: 'u2', role: 'premium', expires_in: 60 }, { headers })
    assert.deepEqual([status, json.token_type, json.expires_in], [200, 'Bearer', 60])
    const found = await token(['verify', '--json', json.token])
    assert.deepEqual([found.json.sub, found.json.permissions], ['u2', ['read', 'write']])
    for (const wrong of [{}, { sub: 'u2', role: 'root' }, { sub: 'u2', admin: true }, '{']) {
      const refused = await post(weir.url('/mcp/admin/token', 'admin'), wrong, { headers })
      assert.deepEqual([refused.status, refused.json.reason], [400, 'malformed'])
    }
  })

  it('revokes tokens by name or as they are', async () => {
    const url = weir.url('/mcp/admin/revoke', 'admin')
    const { out: minted } = await token(['mint', '--sub', 'u1'])
    for (const [body, jti] of [[{ token: minted }, read(minted)[1].jti], [{ jti: 'a name' }, 'a name']]) {
      const { status, json } = await post(url, body, { headers })
      assert.deepEqual([status, json.revoked], [200, jti])
      assert.ok(json.until > Date.now() / 1000 + 29 * 24 * 3600)
    }
    assert.equal((await post(url, { token: 'a.b.c' }, { headers })).status, 400)
    assert.equal((await get(url, { headers })).status, 405)
  })
})

describe('the admin token', () => {
  it('may be given', async () => {
    const weir = await Weir.start({ config: '[admin]\ntoken = "operators only here"\n' })
    const url = weir.url('/mcp/admin/dlq/redrive', 'admin')
    assert.equal((await post(url, '')).status, 401)
    const headers = { authorization: 'Bearer operators only here' }
    assert.equal((await post(url, '', { headers })).status, 200)
    const refused = await post(weir.url('/mcp/admin/token', 'admin'), { sub: 'u1' }, { headers })
    assert.deepEqual([refused.status, refused.json.reason], [409, 'no_signing_key'])
    await weir.close()
  })

  it('is in the data folder where there is one', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'weir-data-'))
    const weir = await Weir.start({ config: `[auth.jwt]\nsecret = "${SECRET}"\n`, flags: ['--data-dir', folder] })
    assert.equal(statSync(path.join(folder, 'admin-token')).mode & 0o777, 0o600)
    await weir.close()
    rmSync(folder, { recursive: true })
  })
})

it('with authentication all interfaces are allowed', async () => {
  const weir = await Weir.start({ config: `[auth.jwt]\nsecret = "${SECRET}"\n`, flags: ['--bind', '0.0.0.0'] })
  assert.equal((await get(weir.url('/health', 'admin'))).status, 200)
  await weir.close()
})

/** A token with these claims, by the secret. */
function sign(claims) {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'HS256' })}.${part(claims)}`
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`
}
