// Dead letters, refusals, what waits, the blacklist, tokens that are withdrawn: by commands, for people and programs.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { disconnect, join, phoenix } from '../lib/channel.js'
import { run } from '../lib/command.js'
import { get, send } from '../lib/http.js'
import { stream } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

/** Retries come fast, and a message is a dead letter after three attempts. */
const FAST = '[delivery]\nack_timeout = "50ms"\nretry_max = "100ms"\nattempts_max = 3\n'

const isGap = ({ event }) => event === 'gap'

/** `ask(...)` runs a command, `json(...)` the same with --json, which must be done. */
function commands(weir) {
  const ask = (...words) => run([...words, '--url', weir.url('', 'admin')])
  const json = async (...words) => {
    const { code, stdout, stderr } = await ask(...words, '--json')
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout)
  }
  return { ask, json }
}

describe('weir dlq', () => {
  let weir, ask, json, socket, events
  before(async () => {
    weir = await Weir.start({ config: FAST });
    ({ ask, json } = commands(weir))
    socket = phoenix(weir, { client_id: 'silent' });
    ({ events } = await join(socket, 'mcp:gateway', { ack: true }))
  })
  after(async () => { await disconnect(socket); await weir.close() })

  /** A message that becomes a dead letter: its id. */
  async function die(text) {
    await send(weir, 'silent', { type: 'chat', data: text })
    const { payload } = await events.take('the gap', isGap)
    return `${payload.epoch}-${payload.from}`
  }

  it('lists, shows, sends again and forgets', async () => {
    assert.match((await ask('dlq', 'list')).stdout, /^there are no dead letters$/m)
    const id = await die('the letter')
    const { letters } = await json('dlq', 'list', '--client', 'silent')
    assert.deepEqual(letters.map(({ id }) => id), [id])
    assert.match((await ask('dlq', 'list', '--limit', '5')).stdout, new RegExp(`^${id} +silent +dead +3 `, 'm'))
    assert.equal((await json('dlq', 'show', id)).message.data, 'the letter')
    assert.match((await ask('dlq', 'show', id)).stdout, /"data":"the letter"/)
    assert.equal((await json('dlq', 'redrive', id)).state, 'redriven')
    while ((await json('dlq', 'show', id)).state !== 'dead'); // it is not acknowledged this time, either
    assert.deepEqual(await json('dlq', 'purge', '--client', 'silent'), { purged: 1 })
    const gone = await ask('dlq', 'show', id)
    assert.ok(gone.code === 1 && /404/.test(gone.stderr), gone.stderr)
  })

  it('takes one, those of a client, or all; nothing is not enough', async () => {
    const id = await die('another')
    assert.match((await ask('dlq', 'redrive', '--all')).stdout, /^1 redriven$/m)
    while ((await json('dlq', 'show', id)).state !== 'dead');
    assert.match((await ask('dlq', 'purge', '--all')).stdout, /^1 purged$/m)
    assert.equal((await ask('dlq', 'purge')).code, 2)
    assert.equal((await ask('dlq', 'purge', 'x-1', '--all')).code, 2)
  })
})

describe('what is wrong with a client', () => {
  let weir, ask, json, sse
  before(async () => {
    weir = await Weir.start({ config: '[rate_limiting]\nbackend.limit = 0\n' });
    ({ ask, json } = commands(weir))
    sse = await stream(weir, '/mcp/sse?client_id=ann')
    await sse.until('event: connected')
  })
  after(() => weir.close())

  it('is what it was refused', async () => {
    assert.match((await ask('errors', 'ann')).stdout, /^ann was refused nothing of late$/m)
    const socket = phoenix(weir, { client_id: 'noisy' })
    const { channel } = await join(socket, 'mcp:gateway')
    channel.push('message', { type: 'chat', data: '<script>alert(1)</script>' })
    let errors
    do ({ errors } = await json('errors', 'noisy').catch(() => ({ errors: [] }))); while (errors.length === 0)
    assert.equal(errors[0].event, 'denied')
    assert.match((await ask('errors', 'noisy')).stdout, /^when .*\n\d{4}-\S+ +[0-9a-f]{16} /)
    assert.equal((await json('clients', '--sort', 'errors')).clients[0].client_id, 'noisy')
    const unknown = await ask('errors', 'nobody')
    assert.ok(unknown.code === 1 && /404/.test(unknown.stderr), unknown.stderr)
    await disconnect(socket)
  })

  it('is what waits for it', async () => {
    assert.match((await ask('queue')).stdout, /^bytes in outboxes +0$/m)
    await send(weir, 'away', { type: 'chat', data: 'x'.repeat(1_000) })
    const { clients, outbox_bytes: bytes } = await json('queue')
    assert.deepEqual([clients[0].client_id, clients[0].queue], ['away', 1])
    assert.ok(bytes > 1_000)
    assert.match((await ask('queue')).stdout, /^away +1 /m)
  })
})

describe('weir blacklist', () => {
  it('keeps people out, also after a restart, until it is told otherwise', async () => {
    const folder = mkdtempSync(path(tmpdir(), 'weir-blacklist-'))
    const options = { flags: ['--data-dir', folder], config: '[security]\nblacklist = ["client:configured"]\n' }
    let weir = await Weir.start(options)
    let { ask, json } = commands(weir)
    const comes = async client => (await get(weir.url(`/mcp/sse?client_id=${client}`))).status
    assert.match((await ask('blacklist', 'add', 'mallory', '--for', '1h', '--reason', 'noise')).stdout, /^mallory is kept out until \d{4}-/m)
    assert.match((await ask('blacklist', 'add', 'for-good')).stdout, /^for-good is kept out$/m)
    await json('blacklist', 'add', '10.0.0.0/8')
    await json('blacklist', 'add', 'briefly', '--for', '1s')
    await json('blacklist', 'remove', 'for-good')
    assert.equal(await comes('mallory'), 403)
    weir = await weir.restart(options);
    ({ ask, json } = commands(weir))
    assert.deepEqual([await comes('mallory'), await comes('configured')], [403, 403])
    const { entries } = await json('blacklist', 'list')
    const names = entries.map(({ client, address }) => client ?? address).filter(name => name !== 'briefly')
    assert.deepEqual(names, ['10.0.0.0/8', 'configured', 'mallory'])
    assert.equal(entries.find(({ client }) => client === 'mallory').reason, 'noise')
    assert.match((await ask('blacklist', 'list')).stdout, /^client .*\n-? *.*10\.0\.0\.0\/8/)
    await json('blacklist', 'remove', 'client:mallory')
    assert.equal((await ask('blacklist', 'remove', 'mallory')).code, 1)
    assert.equal((await ask('blacklist', 'add', 'x', '--for', 'long')).code, 2)
    weir = await weir.restart(options)
    const left = await commands(weir).json('blacklist', 'list')
    assert.ok(!left.entries.some(({ client }) => client === 'mallory'))
    await weir.close()
    rmSync(folder, { recursive: true })
  })
})

describe('weir token revoke', () => {
  const secret = 'a secret of the suites: 32 bytes'
  it('has the gateway refuse a token', async () => {
    const weir = await Weir.start({ config: `[auth.jwt]\nsecret = "${secret}"\n[admin]\ntoken = "the token of the operators"\n` })
    const env = { WEIR_ADMIN_TOKEN: 'the token of the operators' }
    const revoke = (words, input) => run(['token', 'revoke', ...words, '--url', weir.url('', 'admin')], { env, input })
    const mint = async () => (await run(['token', 'mint', '--sub', 'u1'], { env: { JWT_SECRET: secret } })).stdout.trim()
    const status = async token => (await get(weir.url('/mcp/health/u1'), { headers: { authorization: `Bearer ${token}` } })).json.reason
    const [first, second] = [await mint(), await mint()]
    const { code, stdout, stderr } = await revoke([], first)
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^[0-9a-f]{32} is refused until \d{4}-/)
    assert.equal(await status(first), 'token_revoked')
    assert.notEqual(await status(second), 'token_revoked')
    const { jti } = JSON.parse(Buffer.from(second.split('.')[1], 'base64url'))
    assert.equal(JSON.parse((await revoke(['--jti', jti, '--for', '2h', '--json'])).stdout).revoked, jti)
    assert.equal(await status(second), 'token_revoked')
    assert.equal((await revoke(['--jti', jti, '--for', 'ever'])).code, 2)
    await weir.close()
  })
})
