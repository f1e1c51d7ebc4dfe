// Every panel shows what real clients do.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { get, request, send } from '../lib/http.js'
import { Weir } from '../lib/weir.js'
import { Server, json, well } from '../upstreams/server.js'
import { Dashboard, launch, skip } from './browser.js'
import { Traffic, call } from './traffic.js'

const positive = text => Number(text.replaceAll(/[^\d.]/g, '')) > 0
const put = (weir, path, value) => request('PUT', weir.url(`/mcp/admin/${path}`, 'admin'), { body: JSON.stringify(value) })

describe('the dashboard', { skip }, () => {
  let browser, weir, server, traffic, dashboard, calls = 0

  before(async () => {
    // Now and then the server fails.
    server = await Server.start((message, response) => ++calls % 8 === 0 ? json(response, {}, 500) : well(message, response))
    weir = await Weir.start({
      config: `[dashboard]\nrefresh_interval = "250ms"\n[mcp]\nbuiltin = true\n[[upstream]]\nname = "tools"\nurl = "${server.url}"\npool.size = 4\n`,
    })
    traffic = await Traffic.start(weir, { tool: 'work' })
    browser = await launch()
    dashboard = await Dashboard.open(browser, weir)
    await dashboard.live()
  })
  after(async () => {
    await dashboard?.close()
    await browser?.close()
    await traffic?.stop()
    await weir?.close()
    await server?.close()
  })

  it('may run and load nothing but what it was served with', () => {
    const policy = dashboard.headers['content-security-policy']
    assert.match(policy, /default-src 'none'; script-src 'self';/)
    assert.doesNotMatch(policy, /unsafe|\*|data:|https?:/)
    assert.equal(dashboard.headers['cache-control'], 'no-store')
  })

  it('is where browsers are led, and machines are not', async () => {
    for (const path of ['/', '/metrics/dashboard']) {
      const page = await get(weir.url(path, 'admin'), { headers: { accept: 'text/html,*/*' } })
      assert.match(page.body, /^<!doctype html>/, path)
    }
    assert.equal((await get(weir.url('/', 'admin'))).json.name, 'weir')
    assert.equal((await get(weir.url('/mcp/dashboard/none.js', 'admin'))).status, 404)
  })

  it('has figures and a graph of what goes through', async () => {
    for (const place of [1, 2, 3, 4]) await dashboard.reads(`.figure:nth-child(${place}) .value`, /[1-9]/)
    for (const name of ['WebSocket', 'SSE', 'LongPoll', 'HTTP']) {
      await dashboard.rowReads('#traffic-table', name, ([, , , peak, shown]) => positive(peak) && positive(shown))
    }
    assert.ok(await dashboard.page.locator('#traffic-plot canvas').evaluate(canvas => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
      return new Set(new Uint32Array(data.buffer)).size > 20
    }), 'something is drawn')
  })

  it('has percentiles of each transport and of turns', async () => {
    for (const name of ['WebSocket', 'SSE', 'LongPoll', 'Turn']) {
      await dashboard.rowReads('#latency-table', name, ([, p50, , p99, , most]) => [p50, p99, most].every(positive))
    }
  })

  it('says who is connected, by transport and core', async () => {
    const cells = await dashboard.rowReads('#connections-table', 'All', ([, ws, sse, poll]) => ws >= 8 && sse >= 4 && poll >= 2)
    const cores = await dashboard.page.locator('#connections-table tbody tr:not(.sum, .empty)').allInnerTexts()
    assert.equal(cores.length, 2)
    const sum = cores.map(row => Number(row.split('\t')[1])).reduce((one, other) => one + other)
    assert.equal(sum, Number(cells[1]))
  })

  it('says what was refused, and what failed', async () => {
    const refused = await send(weir, 'board-0', { type: 'note', data: '<script>alert(1)</script>' })
    assert.equal(refused.json.reason, 'potential_injection')
    await dashboard.rowReads('#errors-table', 'Refused: rule', ([, , , shown, all]) => shown >= 1 && all >= 1)
    await dashboard.rowReads('#errors-table', 'MCP servers failed', ([, , , , all]) => positive(all))
    await dashboard.reads('.figure:nth-child(6) dt', /Refused/)
  })

  it('shows the server behind, its pool and its breaker', async () => {
    await call(weir, 'work', { input: 'x' })
    await dashboard.reads('#upstreams-list article', /tools\s+● up/)
    await dashboard.reads('#upstreams-list article', /127\.0\.0\.1:\d+\/mcp\s+● up/)
    await dashboard.reads('#upstreams-aside', /calls, \d+ failed/)
    await dashboard.reads('#upstreams-list article', /of 4 \+ \d+/)
  })

  it('shows a breaker that opens, as a state, a pain and news, and that it is over', async () => {
    await put(weir, 'breakers/tools', { state: 'open', for_s: 60 })
    await dashboard.rowReads('#breakers-table', 'tools', ([, state, , until]) => /○ open/.test(state) && /held/.test(until))
    await dashboard.reads('#pains', /circuit breaker of tools is open/)
    await dashboard.reads('#log', /Breaker of tools opened/)
    await dashboard.reads('#announcement', /circuit breaker of tools is open/)
    await dashboard.reads('.channel', /1 pain now/)
    await dashboard.reads('#upstreams-list article', /tools\s+○ breaker open/)
    await dashboard.picture('pain')
    await put(weir, 'breakers/tools', { state: 'auto' })
    await dashboard.rowReads('#breakers-table', 'tools', ([, state]) => /● closed/.test(state))
    await dashboard.reads('#pains', /Nothing hurts/)
    await dashboard.reads('#log', /tools answers again, after/i)
  })

  it('shows the five systems at work', async () => {
    const system = place => `.system:nth-child(${place})`
    for (const [place, title] of ['S5 Policy', 'S4 Intelligence', 'S3 Control', 'S2 Coordination', 'S1 Operations'].entries()) {
      await dashboard.reads(`${system(place + 1)} h3`, new RegExp(title))
    }
    await dashboard.reads(system(5), /Operations a second\s+[1-9]/)
    await dashboard.reads(system(4), /Moved to their core\s+\d/)
    await put(weir, 'control', { shedding: 2, for_s: 60 })
    await dashboard.reads(system(3), /Shedding\s+level 2/)
    await put(weir, 'control', { shedding: 'auto' })
    await dashboard.reads(system(3), /Shedding\s+none/)
    await dashboard.reads(system(4), /Transport switches/)
  })

  it('draws the ring, and who has how much of it', async () => {
    assert.equal(await dashboard.page.locator('#ring-drawing path').count(), 2)
    const shares = await dashboard.page.locator('#ring-table tbody td:nth-child(2)').allInnerTexts()
    assert.ok(Math.abs(shares.map(parseFloat).reduce((one, other) => one + other) - 100) < 0.11, `${shares}`)
    await dashboard.rowReads('#ring-table', /\d/, ([, , points, keys]) => points === '150' && positive(keys))
  })

  it('finds a client and follows its messages', async () => {
    const { page } = dashboard
    await page.getByLabel('Name has').fill('BOARD-')
    await page.getByRole('button', { name: 'Search' }).click()
    await dashboard.reads('#clients-status', /^4 clients$/)
    await page.getByRole('button', { name: 'board-1' }).click()
    await dashboard.reads('#client', /Transport\s+SSE/)
    const { json: { key } } = await get(weir.url('/mcp/admin/ring?key=board-1', 'admin'))
    await dashboard.reads('#client', new RegExp(`Home\\s+shard ${key.home}`))
    assert.equal(await page.locator('.marker circle').count(), 1, 'its place on the ring')
    await page.getByRole('button', { name: 'Follow its messages' }).click()
    await send(weir, 'board-1', { type: 'followed', data: 1 })
    await dashboard.rowReads('#client table', /:/, () => true)
    await dashboard.reads('#client table', /delivered\s+followed/)
    await dashboard.picture('client')
    await page.getByRole('button', { name: 'Stop following' }).click()
    await dashboard.reads('#client', /Follow its messages/)
    await page.getByRole('button', { name: 'Close' }).click()
    assert.equal(await page.locator('.marker circle').count(), 0)
  })

  it('names nobody for a name that nobody has', async () => {
    await dashboard.page.getByLabel('Name has').fill('nobody-at-all')
    await dashboard.page.keyboard.press('Enter')
    await dashboard.reads('#clients-table', /Nobody here has such a name/)
  })
})

describe('a dashboard that is switched off', { skip }, () => {
  it('is not there', async () => {
    const weir = await Weir.start({ config: '[dashboard]\nenabled = false\n' })
    assert.equal((await get(weir.url('/mcp/dashboard', 'admin'))).status, 404)
    assert.equal((await get(weir.url('/mcp/admin/dashboard/events', 'admin'))).status, 404)
    assert.equal((await get(weir.url('/', 'admin'), { headers: { accept: 'text/html' } })).json.name, 'weir')
    await weir.close()
  })
})
