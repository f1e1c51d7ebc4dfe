// For everybody: by keyboard, by screen reader, on a phone, in light and dark.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, describe, it } from 'node:test'

import { request } from '../lib/http.js'
import { Weir } from '../lib/weir.js'
import { Server, well } from '../upstreams/server.js'
import { Dashboard, launch, skip } from './browser.js'
import { Traffic } from './traffic.js'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** Names what reaches beyond the right edge. */
const BEYOND = `[...document.querySelectorAll('*')].filter(at => at.getBoundingClientRect().right > innerWidth)
  .map(at => at.tagName + '#' + at.id + '.' + at.className).join(' ')`
const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 }

describe('the dashboard is usable', { skip }, () => {
  let browser, weir, server, traffic

  before(async () => {
    server = await Server.start(well)
    weir = await Weir.start({ config: `[dashboard]\nrefresh_interval = "250ms"\n[[upstream]]\nname = "tools"\nurl = "${server.url}"\n` })
    traffic = await Traffic.start(weir, { tool: 'work' })
    const body = JSON.stringify({ state: 'open', for_s: 600 })
    await request('PUT', weir.url('/mcp/admin/breakers/router', 'admin'), { body })
    browser = await launch()
  })
  after(async () => {
    await browser?.close()
    await traffic?.stop()
    await weir?.close()
    await server?.close()
  })

  /** A page with figures in all panels and a client opened. */
  async function open(options) {
    const dashboard = await Dashboard.open(browser, weir, options)
    await dashboard.live()
    await dashboard.reads('#pains', /router/)
    await dashboard.page.getByRole('button', { name: 'till-1' }).click()
    await dashboard.reads('#client', /Transport\s+WebSocket/)
    return dashboard
  }

  for (const [name, options] of [['light', { colorScheme: 'light' }], ['dark', { colorScheme: 'dark' }], ['phone', PHONE]]) {
    it(`has no fault that axe finds, ${name}`, async () => {
      const dashboard = await open(options)
      await dashboard.page.evaluate(AXE)
      const { violations } = await dashboard.page.evaluate('axe.run()')
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('\n')}`)
      assert.deepEqual(found, [])
      await dashboard.picture(name)
      await dashboard.close()
    })
  }

  it('fits on a phone, a tablet and a wall', async () => {
    const dashboard = await open({})
    for (const width of [360, 390, 768, 1024, 1440, 2560]) {
      await dashboard.page.setViewportSize({ width, height: 900 })
      const wide = await dashboard.page.evaluate('document.documentElement.scrollWidth')
      assert.ok(wide <= width, `${wide} of ${width}: ${await dashboard.page.evaluate(BEYOND)}`)
      if (width === 768 || width === 2560) await dashboard.picture(`width-${width}`)
    }
    await dashboard.close()
  })

  it('is walked by keyboard, and shows where one is', async () => {
    const dashboard = await open({})
    const { page } = dashboard
    await page.evaluate('document.activeElement.blur(); scrollTo(0, 0)')
    await page.mouse.click(2, 2)
    const walked = []
    for (let step = 0; step < 60; step += 1) {
      await page.keyboard.press('Tab')
      const at = await page.evaluate(`(() => {
        const at = document.activeElement
        const shown = at.matches('.theme input') ? at.nextElementSibling : at
        const { outlineStyle, outlineWidth } = getComputedStyle(shown)
        return { name: at.id || at.value || at.getAttribute('aria-label') || at.textContent, tag: at.tagName, seen: outlineStyle !== 'none' && outlineWidth !== '0px' }
      })()`)
      if (at.tag === 'BODY') break
      assert.ok(at.seen, `${at.name} has no visible focus`)
      walked.push(at.name)
    }
    assert.equal(walked[0], 'Skip to the figures')
    for (const name of ['auto', 'Traffic', 'Connections by core', 'search-name', 'search-sort', 'Search', 'till-1', 'Follow its messages', 'Close']) {
      assert.ok(walked.includes(name), `${name} is not reached: ${walked}`)
    }
    await page.locator('#search-name').focus()
    await page.keyboard.type('kiosk-0')
    await page.keyboard.press('Enter')
    await dashboard.reads('#clients-status', /^1 client$/)
    await dashboard.close()
  })

  it('has a switch for light and dark that it remembers', async () => {
    const dashboard = await open({ colorScheme: 'light' })
    const { page } = dashboard
    const paper = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
    const light = await paper()
    await page.getByText('Dark', { exact: true }).click()
    assert.notEqual(await paper(), light)
    await page.reload()
    await dashboard.live()
    assert.notEqual(await paper(), light)
    await page.getByText('Auto', { exact: true }).click()
    assert.equal(await paper(), light)
    await page.emulateMedia({ colorScheme: 'dark' })
    assert.notEqual(await paper(), light)
    await dashboard.close()
  })

  it('has landmarks and headings, and says seldom what has changed', async () => {
    const dashboard = await open({})
    const { page } = dashboard
    for (const role of ['banner', 'main', 'navigation', 'search', 'contentinfo']) assert.ok(await page.getByRole(role).count() >= 1, role)
    const headings = await page.getByRole('heading', { level: 2 }).allInnerTexts()
    assert.ok(headings.length >= 12, `${headings}`)
    const live = await page.locator('[role=status], [role=alert], [aria-live]').evaluateAll(all => all.map(it => it.id || it.className))
    assert.deepEqual(live.sort(), ['announcement', 'clients-status', 'sign-in-fault', 'words'].sort())
    await page.evaluate(`globalThis.said = 0
      for (const it of document.querySelectorAll('[role=status]')) new MutationObserver(() => { said += 1 }).observe(it, { childList: true, characterData: true, subtree: true })`)
    const uptime = await page.locator('#uptime').innerText()
    await dashboard.reads('#uptime', new RegExp(`^(?!${uptime}$)`))
    assert.equal(await page.evaluate('said'), 0, 'figures are not read out')
    await dashboard.close()
  })
})
