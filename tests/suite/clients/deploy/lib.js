// What the tests of tuning/ share.

import { spawnSync } from 'node:child_process'

/** The repository's root. */
export const ROOT = new URL('../../../../', import.meta.url).pathname

/** Where `tests/run` installs the linters. */
const TOOLS = `${ROOT}tests/.deps/deploy/bin`

/** Runs a program in the repository's root: `{code, text}`, both streams together. */
export function run(program, args, env = {}) {
  const PATH = `${TOOLS}:${process.env.PATH}`
  const { status, error, stdout, stderr } = spawnSync(program, args, { cwd: ROOT, encoding: 'utf8', env: { PATH, HOME: '/nonexistent', ...env } })
  if (error) throw error
  return { code: status, text: stdout + stderr }
}
