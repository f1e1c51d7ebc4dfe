// The files of tuning/ that other programs read: each by a linter for its kind, and what must fit together does.

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'

import { BINARY } from '../lib/weir.js'
import { ROOT, run } from './lib.js'

const read = name => readFileSync(`${ROOT}${name}`, 'utf8')
const KUBERNETES = readdirSync(`${ROOT}tuning/kubernetes`).map(name => `tuning/kubernetes/${name}`)
const MANIFESTS = KUBERNETES.filter(name => !name.endsWith('kustomization.yaml'))
const YAML = [...KUBERNETES, 'tuning/container/compose.yaml']

/** Passes if the linter has nothing to say. */
function clean(program, ...args) {
  const { code, text } = run(program, args)
  assert.equal(code, 0, `${program}: ${text}`)
}

/** What `weir check-config` says of a file, or of variables. */
function checked(config, env = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), 'weir-deploy-'))
  writeFileSync(path.join(folder, 'weir.toml'), config)
  const said = run(BINARY, ['check-config', '-c', path.join(folder, 'weir.toml')], env)
  rmSync(folder, { recursive: true })
  return said
}

/** The number that follows `key` in a file. */
const number = (name, key) => Number(new RegExp(`${key}"?[ :=]+"?(\\d+)`).exec(read(name))[1])

describe('a linter has nothing to say of', () => {
  it('the scripts', () => {
    clean('shellcheck', '-x', 'tuning/check', 'tuning/apply', 'tuning/revert', 'tuning/lib/knobs.sh', 'tuning/container/secrets')
  })
  it('the Dockerfile', () => clean('hadolint', 'tuning/container/Dockerfile'))
  it('the YAML', () => {
    clean('yamllint', '--strict', '-d', '{extends: default, rules: {line-length: {max: 130}}}', ...YAML)
  })
  it('the Kubernetes resources, by the schemas of the API', () => clean('kubernetes-validate', '--strict', '--quiet', ...MANIFESTS))
  it('the compose file, by the schema of the specification', () => {
    clean('check-jsonschema', '--builtin-schema', 'vendor.compose-spec', 'tuning/container/compose.yaml')
  })
})

describe('the resources fit together', () => {
  it('all of them are applied', () => {
    for (const name of MANIFESTS) assert.match(read('tuning/kubernetes/kustomization.yaml'), new RegExp(`- ${path.basename(name)}$`, 'm'))
  })

  it('the configuration is one that the gateway takes', () => {
    const [, block] = read('tuning/kubernetes/configmap.yaml').split('weir.toml: |\n')
    const config = block.replace(/^ {4}/gm, '')
    const said = checked(config, { JWT_SECRET: 'x'.repeat(64), WEIR_ADMIN_TOKEN: 'x'.repeat(64) })
    assert.equal(said.code, 0, said.text)
  })

  it('the image sets variables that the gateway knows', () => {
    const [, settings] = /^ENV ((?:.*\\\n)*.*)$/m.exec(read('tuning/container/Dockerfile'))
    const env = Object.fromEntries(settings.replaceAll('\\\n', ' ').trim().split(/\s+/).map(setting => setting.split('=')))
    assert.deepEqual(Object.keys(env), ['WEIR_SERVER_BIND', 'WEIR_DURABILITY_DIR'])
    const known = run(BINARY, ['default-config']).text
    for (const [name, value] of Object.entries(env)) {
      const [, section, key] = name.toLowerCase().split('_')
      assert.match(known, new RegExp(`^\\[${section}\\]\n(?:[^[].*\n)*?${key} = `, 'm'), name)
      assert.equal(checked('', { [name]: value }).code, 0)
    }
  })

  it('a stop is given the time that a drain may take', () => {
    const pause = number('tuning/kubernetes/deployment.yaml', 'sleep:\\s*seconds')
    const drain = number('tuning/kubernetes/configmap.yaml', 'timeout')
    assert.ok(number('tuning/kubernetes/deployment.yaml', 'terminationGracePeriodSeconds') >= pause + drain + 5)
    assert.ok(number('tuning/container/compose.yaml', 'stop_grace_period') >= drain + 5)
  })

  it('nothing between the gateway and its clients is silent for longer than it may be', () => {
    // Pings after 30 s, comments on event streams after 15 s.
    assert.ok(number('tuning/kubernetes/ingress.yaml', 'proxy-read-timeout') > 60)
    assert.match(read('tuning/kubernetes/ingress.yaml'), /proxy-buffering: "off"/)
  })

  it('the autoscaler looks at the gateway’s own metric, at cores and at memory', () => {
    const hpa = read('tuning/kubernetes/hpa.yaml')
    for (const name of ['weir_connections', 'cpu', 'memory']) assert.match(hpa, new RegExp(`name: ${name}$`, 'm'))
  })

  it('no secret is in any of them', () => {
    for (const name of [...YAML, 'tuning/container/Dockerfile']) assert.doesNotMatch(read(name), /kind: Secret|JWT_SECRET[:=] *["'\w]/, name)
  })
})

describe('tuning/container/secrets', () => {
  it('makes keys that the gateway takes, for this user alone, and keeps them', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'weir-secrets-'))
    writeFileSync(path.join(folder, 'secrets'), read('tuning/container/secrets'), { mode: 0o755 })
    assert.equal(run(path.join(folder, 'secrets'), []).code, 0)
    const file = path.join(folder, '.env')
    const text = readFileSync(file, 'utf8')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const env = Object.fromEntries(text.trim().split('\n').map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
    assert.deepEqual(Object.keys(env), ['JWT_SECRET', 'WEIR_ADMIN_TOKEN'])
    assert.equal(checked('', env).code, 0)
    assert.equal(run(path.join(folder, 'secrets'), []).code, 0)
    assert.equal(readFileSync(file, 'utf8'), text)
    rmSync(folder, { recursive: true })
  })
})
