// What Prometheus itself makes of /metrics, of the alert rules and of the dashboard: promtool judges, and a server scrapes
// and evaluates every expression.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix } from '../lib/channel.js'
import { get, send } from '../lib/http.js'
import { deadline, LONG } from '../lib/inbox.js'
import { MISSING, run, Scrape } from '../lib/metrics.js'
import { Weir } from '../lib/weir.js'
import { Client } from '../upstreams/client.js'
import { Server, well } from '../upstreams/server.js'

const TUNING = new URL('../../../../tuning/', import.meta.url).pathname
const RULES = path(TUNING, 'prometheus')
const DASHBOARD = JSON.parse(readFileSync(path(TUNING, 'grafana/weir.json'), 'utf8'))

/** Every expression of the dashboard, with what Grafana would put for its variables. */
const queries = DASHBOARD.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })))
  .map(({ title, expr }) => ({ title, expr: expr.replaceAll('$__rate_interval', '1m').replaceAll(/"\$\w+"/g, '".*"') }))

/** Names of metrics in an expression. */
const names = text => [...text.matchAll(/\b(?:weir|process)_[a-z_]+/g)].map(([name]) => name)

/** A gateway that has served something of each kind, with a server behind it. */
async function busy() {
  const server = await Server.start(well)
  const config = `[[upstream]]\nname = "tools"\nurl = "${server.url}"\n[[webhook]]\nname = "ops"\nurl = "http://127.0.0.1:9/"\n`
  const weir = await Weir.start({ config })
  const client = await Client.open(weir)
  await client.request('tools/call', { name: 'work', arguments: { input: 1 } })
  const socket = phoenix(weir, { client_id: 'u1' })
  const { events } = await join(socket, 'mcp:gateway')
  await send(weir, 'u1', { type: 'chat', data: 1 })
  await events.take('the message', ({ event }) => event === 'message')
  await client.close()
  await disconnect(socket)
  return { weir, close: () => Promise.all([weir.close(), server.close()]) }
}

describe('the text', () => {
  let weir, close
  before(async () => { ({ weir, close } = await busy()) })
  after(() => close())

  it('is as promtool wants it', { skip: MISSING }, async () => {
    const { status, headers, body } = await get(weir.url('/metrics', 'admin'))
    assert.deepEqual([status, headers['content-type']], [200, 'text/plain; version=0.0.4; charset=utf-8'])
    assert.deepEqual(await run('promtool', ['check', 'metrics'], { input: body }), { code: 0, output: '' })
  })

  it('is OpenMetrics for those who ask for it', async () => {
    const accept = 'application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
    const { headers, body } = await get(weir.url('/metrics', 'admin'), { headers: { accept } })
    assert.equal(headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8')
    assert.ok(body.endsWith('\n# EOF\n'))
    const families = [...body.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name)
    assert.equal(new Set(families).size, families.length, 'each family once')
    assert.deepEqual(families.filter(name => /_total$|_info$/.test(name)), [])
  })

  it('has the same families in each scrape, whatever was served', async () => {
    const fresh = await Weir.start()
    const [one, other] = [await Scrape.of(fresh), await Scrape.of(weir)]
    await fresh.close()
    assert.deepEqual([...one.types.keys()], [...other.types.keys()])
    assert.ok([...one.types.keys()].every(name => /^(weir|process)_/.test(name)))
  })
})

describe('rules and dashboard', () => {
  let weir, close
  before(async () => { ({ weir, close } = await busy()) })
  after(() => close())

  it('name only what /metrics has', async () => {
    const { types } = await Scrape.of(weir)
    const known = new Set([...types].flatMap(([name, type]) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name]))
    const rules = [...readFileSync(path(RULES, 'weir.rules.yml'), 'utf8').matchAll(/expr: (?:>-\n)?([\s\S]*?)\n\s+(?:for|labels):/g)]
    assert.ok(rules.length >= 10)
    const used = [...rules.flatMap(([, expr]) => names(expr)), ...queries.flatMap(({ expr }) => names(expr))]
    assert.ok(used.length > 60, `${used.length}`)
    assert.deepEqual(used.filter(name => !known.has(name)), [])
  })

  it('are as promtool wants them', { skip: MISSING }, async () => {
    const checked = await run('promtool', ['check', 'rules', 'weir.rules.yml'], { cwd: RULES })
    assert.equal(checked.code, 0, checked.output)
    const tested = await run('promtool', ['test', 'rules', 'weir.test.yml'], { cwd: RULES })
    assert.equal(tested.code, 0, tested.output)
  })

  it('work in a Prometheus that scrapes the gateway', { skip: MISSING }, async () => {
    const prometheus = await Prometheus.start(weir)
    try {
      const up = await prometheus.until('weir_build_info', 2)
      assert.equal(up.length, 1, JSON.stringify(up))
      for (const { title, expr } of queries) {
        const { status, error } = await prometheus.ask(expr)
        assert.equal(status, 'success', `${title}: ${expr}: ${error}`)
      }
      const { data } = await prometheus.get('/api/v1/rules')
      const unhealthy = data.groups.flatMap(({ rules }) => rules).filter(({ health }) => health === 'err')
      assert.deepEqual(unhealthy, [])
      const { data: { activeTargets: [target] } } = await prometheus.get('/api/v1/targets')
      assert.deepEqual([target.health, target.lastError], ['up', ''])
    } finally {
      await prometheus.close()
    }
  })
})

/** A Prometheus that scrapes one gateway each second. */
class Prometheus {
  static async start(weir) {
    const prometheus = new Prometheus()
    prometheus.folder = mkdtempSync(path(tmpdir(), 'weir-prometheus-'))
    prometheus.port = await freePort()
    const config = path(prometheus.folder, 'prometheus.yml')
    writeFileSync(config, `global: { scrape_interval: 1s, evaluation_interval: 1s }\nrule_files: [${RULES}/weir.rules.yml]\n`
      + `scrape_configs: [{ job_name: weir, static_configs: [{ targets: ["127.0.0.1:${weir.ports.admin}"] }] }]\n`)
    const args = [`--config.file=${config}`, `--storage.tsdb.path=${path(prometheus.folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${prometheus.port}`]
    prometheus.child = spawn('prometheus', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    prometheus.output = ''
    prometheus.child.stderr.on('data', text => { prometheus.output += text })
    return prometheus
  }

  async get(route) {
    const { json } = await get(`http://127.0.0.1:${this.port}${route}`)
    return json
  }

  ask(query) {
    return this.get(`/api/v1/query?query=${encodeURIComponent(query)}`)
  }

  /** The series of a metric, once it was scraped as often. */
  until(metric, scrapes) {
    const found = (async () => {
      for (;;) {
        const counted = await this.ask(`count_over_time(${metric}[1h]) >= ${scrapes}`).catch(() => null)
        if (counted?.data?.result.length > 0) return counted.data.result
      }
    })()
    return deadline(found, `${metric} in Prometheus: ${this.output.slice(-2_000)}`, 3 * LONG)
  }

  async close() {
    const ended = once(this.child, 'close')
    this.child.kill('SIGTERM')
    await ended
    rmSync(this.folder, { recursive: true, force: true })
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
