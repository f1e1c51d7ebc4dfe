// MCP servers over https: whom the gateway trusts, and what it says of others.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { after, before, describe, it } from 'node:test'

import { Authority } from '../lib/certificates.js'
import { Weir } from '../lib/weir.js'
import { Client, failed, worked } from '../upstreams/client.js'
import { Server, well } from '../upstreams/server.js'

const authority = new Authority()
const clients = new Authority('clients')

/** As node:https takes a certificate and its key. */
function read({ cert, key }) {
  return { cert: readFileSync(cert), key: readFileSync(key) }
}

describe('an upstream over https', () => {
  const servers = {}
  let weir, client, eavesdropper
  const heard = []
  before(async () => {
    eavesdropper = net.createServer(socket => {
      socket.on('error', () => {})
      socket.on('data', bytes => heard.push(bytes))
      socket.write('HTTP/1.1 200 OK\r\n')
    }).listen(0, '127.0.0.1')
    await once(eavesdropper, 'listening')
    servers.listening = { port: eavesdropper.address().port, close: () => eavesdropper.close() }
    const good = read(authority.issue())
    servers.good = await Server.start(well, good)
    servers.old = await Server.start(well, { ...good, maxVersion: 'TLSv1.2' })
    servers.asking = await Server.start(well, { ...good, requestCert: true, rejectUnauthorized: true, ca: clients.pem })
    servers.asking2 = await Server.start(well, { ...good, requestCert: true, rejectUnauthorized: true, ca: clients.pem })
    servers.other = await Server.start(well, read(authority.issue(['DNS:other.example'])))
    servers.stranger = await Server.start(well, read(new Authority('stranger').issue()))
    servers.plain = await Server.start(well)
    const own = clients.issue(['DNS:weir.example'])
    const more = { asking: [`cert = "${own.cert}"`, `key = "${own.key}"`] }
    const upstream = ([name, { port }]) => [
      '[[upstream]]', `name = "${name}"`, `url = "https://127.0.0.1:${port}/mcp"`, `ca = "${authority.cert}"`,
      'timeout = "5s"', 'headers = { Authorization = "Bearer of-the-gateway" }', ...more[name] ?? [],
    ].join('\n')
    weir = await Weir.start({ config: ['[mcp]', 'prefix = "always"', ...Object.entries(servers).map(upstream), ''].join('\n') })
    client = await Client.open(weir)
  })
  after(async () => {
    await weir.close()
    for (const server of Object.values(servers)) await server.close()
  })

  for (const [name, what] of [
    ['good', 'whose certificate is right'], ['old', 'that speaks TLS 1.2'], ['asking', 'that wants a certificate, too'],
  ]) {
    it(`${what} is asked`, async () => {
      assert.equal(worked(await client.work(name, 'first')), 'worked on first')
      const long = randomBytes(150_000).toString('hex')
      assert.equal(worked(await client.work(name, long)), `worked on ${long}`)
    })
  }

  it('is asked by many at once', async () => {
    const inputs = Array.from({ length: 60 }, (_, index) => `input ${index}`)
    const answers = await Promise.all(inputs.map(input => client.work('good', input)))
    assert.deepEqual(answers.map(worked), inputs.map(input => `worked on ${input}`))
  })

  it('that closed its connections is asked over new ones', async () => {
    servers.good.http.closeAllConnections()
    assert.equal(worked(await client.work('good', 'again')), 'worked on again')
  })

  for (const [name, what, said] of [
    ['other', 'whose certificate is for another name', /not valid for|NotValidForName/i],
    ['stranger', 'whose certificate leads to no trusted CA', /UnknownIssuer/],
    ['plain', 'that speaks plain HTTP', /TLS/],
    ['asking2', 'that wants a certificate that is not there', /TLS|certificate/i],
  ]) {
    it(`${what} is not asked, and the answer says why`, async () => {
      const answer = await client.work(name, 'secret')
      failed(answer)
      assert.match(answer.error.message, said)
      assert.equal(servers[name].calls.items.length, 0)
    })
  }

  it('gets nothing in plaintext when somebody in its place asks for that', async () => {
    const answer = await client.work('listening', 'secret')
    failed(answer)
    assert.match(answer.error.message, /plain HTTP/)
    assert.ok(heard.length > 0, 'it has heard the beginning of TLS')
    assert.doesNotMatch(Buffer.concat(heard).toString('latin1'), /POST|Bearer|secret/)
  })
})
