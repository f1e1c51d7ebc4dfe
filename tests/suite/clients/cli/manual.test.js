// Help, man pages and completions: made from the commands, used by the programs they are for.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { run } from '../lib/command.js'
import { BINARY } from '../lib/weir.js'

const has = program => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

describe('the commands', () => {
  let folder
  before(() => { folder = mkdtempSync(join(tmpdir(), 'weir-manual-')) })
  after(() => rmSync(folder, { recursive: true }))

  it('each explain themselves', async () => {
    const { stdout } = await run(['--help'])
    const names = [...stdout.matchAll(/^ {2}([a-z-]+) {2,}\S/gm)].map(([, name]) => name).filter(name => name !== 'help')
    assert.ok(names.length > 25 && names.includes('top') && names.includes('dlq'), names.join(' '))
    for (const name of names) {
      const help = await run([name, '--help'])
      assert.ok(help.code === 0 && help.stdout.includes(`Usage: weir ${name}`), name)
    }
  })

  it('have exit codes for wrong words', async () => {
    for (const words of [['no-such-command'], ['stats', '--jsno'], ['dlq'], ['completions', 'tcsh'], ['man', 'nothing']]) {
      assert.equal((await run(words)).code, 2, words.join(' '))
    }
    assert.equal((await run(['stats', '--url', 'ftp://x'])).code, 2)
    assert.equal((await run(['stats', '--url', 'http://127.0.0.1:1'])).code, 1)
  })

  it('colour nothing but terminals, and those unless NO_COLOR is set', { skip: !has('script') && 'script (util-linux) is missing' }, () => {
    // `script` runs a command on a terminal of its own.
    const shown = env => {
      const options = { env: { PATH: process.env.PATH, TERM: 'xterm', ...env }, encoding: 'utf8' }
      return execFileSync('script', ['-qec', `${BINARY} doctor --all || true`, '/dev/null'], options)
    }
    assert.match(shown({}), /\x1b\[/)
    assert.doesNotMatch(shown({ NO_COLOR: '1' }), /\x1b\[/)
    assert.doesNotMatch(execFileSync('sh', ['-c', `${BINARY} doctor --all || true`], { encoding: 'utf8' }), /\x1b\[/)
  })

  it('have man pages that man reads', { skip: !has('man') && 'man is missing' }, async () => {
    const { code } = await run(['man', '--dir', folder])
    assert.equal(code, 0)
    const pages = readdirSync(folder).filter(name => name.endsWith('.1'))
    assert.ok(pages.includes('weir.1') && pages.includes('weir-dlq-list.1'), pages.join(' '))
    for (const page of pages) {
      const env = { ...process.env, MANWIDTH: '80', LC_ALL: 'C.UTF-8' }
      const shown = spawnSync('man', ['--warnings=w', '-l', join(folder, page)], { env, encoding: 'utf8' })
      assert.deepEqual([shown.status, shown.stderr], [0, ''], page)
      assert.match(shown.stdout, /^SYNOPSIS$/m, page)
    }
    assert.match((await run(['man', 'dlq', 'list'])).stdout, /weir-dlq-list/)
    assert.equal((await run(['man', '--dir', join(folder, 'nothing')])).code, 1)
  })

  it('are completed by bash', async () => {
    const file = join(folder, 'completions.bash')
    writeFileSync(file, (await run(['completions', 'bash'])).stdout)
    /** What bash offers behind these words. */
    const offered = (...words) => {
      const script = `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=\${#COMP_LINE}
        entry=$(complete -p weir); entry=\${entry##*-F }; entry=\${entry%% *}
        "$entry" weir "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"; printf '%s\\n' "\${COMPREPLY[@]}"`
      const env = { PATH: `${dirname(BINARY)}:${process.env.PATH}` }
      return execFileSync('bash', ['--norc', '-c', script, file, ...words], { env, encoding: 'utf8' }).trim().split('\n')
    }
    assert.deepEqual(offered('weir', 'bl'), ['blacklist'])
    assert.deepEqual(offered('weir', 'dlq', 're'), ['redrive'])
    assert.ok(offered('weir', 'stats', '--').includes('--json'))
    assert.deepEqual(offered('weir', 'clients', '--sort', 'er'), ['errors'])
  })

  for (const [shell, check] of [['zsh', ['-n']], ['fish', ['--no-execute']]]) {
    it(`are completed by ${shell}`, { skip: !has(shell) && `${shell} is missing` }, async () => {
      const file = join(folder, `completions.${shell}`)
      writeFileSync(file, (await run(['completions', shell])).stdout)
      assert.equal(spawnSync(shell, [...check, file]).status, 0)
    })
  }
})
