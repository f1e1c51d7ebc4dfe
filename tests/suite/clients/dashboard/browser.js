// Chromium by Playwright, with a page that writes down what a dashboard must not do.

import assert from 'node:assert/strict'
import { existsSync, mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium } from 'playwright-core'

import { CHROMIUM } from '../lib/chromium.js'
import { LONG } from '../lib/inbox.js'

/** A browser takes its time on a busy machine, milliseconds. */
const PATIENCE = 3 * LONG

/** Between two looks at the page, milliseconds. */
const LOOK = 25

/** Where pictures of the page are kept. */
export const PICTURES = new URL('../../../.output/dashboard', import.meta.url).pathname

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--disable-dev-shm-usage',
]

/** Why there are no tests here, or false. */
export const skip = CHROMIUM ? false : 'there is no Chromium here'

/** The browser's file: Playwright does not look for commands. */
const executablePath = CHROMIUM && (process.env.PATH ?? '').split(delimiter).map(folder => join(folder, CHROMIUM)).find(existsSync)

/** A browser without a window. */
export function launch() {
  mkdirSync(PICTURES, { recursive: true })
  return chromium.launch({ executablePath: executablePath ?? CHROMIUM, args: FLAGS })
}

/** A dashboard in a browser. */
export class Dashboard {
  /** Opens it; `options` are those of a Playwright context (viewport, colorScheme). */
  static async open(browser, weir, options = {}, path = '/mcp/dashboard') {
    const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, reducedMotion: 'reduce', ...options })
    const dashboard = new Dashboard(context, await context.newPage(), weir)
    const answer = await dashboard.page.goto(weir.url(path, 'admin'))
    assert.equal(answer.status(), 200)
    dashboard.headers = answer.headers()
    return dashboard
  }

  constructor(context, page, weir) {
    this.context = context
    this.page = page
    this.errors = []
    this.requests = []
    this.origin = weir.url('', 'admin')
    page.setDefaultTimeout(PATIENCE)
    page.on('console', message => { if (['error', 'warning'].includes(message.type())) this.errors.push(message.text()) })
    page.on('pageerror', error => this.errors.push(error.stack))
    page.on('request', request => this.requests.push(request))
  }

  /** Waits until the text of what `selector` names is as `pattern` says, and answers it. */
  async reads(selector, pattern) {
    const element = this.page.locator(selector).first()
    const end = Date.now() + PATIENCE
    for (let text; ;) {
      text = await element.innerText()
      if (pattern.test(text)) return text
      await this.page.waitForTimeout(LOOK)
      assert.ok(Date.now() < end, `${selector} does not read ${pattern}: ${text}`)
    }
  }

  /** Waits until figures come. */
  live() {
    return this.reads('#link-text', /Live/)
  }

  /** A row of a table, by its first cell: the texts of its cells. */
  async row(table, name) {
    const row = this.page.locator(`${table} tbody tr`).filter({ has: this.page.locator('th', { hasText: name }) }).first()
    return row.locator('th, td').allInnerTexts()
  }

  /** Waits until a row is as `wanted` says, and answers its cells. */
  async rowReads(table, name, wanted) {
    const end = Date.now() + PATIENCE
    for (let cells; ;) {
      cells = await this.row(table, name)
      if (cells.length > 0 && wanted(cells)) return cells
      await this.page.waitForTimeout(LOOK)
      assert.ok(Date.now() < end, `${table}, ${name}: ${cells}`)
    }
  }

  /** Keeps a picture of the whole page. */
  async picture(name, options = { fullPage: true }) {
    await this.page.evaluate('scrollTo(0, 0)')
    await this.page.screenshot({ path: join(PICTURES, `${name}.png`), ...options })
  }

  /** The end: nothing was said on the console but what `expected` names, and nobody else was asked. */
  async close(expected = /^$/) {
    const elsewhere = this.requests.map(request => request.url()).filter(url => !url.startsWith(`${this.origin}/`))
    await this.context.close()
    assert.deepEqual(elsewhere, [], 'only the gateway is asked')
    assert.deepEqual(this.errors.filter(error => !expected.test(error)), [], 'nothing is wrong')
  }
}
