// weir doctor, on this host and on one made of files; its plan; and what a start says that cannot be.

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { run } from '../lib/command.js'
import { Weir } from '../lib/weir.js'

describe('weir doctor', () => {
  let root
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'weir-doctor-'))
    const files = {
      'proc/sys/kernel/osrelease': '6.18.0\n',
      'proc/sys/net/core/somaxconn': '128\n',
      'proc/sys/net/ipv4/ip_local_port_range': '1024\t65535\n',
      'proc/self/limits': 'Limit  Soft  Hard  Units\nMax open files  1024  1024  files\nMax locked memory  unlimited  unlimited  bytes\n',
      'sys/kernel/mm/transparent_hugepage/enabled': 'always [madvise] never\n',
      'sys/devices/system/cpu/online': '0\n',
    }
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true })
      writeFileSync(join(root, name), text)
    }
  })
  after(() => rmSync(root, { recursive: true }))

  it('says what is to be mended, why, and by which command', async () => {
    const { code, stdout } = await run(['doctor'], { env: { WEIR_ROOT: root } })
    assert.equal(code, 1)
    assert.match(stdout, /^mend +net\.core\.somaxconn +128 +>= 4096$/m)
    assert.match(stdout, /^ {4}sysctl -w net\.core\.somaxconn=4096$/m)
    assert.match(stdout, /^mend +nofile +1024 /m)
    assert.match(stdout, /^fine +io_uring +works +works$/m)
    assert.doesNotMatch(stdout, /tcp_fin_timeout/)
  })

  it('says the same to programs', async () => {
    const { code, stdout } = await run(['doctor', '--json'], { env: { WEIR_ROOT: root } })
    const { mend, checks } = JSON.parse(stdout)
    const verdict = name => checks.find(check => check.name === name).verdict
    assert.equal(code, 1)
    assert.equal(mend, checks.filter(check => check.verdict === 'mend').length)
    assert.deepEqual(['memlock', 'transparent huge pages', 'net.ipv4.ip_local_port_range', 'fs.nr_open'].map(verdict),
      ['fine', 'fine', 'fine', 'absent'])
    for (const check of checks.filter(({ verdict }) => verdict === 'mend')) {
      assert.ok(check.why && check.value && check.want, JSON.stringify(check))
    }
  })

  it('looks at this host', async () => {
    const { code, stdout } = await run(['doctor', '--json', '--all'])
    const { mend, checks } = JSON.parse(stdout)
    assert.equal(code, mend > 0 ? 1 : 0)
    assert.notEqual(checks.find(({ name }) => name === 'nofile').verdict, 'absent')
  })

  it('plans by the benches where no gateway runs, and by a gateway that says what it uses', async () => {
    const weir = await Weir.start()
    const admin = ['--url', weir.url('', 'admin')]
    const plan = async words => JSON.parse((await run(['doctor', '--plan', '--json', ...words])).stdout)
    const small = await plan([...admin, '--clients', '1000', '--rate', '100', '--size', '100'])
    assert.deepEqual([small.cores, small.bits_per_second, small.cost.message_cpu_from], [1, 80_000, 'bench'])
    const large = await plan([...admin, '--clients', '1000000', '--rate', '1000000'])
    assert.ok(large.cores > 5 && large.memory_bytes > 1e9 && large.descriptors > 1e5, JSON.stringify(large))
    assert.match((await run(['doctor', '--plan', ...admin])).stdout, /^cores +1 .*\nmemory /)
    assert.equal((await run(['doctor', '--clients', '5'])).code, 2, 'that is for a plan')
    assert.equal((await run(['doctor', '--plan', '--url', 'http://127.0.0.1:1'])).code, 1)
    const { process } = JSON.parse((await run(['stats', '--json', ...admin])).stdout)
    assert.ok(process.cpu_seconds >= 0 && process.resident_bytes > 1e6 && process.memory_budget > 1e6)
    await weir.close()
  })
})

describe('a start that cannot be', () => {
  it('names who holds the port: another program, or another gateway', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    const { port } = server.address()
    const ports = ['--shards', '1', '--admin-port', '0', '--ws-port', '0', '--sse-port']
    const { code, stderr } = await run(['serve', ...ports, String(port)])
    assert.equal(code, 1)
    assert.match(stderr, new RegExp(`port ${port} on 127.0.0.1 is taken by process \\S+ \\(pid ${process.pid}\\)`))
    server.close()
    const weir = await Weir.start()
    const again = await run(['serve', ...ports, String(weir.ports.sse)])
    assert.match(again.stderr, new RegExp(`is taken by process weir\\S* \\(pid ${weir.pid}\\)`))
    await weir.close()
  })
})
