// A body that comes too slowly is given up, and one that comes at the rate that is wanted is not, however long it
// takes.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

describe('a body at a minimum rate of 1,000 bytes per second', () => {
  let weir
  before(async () => {
    weir = await Weir.start({ config: '[http]\nhead_deadline = "500ms"\nmin_body_rate = 1000\n' })
  })
  after(() => weir.close())

  /** Sends `bytes` of a body of 6,000 every 50 ms until the gateway answers. */
  async function drip(bytes) {
    const data = JSON.stringify({ type: 'slow', data: 'x'.repeat(5_975) })
    const tcp = await Tcp.open(weir)
    tcp.write(`POST /mcp/clients/slow/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${data.length}\r\n\r\n`)
    let at = 0
    const timer = setInterval(() => {
      tcp.write(data.slice(at, at += bytes))
      if (at >= data.length) clearInterval(timer)
    }, 50)
    const text = await tcp.until('}').catch(() => tcp.text)
    clearInterval(timer)
    tcp.destroy()
    return text
  }

  it('is given up below that', async () => {
    assert.match(await drip(1), /^HTTP\/1\.1 408 /)
  })

  it('is taken above that', async () => {
    assert.match(await drip(400), /^HTTP\/1\.1 202 /)
  })
})
