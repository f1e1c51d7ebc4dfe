// The audit log: one JSON object a line, in the file that `CONFIG` names.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { LONG } from './inbox.js'

/** For the configuration of a gateway whose audit log is read; the path lies in the gateway's own folder. */
export const CONFIG = '[audit]\nfile = "audit.ndjson"\n'

/** Every record so far. */
export function records(weir) {
  try {
    return readFileSync(join(weir.folder, 'audit.ndjson'), 'utf8').split('\n').slice(0, -1).map(line => JSON.parse(line))
  } catch (error) {
    if (error.code === 'ENOENT') return []
    throw error
  }
}

/** The first record that satisfies `wanted`, as soon as it is written. */
export async function record(weir, what, wanted) {
  const end = Date.now() + LONG
  for (;;) {
    const found = records(weir).find(wanted)
    if (found) return found
    if (Date.now() > end) throw new Error(`no record of ${what}: ${JSON.stringify(records(weir)).slice(0, 2000)}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
