// The head's deadline is absolute: a byte now and then does not move it.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

describe('a head deadline of one second', () => {
  let weir
  before(async () => { weir = await Weir.start({ config: '[http]\nhead_deadline = "1s"\n' }) })
  after(() => weir.close())

  /** Writes one byte of `bytes` every 50 ms until the gateway closes; answers what it said. */
  async function drip(bytes) {
    const tcp = await Tcp.open(weir)
    let at = 0
    const timer = setInterval(() => tcp.write(bytes[at++ % bytes.length]), 50)
    const text = await tcp.end()
    clearInterval(timer)
    assert.ok(at < bytes.length, 'before the head was complete')
    return text
  }

  it('ends a connection that never says anything', async () => {
    const tcp = await Tcp.open(weir)
    assert.ok(/^(HTTP\/1\.1 408 |$)/.test(await tcp.end()))
  })

  it('ends a connection that drips its head', async () => {
    const text = await drip(`GET /mcp/sse?client_id=${'slow'.repeat(500)} HTTP/1.1\r\n`)
    assert.ok(/^(HTTP\/1\.1 408 |$)/.test(text), text)
  })

  it('ends a second request that drips, after the first was served', async () => {
    const first = 'GET /mcp/none HTTP/1.1\r\nHost: localhost\r\n\r\n'
    const tcp = await Tcp.open(weir)
    tcp.write(first)
    await tcp.until('HTTP/1.1 404 ')
    let at = 0
    const timer = setInterval(() => tcp.write('GET /mcp'.repeat(100)[at++]), 50)
    await tcp.end()
    clearInterval(timer)
  })
})
