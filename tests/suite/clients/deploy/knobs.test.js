// tuning/check, apply and revert on hosts that are made of files, and on the sysctls of a network namespace. This
// machine's own settings are left alone.

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'

import { BINARY } from '../lib/weir.js'
import { run } from './lib.js'

const CPU = 'sys/devices/system/cpu'
const QUEUES = 'sys/class/net/eth0/device/net/eth0/queues'

/** A host of 40 cores that was tuned for nothing. */
const PLAIN = {
  'proc/sys/kernel/osrelease': '6.12.3-amd64\n',
  'proc/sys/kernel/io_uring_disabled': '2\n',
  'proc/sys/fs/nr_open': '1048576\n',
  'proc/sys/net/core/somaxconn': '128\n',
  'proc/sys/net/core/netdev_max_backlog': '1000\n',
  'proc/sys/net/core/rps_sock_flow_entries': '0\n',
  'proc/sys/net/ipv4/ip_local_port_range': '32768\t60999\n',
  'proc/sys/net/ipv4/tcp_fin_timeout': '60\n',
  'proc/sys/net/ipv4/tcp_syncookies': '1\n',
  'proc/sys/net/ipv4/tcp_slow_start_after_idle': '1\n',
  'proc/self/limits': 'Max locked memory         8388608              8388608              bytes     \n'
    + 'Max open files            1024                 4096                 files     \n',
  'sys/kernel/mm/transparent_hugepage/enabled': '[always] madvise never\n',
  [`${CPU}/online`]: '0-39\n',
  [`${CPU}/cpu0/cpufreq/scaling_governor`]: 'powersave\n',
  [`${CPU}/cpu39/cpufreq/scaling_governor`]: 'performance\n',
  [`${QUEUES}/rx-0/rps_cpus`]: '00,00000000\n',
  [`${QUEUES}/rx-1/rps_cpus`]: 'ff,ffffffff\n',
  [`${QUEUES}/rx-0/rps_flow_cnt`]: '0\n',
  [`${QUEUES}/tx-0/xps_cpus`]: '00,00000001\n',
  [`${QUEUES}/tx-1/xps_cpus`]: 'ff,ffffffff\n',
  'sys/class/net/eth0/device/msi_irqs/41': '',
  'sys/class/net/eth0/device/msi_irqs/42': '',
  'proc/irq/41/smp_affinity_list': '0-39\n',
  'proc/irq/42/smp_affinity_list': '0-39\n',
}

const made = []
after(() => { for (const root of made) rmSync(root, { recursive: true }) })

/** Such a host: `tuning` runs one of the three scripts there, `read` answers a file, `all` every file. */
function host(files = PLAIN) {
  const root = mkdtempSync(path.join(tmpdir(), 'weir-host-'))
  made.push(root)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
    writeFileSync(path.join(root, name), text)
  }
  const names = () => readdirSync(root, { recursive: true }).filter(name => statSync(path.join(root, name)).isFile())
  return {
    root,
    tuning: (script, ...words) => run(`tuning/${script}`, words, { WEIR_ROOT: root }),
    read: name => readFileSync(path.join(root, name), 'utf8').trim(),
    write: (name, text) => writeFileSync(path.join(root, name), text),
    all: () => Object.fromEntries(names().map(name => [name, readFileSync(path.join(root, name), 'utf8').trim()])),
  }
}

/** The verdicts of tuning/check by knob. */
function verdicts({ text }) {
  const lines = text.split('\n').filter(line => /^\w/.test(line))
  return Object.fromEntries(lines.map(line => [line.slice(8, 44).trim(), line.slice(0, 8).trim()]))
}

/** `always` as a file of sysfs that lists what there is, or as it was written. */
const THP = 'sys/kernel/mm/transparent_hugepage/enabled'

describe('tuning/check', () => {
  it('says what holds the gateway back, with the command that mends it, and by its exit code', () => {
    const checked = host().tuning('check')
    assert.equal(checked.code, 1)
    const found = verdicts(checked)
    const mend = Object.keys(found).filter(name => found[name] === 'mend')
    assert.deepEqual(mend, [
      'kernel.io_uring_disabled', 'nofile', 'net.core.somaxconn', 'net.ipv4.ip_local_port_range',
      'net.ipv4.tcp_slow_start_after_idle', 'interrupts of network cards', 'rps_cpus', 'net.core.rps_sock_flow_entries',
      'rps_flow_cnt', 'xps_cpus', 'transparent huge pages', 'scaling governor',
    ])
    assert.deepEqual([found.kernel, found.memlock, found['net.ipv4.tcp_fin_timeout']], ['fine', 'fine', 'leave'])
    assert.equal(found['net.netfilter.nf_conntrack_max'], 'absent')
    assert.match(checked.text, /^mend +net\.core\.somaxconn +128 +>= 4096\n +sysctl -w net\.core\.somaxconn=4096$/m)
  })

  it('is content with more than is wanted, and with unlimited', () => {
    const limits = 'Max locked memory         unlimited            unlimited            bytes\n'
      + 'Max open files            1048576              1048576              files\n'
    const checked = host({
      'proc/self/limits': limits, 'proc/sys/kernel/osrelease': '7.0\n', 'proc/sys/net/core/somaxconn': '65535\n',
      'proc/sys/net/ipv4/ip_local_port_range': '1024\t65535\n',
    }).tuning('check')
    assert.equal(checked.code, 0, checked.text)
    for (const name of ['kernel', 'memlock', 'nofile', 'net.core.somaxconn', 'net.ipv4.ip_local_port_range']) {
      assert.equal(verdicts(checked)[name], 'fine', name)
    }
  })

  it('wants a kernel by its numbers, not by its letters', () => {
    const checked = release => verdicts(host({ 'proc/sys/kernel/osrelease': release }).tuning('check', 'kernel')).kernel
    assert.deepEqual(['6.1.0', '6.10-rc1', '10.0', '5.19.17', '6.0.19'].map(checked), ['fine', 'fine', 'fine', 'mend', 'mend'])
  })

  it('looks at single knobs, and knows which there are', () => {
    assert.deepEqual(Object.keys(verdicts(host().tuning('check', 'nofile', 'rps_cpus'))), ['nofile', 'rps_cpus'])
    const wrong = host().tuning('check', 'net.core.somaxcon')
    assert.ok(wrong.code === 2 && /no knob is called 'net\.core\.somaxcon'/.test(wrong.text), wrong.text)
  })

  it('says what `weir doctor` says of the same host', () => {
    const { root, tuning } = host()
    const { checks } = JSON.parse(run(BINARY, ['doctor', '--json'], { WEIR_ROOT: root }).text)
    const shell = verdicts(tuning('check'))
    const doctor = Object.fromEntries(checks.filter(({ name }) => name in shell).map(({ name, verdict }) => [name, verdict]))
    assert.deepEqual(doctor, shell)
  })

  it('judges this machine without changing it', () => {
    assert.equal(verdicts(run('tuning/check', [])).kernel, 'fine')
  })
})

describe('tuning/apply and revert', () => {
  it('set what is to be mended, and then there is nothing to mend', () => {
    const { tuning, read } = host()
    const applied = tuning('apply')
    assert.equal(applied.code, 0, applied.text)
    assert.equal(read('proc/sys/net/core/somaxconn'), '4096')
    assert.equal(read('proc/sys/net/ipv4/ip_local_port_range'), '10240 65535')
    assert.equal(read(THP), 'madvise')
    assert.equal(read(`${QUEUES}/rx-0/rps_cpus`), 'ff,ffffffff')
    assert.deepEqual([read(`${QUEUES}/tx-0/xps_cpus`), read(`${QUEUES}/tx-1/xps_cpus`)], ['00,00000001', '2'])
    assert.deepEqual([read('proc/irq/41/smp_affinity_list'), read('proc/irq/42/smp_affinity_list')], ['0', '1'])
    assert.equal(read('proc/sys/net/ipv4/tcp_fin_timeout'), '60', 'what is to be left alone is')
    assert.match(read('etc/sysctl.d/60-weir.conf'), /^net\.core\.somaxconn = 4096$/m)
    assert.match(read('etc/tmpfiles.d/60-weir.conf'), /^w \/sys\/kernel\/mm\/transparent_hugepage\/enabled - - - - madvise$/m)
    assert.equal(read('etc/security/limits.d/60-weir.conf'), '* - nofile 1048576')
    const left = Object.entries(verdicts(tuning('check'))).filter(([, verdict]) => verdict === 'mend')
    assert.deepEqual(left, [['nofile', 'mend']], 'a limit is that of the next login')
  })

  it('restore every file as it was, also after a second apply', () => {
    const { tuning, all, write } = host()
    const value = files => ({ ...files, [THP]: files[THP].replace(/.*\[(.*)\].*/, '$1'),
      'proc/sys/net/ipv4/ip_local_port_range': files['proc/sys/net/ipv4/ip_local_port_range'].replace('\t', ' ') })
    const before = value(all())
    tuning('apply')
    write('proc/sys/net/core/somaxconn', '64\n')
    assert.equal(tuning('apply').code, 0)
    const reverted = tuning('revert')
    assert.equal(reverted.code, 0, reverted.text)
    assert.deepEqual(value(all()), before)
    assert.match(tuning('revert').text, /nothing was applied/)
  })

  it('leave what somebody has set since, and say so', () => {
    const { tuning, read, write } = host()
    tuning('apply', 'net.core.somaxconn', 'scaling governor')
    write('proc/sys/net/core/somaxconn', '8192\n')
    const reverted = tuning('revert')
    assert.equal(reverted.code, 1)
    assert.match(reverted.text, /somaxconn: is 8192, which is neither what was applied \(4096\) nor what was before \(128\)/)
    assert.equal(read('proc/sys/net/core/somaxconn'), '8192')
    assert.equal(read(`${CPU}/cpu0/cpufreq/scaling_governor`), 'powersave')
  })

  it('do not touch a file of that name that somebody else made', () => {
    const { tuning, read, write, root } = host()
    mkdirSync(path.join(root, 'etc/sysctl.d'), { recursive: true })
    write('etc/sysctl.d/60-weir.conf', '# mine\n')
    const applied = tuning('apply', 'net.core.somaxconn')
    assert.ok(applied.code === 1 && /was not made by tuning\/apply/.test(applied.text), applied.text)
    tuning('revert')
    assert.equal(read('etc/sysctl.d/60-weir.conf'), '# mine')
  })

  it('change nothing on a dry run', () => {
    const { tuning, all } = host()
    const before = all()
    const dry = tuning('apply', '--dry-run')
    assert.match(dry.text, /^net\.core\.somaxconn: \/proc\/sys\/net\/core\/somaxconn: 128 -> 4096$/m)
    assert.deepEqual(all(), before)
  })

  it('change the sysctls of a network namespace, and give them back', t => {
    const { root } = host({})
    mkdirSync(path.join(root, 'proc/sys/net'), { recursive: true })
    // Only those that belong to the namespace.
    const names = 'net.ipv4.ip_local_port_range net.ipv4.tcp_slow_start_after_idle net.core.somaxconn'
    const show = 'cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/net/ipv4/tcp_slow_start_after_idle /proc/sys/net/core/somaxconn'
    const script = ['mount --bind /proc/sys/net "$WEIR_ROOT/proc/sys/net"', 'echo 256 >/proc/sys/net/core/somaxconn', show,
      `tuning/apply ${names} >/dev/null`, show, 'tuning/revert >/dev/null', show].join(' && ')
    if (run('unshare', ['-nm', 'true']).code !== 0) return t.skip('no namespaces can be had here: that takes root')
    const { code, text } = run('unshare', ['-nm', 'bash', '-c', script], { WEIR_ROOT: root })
    const plain = '32768\t60999\n1\n256\n'
    assert.equal(text, `${plain}10240\t65535\n0\n4096\n${plain}`)
    assert.ok(!existsSync(path.join(root, 'var/lib/weir/tuning.state')))
  })
})
