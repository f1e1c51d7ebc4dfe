// weir top on a real terminal (tmux), and its figures for programs.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { after, before, describe, it } from 'node:test'

import { run } from '../lib/command.js'
import { LONG } from '../lib/inbox.js'
import { stream } from '../lib/tcp.js'
import { BINARY, Weir } from '../lib/weir.js'

const HAS_TMUX = spawnSync('tmux', ['-V']).status === 0

/** A terminal of 80 by 24 with a shell in it. */
class Terminal {
  constructor(name) {
    this.socket = `weir-${process.pid}-${name}`
    this.tmux('new-session', '-d', '-x', '80', '-y', '24', 'env', 'PS1=ready> ', 'sh', '-i')
  }

  tmux(...words) {
    const env = { PATH: process.env.PATH, TERM: 'xterm-256color', LC_ALL: 'C.UTF-8' }
    return execFileSync('tmux', ['-L', this.socket, '-f', '/dev/null', ...words], { encoding: 'utf8', env })
  }

  type(text) {
    this.tmux('send-keys', '-l', text)
  }

  enter(line) {
    this.type(line)
    this.tmux('send-keys', 'Enter')
  }

  /** What it shows, once that is as `wanted` says. */
  until(wanted) {
    const end = Date.now() + LONG
    for (;;) {
      const screen = this.tmux('capture-pane', '-p')
      if (wanted.test(screen)) return screen
      if (Date.now() > end) throw new Error(`${wanted} is not on\n${screen}`)
    }
  }

  /** Whether it is in the state that a program which draws must leave it in. */
  isRestored() {
    const state = this.tmux('display-message', '-p', '#{alternate_on} #{cursor_flag}')
    return state.trim() === '0 1'
  }

  close() {
    this.tmux('kill-server')
  }
}

describe('weir top', () => {
  let weir, sse
  before(async () => {
    weir = await Weir.start()
    sse = await stream(weir, '/mcp/sse?client_id=ann')
    await sse.until('event: connected')
  })
  after(() => { sse.destroy(); return weir.close() })

  const command = () => `${BINARY} top --interval 200ms --url ${weir.url('', 'admin')}`

  it('shows all there is on 80 by 24, and does as its keys say', { skip: !HAS_TMUX && 'tmux is missing' }, () => {
    const terminal = new Terminal('keys')
    try {
      terminal.until(/ready>/)
      terminal.enter(command())
      const screen = terminal.until(/ann +http_sse/)
      for (const part of ['weir 0.', 'admission open', 'transports', 'WebSocket', 'SSE', 'cores', 'breakers', 'websocket', 'closed',
        'signals', 'clients by queue', 'q end']) {
        assert.ok(screen.includes(part), `${part} is not on\n${screen}`)
      }
      assert.ok(!terminal.isRestored(), 'it draws on a screen of its own')
      terminal.type('s')
      terminal.until(/clients by bytes/)
      terminal.type('?')
      terminal.until(/keys and words/)
      terminal.type('?')
      terminal.type('p')
      terminal.until(/paused/)
      terminal.tmux('resize-window', '-x', '120', '-y', '40')
      terminal.until(/ann/)
      terminal.type('q')
      terminal.until(/ready> *$/m)
      assert.ok(terminal.isRestored())
      terminal.enter('echo code $?')
      terminal.until(/^code 0$/m)
    } finally {
      terminal.close()
    }
  })

  for (const signal of ['INT', 'TERM']) {
    it(`leaves the terminal as it was on SIG${signal}`, { skip: !HAS_TMUX && 'tmux is missing' }, () => {
      const terminal = new Terminal(signal)
      try {
        terminal.until(/ready>/)
        terminal.enter(command())
        terminal.until(/clients by queue/)
        const shell = terminal.tmux('display-message', '-p', '#{pane_pid}').trim()
        const top = execFileSync('ps', ['-o', 'pid=', '--ppid', shell], { encoding: 'utf8' }).trim()
        process.kill(Number(top), `SIG${signal}`)
        terminal.until(/ready> *$/m)
        assert.ok(terminal.isRestored())
        terminal.enter('echo still $((1 + 1))')
        terminal.until(/^still 2$/m)
      } finally {
        terminal.close()
      }
    })
  }

  it('says when the gateway is gone, and goes on when it is back', { skip: !HAS_TMUX && 'tmux is missing' }, async () => {
    const terminal = new Terminal('gone')
    let other = await Weir.start()
    try {
      terminal.until(/ready>/)
      terminal.enter(`${BINARY} top --interval 200ms --url ${other.url('', 'admin')}`)
      terminal.until(/clients by queue/)
      await other.end('SIGKILL')
      terminal.until(/no gateway answers/)
      other = await Weir.start({ ports: other.ports })
      terminal.until(/admission open/)
    } finally {
      terminal.close()
      await other.close()
    }
  })

  it('gives programs a line for each look', async () => {
    const words = ['top', '--json', '--count', '2', '--interval', '50ms', '--url', weir.url('', 'admin')]
    const { code, stdout } = await run(words)
    const looks = stdout.trim().split('\n').map(line => JSON.parse(line))
    assert.deepEqual([code, looks.length], [0, 2])
    assert.equal(looks[0].clients.clients[0].client_id, 'ann')
    assert.equal(looks[0].control.shards.length, 2)
  })

  it('wants a terminal', async () => {
    const { code, stderr } = await run(['top', '--url', weir.url('', 'admin')])
    assert.ok(code === 2 && /wants a terminal/.test(stderr), stderr)
  })
})
