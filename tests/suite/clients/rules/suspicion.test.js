// Who behaves oddly is refused for a while, and the operator is told once.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { CONFIG, record, records } from '../lib/audit.js'
import { disconnect, join, phoenix, push } from '../lib/channel.js'
import { CLOSE, closeCode, frame, TEXT, upgraded } from '../lib/frames.js'
import { get } from '../lib/http.js'
import { Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const about = client => ({ event, client: name }) => event === 'suspicious_behavior' && name === client

describe('suspicion', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: `${CONFIG}[suspicion]\nthreshold = 5\n` }) })
  after(() => weir.close())

  const sse = client => get(weir.url(`/mcp/sse?client_id=${client}`))

  it('grows with garbage, until the client is refused with the time to wait', async () => {
    const well = phoenix(weir, { client_id: 'well' })
    const { channel } = await join(well, 'mcp:gateway')
    for (let n = 0; n < 5; n++) {
      const tcp = await upgraded(weir, '/mcp/ws/websocket?vsn=2.0.0&client_id=garbler').catch(() => null)
      if (!tcp) break
      tcp.write(frame(TEXT, 'no frame of Phoenix'))
      assert.equal(await closeCode(tcp), 1007)
    }
    const { status, json, headers } = await sse('garbler')
    assert.deepEqual([status, json.error, json.reason], [403, 'forbidden', 'suspicious_behavior'])
    assert.ok(json.retry_after > 30_000 && json.retry_after <= 60_000)
    assert.ok(Number(headers['retry-after']) <= 60)
    await record(weir, 'the garbler', about('garbler'))
    for (let n = 0; n < 5; n++) assert.equal((await sse('garbler')).status, 403)
    assert.equal(records(weir).filter(about('garbler')).length, 1, 'told once')
    assert.match(weir.output, /suspicious behaviour/)
    assert.equal((await push(channel, 'chat', {})).status, 'ok')
    await disconnect(well)
  })

  it('grows with rapid reconnects', async () => {
    for (let n = 0; n < 15; n++) {
      const tcp = await upgraded(weir, '/mcp/ws/websocket?vsn=2.0.0&client_id=hurried').catch(() => null)
      if (!tcp) break
      tcp.write(frame(CLOSE, [0x03, 0xe8]))
      assert.equal(await closeCode(tcp), 1000)
    }
    assert.equal((await sse('hurried')).json.reason, 'suspicious_behavior')
    assert.equal((await record(weir, 'the hurried', about('hurried'))).reason, 'rapid_reconnect')
  })

  it('grows with messages that rules forbid', async () => {
    const socket = phoenix(weir, { client_id: 'attacker' })
    const { channel } = await join(socket, 'mcp:gateway')
    for (let n = 0; n < 6; n++) await push(channel, 'chat', { text: '<script>' })
    assert.equal((await record(weir, 'the attacker', about('attacker'))).reason, 'forbidden_message')
    assert.equal((await sse('attacker')).status, 403)
    assert.equal(socket.closes.items.length, 0, 'who is in stays in')
    await disconnect(socket)
  })
})

describe('suspicion of addresses', () => {
  it('grows with bytes that are no request; others from elsewhere are served', async () => {
    const config = `${CONFIG}[suspicion]\nthreshold = 5\n[security]\nexempt_loopback = false\n`
    const weir = await Weir.start({ config, shards: 1 })
    for (let n = 0; n < 6; n++) assert.match(await ask(weir, '127.0.0.33', 'no request\r\n\r\n'), /^HTTP\/1.1 (400|403) /)
    const request = 'GET /mcp/none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
    const refused = await ask(weir, '127.0.0.33', request)
    assert.match(refused, /^HTTP\/1.1 403 /)
    assert.match(refused, /"reason":"suspicious_behavior"/)
    assert.match(await ask(weir, '127.0.0.34', request), /^HTTP\/1.1 404 /)
    const found = await record(weir, 'the address', ({ address }) => address === '127.0.0.33')
    assert.deepEqual([found.event, found.reason], ['suspicious_behavior', 'malformed_input'])
    await weir.close()
  })
})

/** What is answered to `bytes` from `localAddress`, to the end. */
async function ask(weir, localAddress, bytes) {
  const tcp = await Tcp.open(weir, 'sse', { localAddress })
  tcp.write(bytes)
  await tcp.end()
  tcp.destroy()
  return tcp.text
}

describe('suspicion that is off', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: '[suspicion]\nthreshold = 0\n' }) })
  after(() => weir.close())

  it('refuses nobody', async () => {
    for (let n = 0; n < 30; n++) {
      const tcp = await upgraded(weir, '/mcp/ws/websocket?vsn=2.0.0&client_id=garbler')
      tcp.write(frame(TEXT, 'no frame of Phoenix'))
      assert.equal(await closeCode(tcp), 1007)
    }
  })
})
