// What GET /metrics says, as values; and the programs of Prometheus that judge it.

import { execFile, spawnSync } from 'node:child_process'

import { get } from './http.js'
import { deadline, LONG } from './inbox.js'

/** Why tests that need them are skipped; false where promtool and prometheus are installed. */
export const MISSING = ['promtool', 'prometheus'].some(name => spawnSync(name, ['--version']).error)
  && 'promtool and prometheus are not installed (the Debian package prometheus has both)'

/** One scrape. */
export class Scrape {
  /** `family name -> type`. */
  types = new Map()
  /** `{name, labels, value}` of each line. */
  samples = []

  constructor(text) {
    for (const line of text.split('\n').filter(Boolean)) {
      const type = /^# TYPE (\S+) (\S+)$/.exec(line)
      if (type) this.types.set(type[1], type[2])
      if (line.startsWith('#')) continue
      const [, name, labels = '', value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line)
      const pairs = [...labels.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text])
      this.samples.push({ name, labels: Object.fromEntries(pairs), value: Number(value) })
    }
  }

  static async of(weir, listener = 'admin') {
    return new Scrape((await get(weir.url('/metrics', listener))).body)
  }

  /** The sum of all samples of that name whose labels are these, among others. */
  sum(name, labels = {}) {
    const wanted = Object.entries(labels)
    const found = this.samples.filter(sample =>
      sample.name === name && wanted.every(([key, value]) => sample.labels[key] === value))
    return found.reduce((sum, { value }) => sum + value, 0)
  }

  /** What `name` has grown by since `before`. */
  since(before, name, labels) {
    return this.sum(name, labels) - before.sum(name, labels)
  }

  /** Every counter and every histogram that has moved from 0. */
  moved() {
    const counts = [...this.types].filter(([, type]) => type === 'counter' || type === 'histogram')
    return new Set(counts.filter(([name, type]) => this.sum(type === 'counter' ? name : `${name}_count`) > 0).map(([name]) => name))
  }

  /** The names of all counters and histograms. */
  get counters() {
    return [...this.types].filter(([, type]) => type === 'counter' || type === 'histogram').map(([name]) => name)
  }
}

/** Scrapes until `wanted` holds of what it says. */
export async function until(weir, what, wanted) {
  const scraped = (async () => {
    for (;;) {
      const scrape = await Scrape.of(weir)
      if (wanted(scrape)) return scrape
    }
  })()
  return deadline(scraped, what, LONG)
}

/** What a command prints and how it ends: `{code, output}`; `input` is what it reads. */
export function run(program, args, { input = '', cwd } = {}) {
  const ran = new Promise(resolve => {
    const child = execFile(program, args, { cwd }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, output: stdout + stderr })
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
  return deadline(ran, `${program} ${args.join(' ')}`, 3 * LONG)
}
