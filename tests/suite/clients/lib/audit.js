// Files of one JSON object a line; the audit log is the one that `CONFIG` names.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { LONG } from './inbox.js'

/** For the configuration of a gateway whose audit log is read; the path lies in the gateway's own folder. */
export const CONFIG = '[audit]\nfile = "audit.ndjson"\n'

/** Every record so far, of the audit log or of another file in the gateway's folder. */
export function records(weir, file = 'audit.ndjson') {
  try {
    return readFileSync(join(weir.folder, file), 'utf8').split('\n').slice(0, -1).map(line => JSON.parse(line))
  } catch (error) {
    if (error.code === 'ENOENT') return []
    throw error
  }
}

/** The first record that satisfies `wanted`, as soon as it is written. */
export async function record(weir, what, wanted, file) {
  const end = Date.now() + LONG
  for (;;) {
    const found = records(weir, file).find(wanted)
    if (found) return found
    if (Date.now() > end) throw new Error(`no record of ${what}: ${JSON.stringify(records(weir, file)).slice(0, 2000)}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
