// Ten thousand clients of both transports at once, each delivery checked by the load generator.
// Arguments: the generator's path, and 1 for the long run.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'

import { get } from './lib/http.js'
import { Weir } from './lib/weir.js'

const USERS = 10_000
const [generator, long] = process.argv.slice(2)

const weir = await Weir.start()
try {
  const messages = long === '1' ? 60 : 3
  const options = { url: weir.wsUrl('/mcp/ws'), users: USERS, messages, pid: weir.pid }
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(generator, ['mixed', ...flags], { stdio: 'inherit' })
  const [code] = await once(child, 'close')
  assert.equal(code, 0, 'the load generator met errors')

  const { json: stats } = await get(weir.url('/mcp/stats', 'admin'))
  assert.equal(stats.overflowed, 0, 'no connection was cut for being slow')
  assert.equal(stats.gaps, 0, 'no client was told of a gap')
  console.log(`load: ${USERS} clients, ${USERS * messages} messages, no error`)
} finally {
  await weir.close()
}
