// A gateway that goes, comes back, stops, or asks who reads its figures.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { post } from '../lib/http.js'
import { Weir } from '../lib/weir.js'
import { Dashboard, launch, skip } from './browser.js'
import { Traffic, call } from './traffic.js'

const QUICK = '[dashboard]\nrefresh_interval = "250ms"\n'

/** What Chromium says of requests that nobody answers. */
const UNREACHABLE = /ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)/

describe('the dashboard while the gateway', { skip }, () => {
  let browser
  before(async () => { browser = await launch() })
  after(() => browser?.close())

  it('is killed and started again', async () => {
    const options = { config: QUICK }
    let weir = await Weir.start(options)
    const dashboard = await Dashboard.open(browser, weir)
    await dashboard.live()
    await dashboard.reads('#figures', /\d/)
    await weir.end('SIGKILL')
    await dashboard.reads('#link-text', /Disconnected/)
    await dashboard.reads('#lost', /Disconnected\.\s+Figures are those of \d\d:\d\d:\d\d/)
    await dashboard.reads('#announcement', /Disconnected from the gateway/)
    await dashboard.picture('disconnected', {})
    weir.dispose()
    weir = await Weir.start({ ...options, ports: weir.ports })
    const traffic = await Traffic.start(weir)
    await dashboard.live()
    assert.ok(await dashboard.page.locator('#lost').isHidden())
    await dashboard.reads('#log', /The gateway was started anew/)
    await dashboard.reads('#announcement', /Connected again/)
    await dashboard.rowReads('#connections-table', 'All', ([, websockets]) => websockets >= 8)
    await traffic.stop()
    await dashboard.close(UNREACHABLE)
    await weir.close()
  })

  it('stops in good order', async () => {
    const weir = await Weir.start({ config: `${QUICK}[drain]\ntimeout = "20s"\n` })
    const traffic = await Traffic.start(weir)
    const dashboard = await Dashboard.open(browser, weir)
    await dashboard.live()
    await dashboard.reads('#drain-body', /Not stopping/)
    await dashboard.rowReads('#connections-table', 'All', ([, websockets]) => websockets >= 8)
    clearInterval(traffic.timer)
    const slow = call(weir, 'sleep', { seconds: 4, steps: 1 })
    await dashboard.reads('.system:nth-child(5)', /MCP calls under way\s+1/)
    await post(weir.url('/mcp/admin/drain', 'admin'), '')
    await dashboard.reads('#link-text', /Stopping/)
    await dashboard.reads('#stopping', /connections? left of \d+, 1 call under way/)
    await dashboard.reads('#drain-body', /Connections left\s+\d+ of \d+\s+Calls under way\s+1/)
    await dashboard.reads('#drain-aside', /[1-9]\d* % gone/)
    await dashboard.reads('#log', /Orderly stop begun/)
    await dashboard.picture('stopping')
    await slow
    await dashboard.reads('#link-text', /Disconnected/)
    weir.expectExit = true
    await traffic.stop()
    await dashboard.close(UNREACHABLE)
    await weir.close()
  })

  it('asks for the admin token', async () => {
    const token = 'a token for operators only'
    const weir = await Weir.start({ config: `${QUICK}[admin]\ntoken = "${token}"\n[auth.jwt]\nsecret = "${'s'.repeat(32)}"\n` })
    const dashboard = await Dashboard.open(browser, weir)
    const { page } = dashboard
    const dialog = page.getByRole('dialog', { name: 'Admin token' })
    await dialog.waitFor()
    await dashboard.picture('sign-in', {})
    await page.getByRole('textbox', { name: 'Token' }).fill('not the token')
    await page.keyboard.press('Enter')
    await dashboard.reads('#sign-in-fault', /not the admin token/)
    await page.getByRole('textbox', { name: 'Token' }).fill(token)
    await page.keyboard.press('Enter')
    await dashboard.live()
    await dialog.waitFor({ state: 'hidden' })
    await page.reload()
    await dashboard.live()
    assert.ok(dashboard.requests.every(request => !request.url().includes('token') && !request.url().includes('operators')))
    await page.getByRole('button', { name: 'Sign out' }).click()
    await dialog.waitFor()
    await dashboard.close(/401 \(Unauthorized\)/)
    await weir.close()
  })
})
