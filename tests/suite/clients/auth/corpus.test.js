// Tokens that must not be taken, each a known way to be somebody else, against the running gateway.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import http from 'node:http'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'

import { get, request } from '../lib/http.js'
import { base64url, bearer, claims, expiry, fresh, ISSUER, jws, KEYS, now, required, token, withPublicKeys } from '../lib/tokens.js'
import { Weir } from '../lib/weir.js'

const HS256 = { alg: 'HS256', typ: 'JWT' }

/** What a good token of the issuer with public keys says. */
const theirs = more => claims('u1', { iss: ISSUER, ...more })

/** What the gateway says to a request with this token: 404, as nobody is connected, or why not. */
async function asks(weir, text) {
  const { status, json } = await get(weir.url('/mcp/health/u1'), { headers: bearer(text) })
  return status === 404 ? 'taken' : `${status} ${json.reason}`
}

describe('a token is taken', () => {
  let weir

  before(async () => { weir = await Weir.start({ config: withPublicKeys() }) })
  after(() => weir.close())

  const taken = text => async () => assert.equal(await asks(weir, text()), 'taken')
  const refused = (text, reason = 'invalid_token') => async () => assert.equal(await asks(weir, text()), `401 ${reason}`)

  it('HS256 by the secret', taken(() => token('u1')))
  for (const alg of ['RS256', 'ES256', 'EdDSA']) {
    it(`${alg} by the issuer's key`, taken(() => jws({ alg, kid: `${alg}-1` }, theirs(), KEYS[alg])))
  }
  it('meant for several, one of which is the gateway', taken(() => token('u1', { aud: ['other', 'mcp-gateway'] })))

  for (const alg of ['none', 'None', 'NONE', 'nOnE', '']) {
    it(`not with alg ${JSON.stringify(alg)}, signed or not`, async () => {
      await refused(() => jws({ alg }, claims('u1'), Buffer.alloc(0)))()
      await refused(() => jws({ alg }, claims('u1')))()
    })
  }
  it('not without alg', refused(() => jws({ typ: 'JWT' }, claims('u1'))))
  it('not without its signature', refused(() => `${token('u1').split('.').slice(0, 2).join('.')}.`))

  for (const form of ['pem', 'der', 'pem without the last line end']) {
    it(`not HS256 with the public RSA key as the secret (${form})`, refused(() => {
      const key = KEYS.RS256.public.export({ type: 'spki', format: form === 'der' ? 'der' : 'pem' })
      const secret = form.endsWith('end') ? key.trimEnd() : key
      return jws({ alg: 'HS256', kid: 'RS256-1' }, theirs(), { sign: text => createHmac('sha256', secret).update(text).digest() })
    }))
  }
  it('not signed by the secret for the issuer with public keys', refused(() => jws({ ...HS256, kid: 'RS256-1' }, theirs())))
  it('not signed by that issuer\'s key for the gateway\'s own', refused(() => jws({ alg: 'RS256', kid: 'RS256-1' }, claims('u1'), KEYS.RS256)))
  it('not with the algorithm of another of its issuer\'s keys', refused(() => jws({ alg: 'EdDSA', kid: 'RS256-1' }, theirs(), KEYS.EdDSA)))

  for (const kid of ['../../../../dev/null', '/dev/null', "' UNION SELECT 'secret", 'RS256-1\u0000', '| touch /tmp/x', 'a'.repeat(4000)]) {
    it(`not with the kid ${JSON.stringify(kid.slice(0, 30))}, which is only compared`, async () => {
      await refused(() => jws({ alg: 'RS256', kid }, theirs(), KEYS.RS256))()
      await refused(() => jws({ alg: 'HS256', kid }, theirs(), { sign: text => createHmac('sha256', '').update(text).digest() }))()
    })
  }

  it('not with a key that it brings itself (jwk, x5c), nor one that it points to (jku, x5u), which nobody fetches', async () => {
    const fetched = []
    const server = http.createServer((asked, answer) => { fetched.push(asked.url); answer.end('{}') })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${server.address().port}/keys`
    const mine = fresh.ES256()
    const jwk = { ...mine.public.export({ format: 'jwk' }), kid: 'ES256-1', alg: 'ES256' }
    for (const more of [{ jwk }, { jku: url }, { x5u: url }, { x5c: [mine.public.export({ type: 'spki', format: 'der' }).toString('base64')] }]) {
      await refused(() => jws({ alg: 'ES256', kid: 'ES256-1', ...more }, theirs(), mine))()
    }
    assert.deepEqual(fetched, [])
    server.close()
  })

  it('not with a claim that stands there twice', async () => {
    const twice = (name, value) => JSON.stringify(claims('u1')).replace('{', `{"${name}":${JSON.stringify(value)},`)
    for (const [name, value] of [['sub', 'root'], ['exp', now() + 9e9], ['iss', 'weir'], ['aud', 'mcp-gateway'], ['role', 'admin']]) {
      await refused(() => jws(HS256, twice(name, value)))()
    }
    await refused(() => jws('{"alg":"none","alg":"HS256"}', claims('u1')))()
  })

  it('not nested a hundred thousand times, nor larger than 8 KiB', async () => {
    const deep = `${'['.repeat(3000)}${']'.repeat(3000)}`
    await refused(() => jws(HS256, JSON.stringify(claims('u1')).replace('{', `{"x":${deep.slice(0, 5000)},`)))()
    await refused(() => jws(`{"alg":"HS256","x":${'{"x":'.repeat(800)}1${'}'.repeat(800)}}`, claims('u1')))()
    await refused(() => token('u1', { x: 'a'.repeat(8192) }))()
  })

  it('not expired, not before its time', async () => {
    await refused(() => token('u1', { exp: now() - 1 }), 'token_expired')()
    await refused(() => token('u1', { nbf: now() + 60 }))()
    await refused(() => token('u1', { exp: undefined }))()
    for (const exp of ['never', -1, 1e300, null, String(now() + 60), true]) await refused(() => token('u1', { exp }))()
  })

  it('not of another issuer, nor for another audience', async () => {
    await refused(() => token('u1', { iss: 'https://evil.example' }))()
    await refused(() => token('u1', { iss: `${ISSUER}.evil.example` }))()
    await refused(() => token('u1', { iss: undefined }))()
    for (const aud of ['other', [], 'mcp-gateway.evil.example', ['other'], undefined, {}]) await refused(() => token('u1', { aud }))()
  })

  it('not of nobody', async () => {
    for (const sub of ['', undefined, 'mcp:events', 'a'.repeat(129), 'a\nb', 7, null]) await refused(() => token('u1', { sub }))()
  })

  it('not with a signature of r = s = 0 (CVE-2022-21449), of zeros, of DER, or cut', async () => {
    const es = { alg: 'ES256', kid: 'ES256-1' }
    await refused(() => jws(es, theirs(), Buffer.alloc(64)))()
    await refused(() => jws(es, theirs(), Buffer.from('3006020100020100', 'hex')))()
    await refused(() => jws(es, theirs(), Buffer.alloc(0)))()
    await refused(() => jws(es, theirs(), KEYS.ES256.sign('something else')))()
    await refused(() => jws({ alg: 'EdDSA', kid: 'EdDSA-1' }, theirs(), Buffer.alloc(64)))()
    await refused(() => jws({ alg: 'RS256', kid: 'RS256-1' }, theirs(), Buffer.alloc(256)))()
    await refused(() => jws(HS256, claims('u1'), Buffer.alloc(32)))()
    await refused(() => token('u1').slice(0, -2))()
  })

  it('not written in another way of base64: slack, padding, other letters, blanks', async () => {
    const good = token('u1')
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const slack = good.slice(0, -1) + letters[letters.indexOf(good.at(-1)) ^ 1]
    assert.deepEqual(Buffer.from(slack.split('.')[2], 'base64url'), Buffer.from(good.split('.')[2], 'base64url'))
    for (const text of [slack, `${good}=`, `${good}==`, `${good}.`, `.${good}`, `${good}.x`, good.replace('.', '. '), good.replace('.', '..')]) {
      await refused(() => text)()
    }
    // A value of letters that both alphabets write differently.
    const odd = jws(HS256, claims('u1', { x: '~~~???' }))
    if (/[-_]/.test(odd)) await refused(() => odd.replace(/-/g, '+').replace(/_/g, '/'))()
  })

  it('not with an extension that must be understood (crit), not compressed (zip), not encrypted', async () => {
    await refused(() => jws({ ...HS256, crit: ['x'], x: 1 }, claims('u1')))()
    await refused(() => jws({ ...HS256, crit: [] }, claims('u1')))()
    await refused(() => `${base64url({ alg: 'dir', enc: 'A256GCM' })}..AAAA.AAAA.AAAA`)()
  })

  it('not changed in any part', async () => {
    const [header, payload, signature] = token('u1').split('.')
    const other = base64url(claims('root', { role: 'admin' }))
    await refused(() => `${header}.${other}.${signature}`)()
    await refused(() => `${base64url({ alg: 'HS256' })}.${payload}.${signature}`)()
  })

  it('nor as another than it was proved: its name is who comes in', async () => {
    assert.equal((await get(weir.url('/mcp/health/u2'), { headers: bearer(token('u1')) })).status, 403)
    const { status } = await request('GET', weir.url('/mcp/sse'), { headers: { ...bearer(token('u1')), 'x-client-id': 'root' } })
    assert.equal(status, 403)
  })
})

describe('keys that are fetched', () => {
  /** A fresh key, also as a JWK of this name. */
  function named(kid) {
    const key = fresh.EdDSA()
    return { ...key, jwk: { ...key.public.export({ format: 'jwk' }), kid, use: 'sig', alg: 'EdDSA' } }
  }

  const keys = { one: named('same'), two: named('same') }
  const served = new Map()
  let server, weir

  before(async () => {
    served.set('/one', [keys.one.jwk])
    served.set('/two', [keys.two.jwk])
    server = http.createServer((asked, answer) => answer.end(JSON.stringify({ keys: served.get(asked.url) ?? [] })))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = path => `http://127.0.0.1:${server.address().port}${path}`
    const section = name => `[[auth.jwt.jwks]]\nissuer = "https://${name}.example"\nurl = "${url(`/${name}`)}"`
    weir = await Weir.start({ config: required({ rest: `${section('one')}\n${section('two')}` }) })
  })
  after(async () => {
    server.close()
    await weir.close()
  })

  const of = (name, key, kid = 'same') => jws({ alg: 'EdDSA', kid }, claims('u1', { iss: `https://${name}.example` }), key)

  it('serve their own issuer, though another has one of the same name', async () => {
    assert.equal(await asks(weir, of('one', keys.one)), 'taken')
    assert.equal(await asks(weir, of('two', keys.two)), 'taken')
    assert.equal(await asks(weir, of('one', keys.two)), '401 invalid_token')
    assert.equal(await asks(weir, of('two', keys.one)), '401 invalid_token')
  })

  it('are waited for by requests that come with a new one', async () => {
    const next = named('next')
    served.get('/one').push(next.jwk)
    // They are not fetched twice within five seconds.
    await expiry(weir, 6)
    const together = await Promise.all(Array.from({ length: 6 }, () => asks(weir, of('one', next, 'next'))))
    assert.deepEqual(together, Array(6).fill('taken'))
    assert.equal(await asks(weir, of('one', next, 'nobody knows')), '401 invalid_token')
  })
})
