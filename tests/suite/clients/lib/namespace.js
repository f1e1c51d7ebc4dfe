// A network namespace beside this one, with one link between them on which nft cuts what one port carries.

import { execFileSync } from 'node:child_process'

const PREFIX = 'weir-'

/** Namespaces that a test began and did not close: they end with its process. */
const open = new Set()
process.on('exit', () => { for (const namespace of open) namespace.close() })

/** Which packets a cut drops: those from clients, those to them, or both. */
export const CUTS = { in: ['in'], out: ['out'], both: ['in', 'out'] }

export class Namespace {
  /** Makes one; an error says why none can be had here. */
  constructor() {
    this.name = `${PREFIX}${process.pid}`
    // RFC 2544, section C.2.2: addresses that are nobody's.
    const net = `198.18.${process.pid >> 6 & 255}`
    const host = (process.pid & 63) * 4
    const outside = `${net}.${host + 1}`
    this.address = `${net}.${host + 2}`
    run('ip', 'netns', 'add', this.name)
    open.add(this)
    const link = `weir${process.pid}`
    run('ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.name)
    run('ip', 'address', 'add', `${outside}/30`, 'dev', link)
    run('ip', 'link', 'set', link, 'up')
    this.#run('ip', 'address', 'add', `${this.address}/30`, 'dev', 'eth0')
    this.#run('ip', 'link', 'set', 'eth0', 'up')
    this.#run('ip', 'link', 'set', 'lo', 'up')
    this.#nft('add table inet cut',
      'add chain inet cut in { type filter hook input priority 0; }',
      'add chain inet cut out { type filter hook output priority 0; }')
  }

  /** The command that runs another one inside. */
  get command() {
    return ['ip', 'netns', 'exec', this.name]
  }

  /** From now on packets of this port are dropped, without a word to either side. */
  cut(port, ways = CUTS.both) {
    this.#nft(...ways.map(way => `add rule inet cut ${way} tcp ${way === 'in' ? 'dport' : 'sport'} ${port} drop`))
  }

  /** Nothing is dropped any more. */
  mend() {
    this.#nft(...CUTS.both.map(way => `flush chain inet cut ${way}`))
  }

  /** Takes the namespace away, and with it the link. */
  close() {
    open.delete(this)
    run('ip', 'netns', 'delete', this.name)
  }

  #run(...command) {
    run(...this.command, ...command)
  }

  /** All of it at once. */
  #nft(...lines) {
    this.#run('nft', lines.join('\n'))
  }
}

/** A namespace, or why there can be none: `{namespace}` or `{reason}`. */
export function namespace() {
  try {
    return { namespace: new Namespace() }
  } catch (error) {
    for (const half of open) half.close()
    const said = String(error.stderr ?? '').trim() || error.message
    return { reason: `no network namespace with nft can be had here (it takes root and nftables): ${said}` }
  }
}

function run(command, ...args) {
  execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
}
