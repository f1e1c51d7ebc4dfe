// The gateway with the image's variables and a generated secret, asked from another address than its own loopback, as
// the kubelet and a load balancer ask.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'

import { BINARY } from '../lib/weir.js'
import { run } from './lib.js'

/** An address that is nobody's (RFC 2544, section C.2.2), here the namespace's own. */
const ADDRESS = '198.18.0.1'

/** Prints the status of each path on 4000, what the image's health check says, and how the gateway ended. */
const SCRIPT = `
ip link set lo up && ip address add ${ADDRESS}/32 dev lo
"$WEIR" serve >log 2>&1 &
curl -s -o /dev/null --retry 100 --retry-delay 1 --retry-connrefused http://${ADDRESS}:4000/ready
for path in 4000/health 4000/ready 4000/metrics 9100/health 9100/ready 9100/metrics 9100/mcp/stats; do
  curl -s -o /dev/null -w "$path %{http_code}\\n" http://${ADDRESS}:$path
done
curl -s -o /dev/null -w 'sse %{http_code}\\n' 'http://${ADDRESS}:4001/mcp/sse?client_id=u1'
"$WEIR" stats --json >/dev/null; echo "health check $?"
kill -TERM %1; wait %1; echo "end $?"
`

describe('in a container', () => {
  it('probes, metrics and the health check need no client’s token, and everybody else does', t => {
    if (run('unshare', ['-n', 'true']).code !== 0) return t.skip('no network namespace can be had here: that takes root')
    const folder = mkdtempSync(path.join(tmpdir(), 'weir-container-'))
    const env = {
      WEIR: BINARY, WEIR_SERVER_BIND: '0.0.0.0', WEIR_DURABILITY_DIR: path.join(folder, 'data'),
      WEIR_ADMIN_PROBE_BIND: '0.0.0.0:9100',
      JWT_SECRET: 'a secret that is made anew for each installation', WEIR_ADMIN_TOKEN: 'and so is the token of its operators',
    }
    const { text } = run('unshare', ['-n', 'bash', '--norc', '-c', `cd ${folder}; ${SCRIPT}`], env)
    rmSync(folder, { recursive: true })
    const admin = '4000/health 200\n4000/ready 200\n4000/metrics 401\n'
    const probes = '9100/health 200\n9100/ready 200\n9100/metrics 200\n9100/mcp/stats 404\n'
    assert.equal(text, `${admin}${probes}sse 401\nhealth check 0\nend 0\n`)
  })
})
