// The official conformance suites as processes, and what they find as values.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** How long one suite may take, milliseconds; each takes seconds. */
const SUITE_MAX = 300_000

const require = createRequire(import.meta.url)

/** `era` is the wire it speaks; `requirements` the revision whose set it runs, of which only a part is scored. */
export const SUITES = [
  { name: 'active', version: '0.1', era: 'legacy', args: ['--suite', 'active'] },
  { name: '2025-11-25', version: '0.2', era: 'legacy', requirements: '2025-11-25' },
  { name: '2026-07-28', version: '0.2', era: 'modern', requirements: '2026-07-28' },
]

/**
 * Runs a suite against the server at `url`.
 *
 * @returns {Promise<Map<string, {scenario: string, check: string, status: string, message: string, scored: boolean}>>}
 *   the checks by a key that is the same in every run
 */
export async function run(suite, url) {
  const folder = mkdtempSync(join(tmpdir(), 'weir-conformance-'))
  const args = suite.args ?? ['--requirements', suite.requirements]
  const program = join(packaged(suite), 'dist', 'index.js')
  const child = spawn(process.execPath, [program, 'server', '--url', url, ...args, '-o', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: SUITE_MAX,
    killSignal: 'SIGKILL',
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', text => { output += text })
  const [code, signal] = await once(child, 'close')
  const checks = read(folder, scored(suite))
  rmSync(folder, { recursive: true, force: true })
  if (!/=== SUMMARY ===/.test(output)) {
    console.log(`the suite ${suite.name} ended early (${signal ?? code}):\n${output.slice(-2000)}`)
  }
  return checks
}

/** Whether a check found all as it should be. */
export function passed(check) {
  return check?.status === 'SUCCESS' || check?.status === 'INFO'
}

/** Whether it found all as it should be or as it may be: JSON where a stream would do, too, is for information. */
export function kept(check) {
  return passed(check) || check?.status === 'INFO'
}

/** Whether a check found something wrong. */
export function found(check) {
  return check?.status === 'FAILURE' || check?.status === 'WARNING'
}

/** Every check of every scenario's `checks.json`. An id occurs more than once where a scenario probes several times. */
function read(folder, scored) {
  const checks = new Map()
  for (const entry of readdirSync(folder).sort()) {
    const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(entry)[1]
    const file = join(folder, entry, 'checks.json')
    if (!existsSync(file)) continue // a scenario the suite did not come back from
    const times = new Map()
    for (const { id, name, status, errorMessage } of JSON.parse(readFileSync(file, 'utf8'))) {
      const check = `${id} ${name}`
      const time = (times.get(check) ?? 0) + 1
      times.set(check, time)
      const label = time === 1 ? check : `${check} #${time}`
      checks.set(`${scenario} ${label}`, {
        scenario, check: label, status, message: errorMessage ?? '', scored: scored(scenario),
      })
    }
  }
  return checks
}

/** Whether a scenario counts: those under `server:` of the requirement set; all, where there is none. */
function scored(suite) {
  if (!suite.requirements) return () => true
  const text = readFileSync(join(packaged(suite), 'requirements', `${suite.requirements}.yaml`), 'utf8')
  const scenarios = /^server:\n((?: {2}- .+\n)+)/m.exec(text)[1]
  const names = new Set([...scenarios.matchAll(/- (\S+)/g)].map(([, name]) => name))
  return scenario => names.has(scenario)
}

/** The folder of the suite's package. */
function packaged({ version }) {
  return dirname(require.resolve(`conformance-${version}/package.json`))
}
