// The files TLS is made from: what is said of those that cannot be used, and how they are changed while clients are there.

import assert from 'node:assert/strict'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import { once } from 'node:events'

import { disconnect, join, phoenix } from '../lib/channel.js'
import { Authority, trust } from '../lib/certificates.js'
import { event, message, source } from '../lib/events.js'
import { get, send } from '../lib/http.js'
import { deadline } from '../lib/inbox.js'
import { Weir } from '../lib/weir.js'

const authority = new Authority()
trust(authority)

/** Runs a start that must fail; answers what it said. */
async function failing(options) {
  const weir = Weir.launch(options)
  weir.expectExit = true
  const { code } = await deadline(weir.exited, 'weir to give up')
  await weir.close()
  assert.equal(code, 2)
  return weir.output
}

describe('a certificate that cannot be used', () => {
  const [one, other] = [authority.issue(), authority.issue()]
  const broken = path(authority.folder, 'broken.pem')
  writeFileSync(broken, '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n')

  for (const [what, files, said] of [
    ['is not there', { ...one, cert: '/nowhere/cert.pem' }, /\/nowhere\/cert\.pem cannot be read: No such file/],
    ['has another\'s key', { cert: one.cert, key: other.key }, /is not that of the first certificate in .*openssl x509/s],
    ['is a key', { cert: one.key, key: one.cert }, /holds no certificate.*swapped\?/],
    ['is broken', { ...one, cert: broken }, /the first certificate in .*broken\.pem cannot be read/],
  ]) {
    it(`that ${what} keeps the gateway from starting, and it says why`, async () => {
      assert.match(await failing({ tls: files }), said)
    })
  }

  it('without a key is a contradiction', async () => {
    assert.match(await failing({ flags: ['--tls-cert', one.cert] }), /tls\.cert has no tls\.key/)
  })
})

describe('SIGHUP', () => {
  const files = { cert: path(authority.folder, 'live.pem'), key: path(authority.folder, 'live.key') }
  let weir

  /** Puts this pair in place. */
  function put({ cert, key }) {
    copyFileSync(cert, files.cert)
    copyFileSync(key, files.key)
  }

  /** The serial number of the certificate that a newcomer is shown. */
  async function shown() {
    const socket = tls.connect({ host: '127.0.0.1', port: weir.ports.ws, servername: 'localhost' })
    await deadline(once(socket, 'secureConnect'), 'a handshake')
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return serialNumber
  }

  /** Sends the signal and waits until the log says what came of it. */
  async function reload(said) {
    const before = weir.output.length
    weir.child.kill('SIGHUP')
    const done = async () => { while (!said.test(weir.output.slice(before))) await once(weir.child.stderr, 'data') }
    await deadline(done(), `the log to say ${said}`)
  }

  before(async () => {
    put(authority.issue())
    weir = await Weir.start({ tls: files })
  })
  after(() => weir.close())

  it('changes the certificate for newcomers and leaves clients alone', async () => {
    const socket = phoenix(weir, { client_id: 'stays' })
    const { events } = await join(socket, 'mcp:gateway')
    const es = source(weir.url('/mcp/sse?client_id=reads'))
    await event(es, 'connected')
    const old = await shown()
    put(authority.issue())
    await reload(/certificates are read again/)
    const now = await shown()
    assert.notEqual(now, old)
    for (const [client, take] of [
      ['stays', () => events.take('the note', ({ event }) => event === 'message')], ['reads', () => message(es, 'note')],
    ]) {
      await send(weir, client, { type: 'note', data: 1 })
      await take()
    }
    assert.equal(socket.closes.items.length, 0)
    assert.equal(es.responses.items.length, 1)
    es.close()
    await disconnect(socket)
  })

  it('changes nothing if a file cannot be used', async () => {
    const old = await shown()
    writeFileSync(files.key, 'no key at all')
    await reload(/certificates stay as they are: .*live\.key holds no private key/)
    assert.equal(await shown(), old)
  })
})

describe('without TLS', () => {
  it('SIGHUP does not end the gateway', async () => {
    const weir = await Weir.start()
    weir.child.kill('SIGHUP')
    assert.equal((await get(weir.url('/ready', 'admin'))).status, 200)
    await weir.close()
  })
})
