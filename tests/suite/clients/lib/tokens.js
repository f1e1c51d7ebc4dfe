// JSON Web Tokens, made by hand: also those that no library makes.

import { createHmac, createSign, generateKeyPairSync, sign } from 'node:crypto'

import { deadline } from './inbox.js'
import { plain } from './plain.js'

/** The secret of the gateways under test. */
export const SECRET = 'a secret of the suites: 32 bytes'

/** Whose tokens are signed with public keys. */
export const ISSUER = 'https://id.example'

/** Now, in seconds. */
export const now = () => Math.floor(Date.now() / 1000)

/** base64url of a text, a buffer or a JSON value. */
export function base64url(value) {
  const bytes = typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value)
  return Buffer.from(bytes).toString('base64url')
}

/** A fresh key of one of these algorithms. */
export const fresh = {
  EdDSA: () => pair('ed25519', {}, (text, key) => sign(null, Buffer.from(text), key)),
  ES256: () => pair('ec', { namedCurve: 'P-256' }, (text, key) => sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })),
  RS256: () => pair('rsa', { modulusLength: 2048 }, (text, key) => createSign('sha256').update(text).sign(key)),
}

/** Keys that sign: `public` is the key object, `sign(text)` the signature's bytes. */
export const KEYS = {
  HS256: { sign: text => createHmac('sha256', SECRET).update(text).digest() },
  RS256: fresh.RS256(),
  ES256: fresh.ES256(),
  EdDSA: fresh.EdDSA(),
}

function pair(kind, options, signed) {
  const { publicKey, privateKey } = generateKeyPairSync(kind, options)
  return { public: publicKey, sign: text => signed(text, privateKey) }
}

/** What a good token of `sub` says. */
export function claims(sub, more = {}) {
  return { iss: 'weir', aud: 'mcp-gateway', sub, role: 'user', iat: now(), exp: now() + 3600, jti: `token of ${sub}`, ...more }
}

/** A token of any header and claims (values or text), signed by a key of `KEYS`, or with these bytes. */
export function jws(header, payload, key = KEYS.HS256) {
  const text = `${base64url(header)}.${base64url(payload)}`
  return `${text}.${base64url(Buffer.isBuffer(key) ? key : key.sign(text))}`
}

/** A token that the gateway takes. */
export function token(sub, more = {}) {
  return jws({ alg: 'HS256', typ: 'JWT' }, claims(sub, more))
}

/** The header that carries it. */
export const bearer = text => ({ authorization: `Bearer ${text}` })

/** Waits until a connection has ended whose token was good for so many seconds: others like it have ended by then. */
export async function expiry(weir, seconds) {
  const socket = await plain(weir, `/mcp/ws/websocket?vsn=2.0.0&token=${token('clock', { exp: now() + seconds })}`)
  await deadline(socket.closed, 'the end of a token')
}

/** A configuration that wants proofs; `auth`, `jwt` and `rest` are more lines of TOML. */
export function required({ auth = '', jwt = '', rest = '' } = {}) {
  return `[auth]\n${auth}\n[auth.jwt]\nsecret = ${JSON.stringify(SECRET)}\nleeway = "0s"\n${jwt}\n${rest}\n`
}

/** The same with the public keys of `ISSUER`. */
export function withPublicKeys() {
  const sections = ['RS256', 'ES256', 'EdDSA'].map(name => {
    const pem = KEYS[name].public.export({ type: 'spki', format: 'pem' })
    return `[[auth.jwt.public_keys]]\nkid = "${name}-1"\nissuer = "${ISSUER}"\npem = ${JSON.stringify(pem)}`
  })
  return required({ rest: sections.join('\n') })
}
