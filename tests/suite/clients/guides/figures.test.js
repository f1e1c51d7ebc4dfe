// docs/capacity.md and docs/tuning.md: their figures are those of the reports and of the list of knobs.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

const ROOT = new URL('../../../../', import.meta.url)
const read = name => readFileSync(new URL(name, ROOT), 'utf8')

/** The cells of every row of a page's tables that names a report. */
function rows(page) {
  const lines = read(page).split('\n').filter(line => line.startsWith('| ') && line.includes('bench/results/'))
  return lines.map(line => line.split('|').slice(1, -1).map(cell => cell.trim().replaceAll('`', '')))
}

const value = text => Number(text.replaceAll(',', ''))

/** The median of weir's (or of its disk's or memory's) messages per CPU-second in one section of a report. */
function median(report, section, rival) {
  const part = read(report).split(/^## /m).find(text => text.startsWith(section)) ?? assert.fail(`${report} has no ${section}`)
  const found = [...part.matchAll(/^ *\d+ +(\w+) +(\d+) per server-CPU-s/gm)].filter(([, name]) => name === rival)
  const figures = found.map(([, , figure]) => Number(figure)).sort((a, b) => a - b)
  assert.ok(figures.length >= 5, `${report}: ${section}: ${figures.length} runs of ${rival}`)
  return (figures[Math.floor((figures.length - 1) / 2)] + figures[Math.ceil((figures.length - 1) / 2)]) / 2
}

describe('capacity.md', () => {
  const cores = rows('docs/capacity.md').filter(row => row.length === 5)

  it('has the medians of the reports that it names, to two digits', () => {
    assert.ok(cores.length >= 8)
    for (const [work, perSecond, micros, report, section] of cores) {
      const rival = !report.includes('disk') ? 'weir' : work.includes('disk') ? 'disk' : 'memory'
      const measured = median(report, section, rival)
      assert.ok(Math.abs(value(perSecond) / measured - 1) < 0.05, `${work}: ${perSecond}, and the report has ${measured}`)
      assert.ok(Math.abs(value(micros) * measured / 1e6 - 1) < 0.05, `${work}: ${micros} µs, and the report has ${1e6 / measured}`)
    }
  })

  it('has the bytes of a client as the report has them', () => {
    const bytes = rows('docs/capacity.md').filter(row => row.length === 4)
    assert.ok(bytes.length >= 2)
    for (const [what, figure, , report] of bytes) {
      assert.match(read(report), new RegExp(`per client, bytes: median ${figure},`), what)
    }
  })
})

describe('tuning.md', () => {
  it('has the list of knobs as tuning/check prints it', () => {
    const list = execFileSync('tuning/check', ['--list'], { cwd: ROOT, encoding: 'utf8' })
    assert.ok(read('docs/tuning.md').includes(list), `docs/tuning.md should have this table:\n${list}`)
  })

  it('has a verdict on each of the classic ten', () => {
    const classic = [
      'net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_keepalive_intvl', 'net.ipv4.tcp_keepalive_probes', 'net.core.somaxconn',
      'net.ipv4.tcp_max_syn_backlog', 'net.core.netdev_max_backlog', 'net.ipv4.ip_local_port_range', 'net.ipv4.tcp_tw_reuse',
      'net.ipv4.tcp_fin_timeout', 'nofile',
    ]
    for (const name of classic) assert.match(read('docs/tuning.md'), new RegExp(`^\\| ${name} \\| [^|]+ \\| [^|]+ \\| [^|]+ \\|$`, 'm'))
  })
})
