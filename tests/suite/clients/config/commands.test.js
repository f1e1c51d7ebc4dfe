// What operators ask of a configuration before they start with it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, describe, it } from 'node:test'

import { BINARY, Weir } from '../lib/weir.js'

const folder = mkdtempSync(path(tmpdir(), 'weir-config-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Runs a command of `weir`; answers `{code, out, err}`. */
function run(words, env = {}) {
  return new Promise(resolve => {
    execFile(BINARY, words, { env, maxBuffer: 1 << 24 }, (error, out, err) => resolve({ code: error?.code ?? 0, out, err }))
  })
}

/** A file with this text. */
function file(text) {
  const name = path(folder, 'weir.toml')
  writeFileSync(name, text)
  return name
}

describe('weir check-config', () => {
  it('says all that is wrong, for people and for programs', async () => {
    const wrong = file('[websocket]\nping_intervall = "3s"\n[outbox]\nmax_age = 5\n')
    const { code, err } = await run(['check-config', '-c', wrong])
    assert.equal(code, 2)
    assert.equal(err.trim().split('\n').length, 2)
    const told = await run(['check-config', '--json', '-c', wrong], { MCP_WS_PORT: 'many' })
    assert.equal(told.code, 2)
    const { fine, problems } = JSON.parse(told.out)
    assert.equal(fine, false)
    assert.deepEqual(problems.map(({ line, variable, key }) => [line ?? variable, key]), [
      [2, 'websocket.ping_intervall'], [4, 'outbox.max_age'], ['MCP_WS_PORT', 'server.ws_port'],
    ])
    assert.equal(problems[0].nearest, 'websocket.ping_interval')
  })

  it('names keys together that contradict each other', async () => {
    const { code, out } = await run(['check-config', '--json', '-c', file('[server]\nws_port = 4001\n')])
    assert.equal(code, 2)
    assert.match(JSON.parse(out).problems[0].message, /server\.sse_port and server\.ws_port are both 4001/)
  })

  it('takes what weir default-config prints, and the variables of old', async () => {
    const { out } = await run(['default-config'])
    const env = {
      MCP_POOL_SIZE: '9', MCP_OVERFLOW: '1', MCP_SSE_PORT: '1', MCP_WS_PORT: '2', MCP_SSE_MAX_CONNECTIONS: '5', MCP_RATE_LIMIT: '7',
      MCP_WS_MAX_CONNECTIONS: '5', MCP_WS_MAX_FRAME_SIZE: '4096', MCP_RATE_LIMIT_PER_CLIENT: '9', MCP_CIRCUIT_BREAKER_THRESHOLD: '0.4',
      MCP_CIRCUIT_BREAKER_TIMEOUT: '10s', JWT_SECRET: 'a secret of thirty-two bytes 012', GATEWAY_DEBUG: 'true',
    }
    const checked = await run(['check-config', '--json', '-c', file(out)], env)
    assert.deepEqual([checked.code, JSON.parse(checked.out)], [0, { fine: true, problems: [], warnings: [] }])
  })

  it('answers settings of others with the reason why they do nothing', async () => {
    const { code, out } = await run(['check-config', '-c', file('[http_sse]\nchunk_size = 1\n')], { PHX_HOST: 'a', ERL_FLAGS: 'b' })
    assert.equal(code, 0)
    for (const name of ['weir.toml:2: http_sse.chunk_size', 'variable PHX_HOST', 'variable ERL_FLAGS']) {
      assert.match(out, new RegExp(`${name.replace('.', '\\.')} has no effect, because `))
    }
  })
})

describe('weir serve', () => {
  it('says in its log what has no effect, and serves', async () => {
    const weir = await Weir.start({ config: '[database]\nurl = "postgres://localhost"\n' })
    assert.match(weir.output, /database has no effect, because there is no database/)
    await weir.close()
  })
})

describe('weir config-doc', () => {
  it('explains a key, a section, or all', async () => {
    const { out } = await run(['config-doc', 'http_sse.retry'])
    assert.match(out, /^### http_sse\.retry\n\n {4}default {3}"1s"\n/)
    assert.match((await run(['config-doc'])).out, /### server\.bind/)
    const wrong = await run(['config-doc', 'http_sse.retri'])
    assert.deepEqual([wrong.code, wrong.err], [2, 'weir: there is no http_sse.retri; did you mean http_sse.retry?\n'])
  })

  it('is a JSON Schema for editors', async () => {
    const { code, out } = await run(['config-doc', '--json-schema'])
    const schema = JSON.parse(out)
    assert.equal(code, 0)
    const { max_connections: max } = schema.properties.websocket.properties
    assert.deepEqual([max.type, max.minimum, max.default], ['integer', 1, 10000])
    assert.equal(schema.properties.server.additionalProperties, false)
  })
})
