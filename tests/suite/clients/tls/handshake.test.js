// Handshakes: versions, names, protocols, resumption, and what is none.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'

import { Authority, openssl, trust } from '../lib/certificates.js'
import { get } from '../lib/http.js'
import { deadline, Inbox } from '../lib/inbox.js'
import { Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const REQUEST = 'GET /mcp/health/nobody HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** An alert, or no word at all. */
const REFUSED = /alert|refused|closed/

const authority = new Authority()
trust(authority)

/** A connection after its handshake; `options` are those of tls.connect. */
async function secured(weir, options = {}) {
  const socket = tls.connect({ host: '127.0.0.1', port: weir.ports.sse, servername: 'localhost', ...options })
  socket.on('error', () => {})
  socket.tickets = new Inbox()
  socket.on('session', ticket => socket.tickets.put(ticket))
  await deadline(Promise.race([
    once(socket, 'secureConnect'),
    once(socket, 'close').then(() => { throw new Error('refused') }),
  ]), 'a handshake')
  return socket
}

/** The answer to one request on a connection, up to the end of its head. */
async function asked(socket) {
  const tcp = new Tcp(socket)
  tcp.write(REQUEST)
  return tcp.until('\r\n\r\n')
}

/** What the gateway has counted. */
async function counted(weir) {
  return (await get(weir.url('/mcp/stats', 'admin'))).json.tls
}

describe('a handshake', () => {
  const others = { one: authority.issue(['DNS:one.example']), any: authority.issue(['DNS:*.any.example'], { kind: 'RSA' }) }
  let weir
  before(async () => {
    const certificate = ({ cert, key }) => `[[tls.certificate]]\ncert = "${cert}"\nkey = "${key}"\n`
    const config = `[http]\nhead_deadline = "2s"\n${Object.values(others).map(certificate).join('')}`
    weir = await Weir.start({ tls: authority.issue(), config })
  })
  after(() => weir.close())

  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    it(`is made in ${version}, and so is the next one by what the first left`, async () => {
      const options = { minVersion: version, maxVersion: version }
      const first = await secured(weir, options)
      assert.equal(first.getProtocol(), version)
      assert.match(await asked(first), /^HTTP\/1.1 404 /)
      const ticket = await first.tickets.take('a ticket')
      first.destroy()
      // Wherever it lands: the cores share the keys of tickets.
      for (let time = 0; time < 8; time += 1) {
        const next = await secured(weir, { ...options, session: ticket })
        assert.equal(next.isSessionReused(), true)
        assert.match(await asked(next), /^HTTP\/1.1 404 /)
        next.destroy()
      }
    })

    it(`is made with openssl s_client in ${version}`, () => {
      const flag = version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3'
      const said = openssl('s_client', '-connect', `127.0.0.1:${weir.ports.ws}`, '-servername', 'localhost', flag,
        '-CAfile', authority.cert, '-verify_return_error', '-alpn', 'http/1.1')
      assert.match(said, /Verify return code: 0 \(ok\)/)
      assert.match(said, /ALPN protocol: http\/1\.1/)
    })
  }

  it('is refused in TLS 1.1', async () => {
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
    await assert.rejects(secured(weir, old), REFUSED)
  })

  it('agrees on http/1.1, and on nothing else', async () => {
    const both = await secured(weir, { ALPNProtocols: ['h2', 'http/1.1'] })
    assert.equal(both.alpnProtocol, 'http/1.1')
    both.destroy()
    const none = await secured(weir)
    assert.equal(none.alpnProtocol, false)
    none.destroy()
    await assert.rejects(secured(weir, { ALPNProtocols: ['h2'] }), REFUSED)
  })

  it('shows the certificate for the name that is asked for', async () => {
    for (const [servername, subject] of [
      ['localhost', 'localhost'], ['one.example', 'one.example'], ['two.any.example', '*.any.example'],
    ]) {
      const socket = await secured(weir, { servername })
      assert.equal(socket.getPeerCertificate().subject.CN, subject)
      assert.ok(socket.authorized)
      socket.destroy()
    }
    const stranger = await secured(weir, { servername: 'else.where', rejectUnauthorized: false })
    assert.equal(stranger.getPeerCertificate().subject.CN, 'localhost')
    stranger.destroy()
  })

  it('is made byte by byte, too', async () => {
    const raw = net.connect({ host: '127.0.0.1', port: weir.ports.sse, noDelay: true })
    await once(raw, 'connect')
    const socket = tls.connect({ socket: bytewise(raw), servername: 'localhost' })
    await deadline(once(socket, 'secureConnect'), 'a handshake')
    assert.match(await asked(socket), /^HTTP\/1.1 404 /)
    socket.destroy()
  })

  it('that stops half way ends with the deadline of a head', async () => {
    const { failed } = await counted(weir)
    const hello = await clientHello()
    for (const bytes of [Buffer.alloc(0), hello.subarray(0, 40), hello]) {
      const tcp = await Tcp.open(weir)
      tcp.write(bytes)
      await tcp.end()
    }
    assert.equal((await counted(weir)).failed, failed + 3)
  })

  it('is not taken for one if it is plain HTTP: the answer says what to do', async () => {
    const tcp = await Tcp.open(weir)
    tcp.write(REQUEST)
    const answer = await tcp.end()
    assert.match(answer, /^HTTP\/1.1 400 /)
    assert.match(answer, /https:\/\/ or wss:\/\//)
  })

  it('is not made of garbage, and nothing comes of it', async () => {
    const garbage = [
      Buffer.from([0x16, 3, 1, 0xff, 0xff]), Buffer.from([0x16, 3, 1, 0, 4, 1, 0, 0, 0]), Buffer.alloc(5_000, 0x16),
      Buffer.alloc(300, 0x80), Buffer.from([0x15, 3, 3, 0, 2, 2, 40]), Buffer.from([0x17, 3, 3, 0, 1, 0]),
      Buffer.concat([await clientHello(), Buffer.alloc(64, 0x17)]),
    ]
    for (const bytes of garbage) {
      const tcp = await Tcp.open(weir)
      tcp.write(bytes)
      await tcp.end()
    }
    assert.match(await asked(await secured(weir)), /^HTTP\/1.1 404 /)
  })
})

describe('with tls.min_version = "1.3"', () => {
  it('TLS 1.2 is refused', async () => {
    const weir = await Weir.start({ tls: authority.issue(), config: '[tls]\nmin_version = "1.3"\n' })
    await assert.rejects(secured(weir, { maxVersion: 'TLSv1.2' }), REFUSED)
    const socket = await secured(weir)
    assert.equal(socket.getProtocol(), 'TLSv1.3')
    socket.destroy()
    await weir.close()
  })
})

describe('with tls.client_auth', () => {
  const clients = new Authority('clients')
  const own = read(clients.issue(['DNS:alice.example']))
  const foreign = read(new Authority('somebody else').issue(['DNS:mallory.example']))

  for (const auth of ['required', 'optional']) {
    it(`${auth}, certificates of that CA are taken and others are not`, async () => {
      const config = `[tls]\nclient_auth = "${auth}"\nclient_ca = "${clients.cert}"\n`
      const weir = await Weir.start({ tls: authority.issue(), config })
      assert.match(await asked(await secured(weir, own)), /^HTTP\/1.1 404 /)
      // In TLS 1.3 a client is done before the server has seen its certificate.
      await assert.rejects(async () => asked(await secured(weir, foreign)), REFUSED)
      const none = async () => asked(await secured(weir))
      if (auth === 'required') await assert.rejects(none, REFUSED)
      else assert.match(await none(), /^HTTP\/1.1 404 /)
      await weir.close()
    })
  }
})

/** Certificate and key as tls.connect takes them. */
function read({ cert, key }) {
  return { cert: readFileSync(cert), key: readFileSync(key) }
}

/** What a client of node says first. */
async function clientHello() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = tls.connect({ host: '127.0.0.1', port: server.address().port, servername: 'localhost' })
  client.on('error', () => {})
  const [peer] = await once(server, 'connection')
  const [hello] = await once(peer, 'data')
  client.destroy()
  peer.destroy()
  server.close()
  return hello
}

/** A socket whose every byte leaves by itself. */
function bytewise(socket) {
  const write = socket._write.bind(socket)
  socket._writev = undefined
  socket._write = (bytes, encoding, done) => {
    const next = at => at === bytes.length ? done() : write(bytes.subarray(at, at + 1), encoding, error => error ? done(error) : next(at + 1))
    next(0)
  }
  return socket
}
