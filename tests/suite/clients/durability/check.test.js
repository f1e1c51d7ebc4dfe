// The judge itself: a good history passes, and each fault is seen.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { check, Ledger } from './check.js'

const up = (epoch, sequence, recovered) => ({ kind: 'up', epoch, sequence, recovered })
const message = (epoch, sequence, key, again = false) => ({ kind: 'message', epoch, sequence, key, body: key, again })

/** Three messages to `c`, acknowledged as 1 to 3 of epoch `e`. */
function ledger() {
  const ledger = new Ledger()
  for (const n of [1, 2, 3]) {
    ledger.attempt(`p-${n}`, 'c')
    ledger.acknowledge(`p-${n}`, { epoch: 'e', sequence: n })
  }
  return ledger
}

function judge(history, { disk = true, change = () => {} } = {}) {
  const book = ledger()
  change(book)
  return check('c', history, book, { disk })
}

const good = [
  up('e', 0, false), message('e', 1, 'p-1'), message('e', 2, 'p-2'),
  up('e', 2, true), message('e', 2, 'p-2', true), message('e', 3, 'p-3', true),
]

describe('the judge of a durability run', () => {
  it('passes a good history and counts', () => {
    assert.deepEqual(judge(good), { violations: [], counts: { first: 3, firstFlagged: 1, duplicates: 1 } })
  })

  for (const [what, history, options] of [
    ['is lost: p-3', good.slice(0, 5)],
    ['is missing before e-3', good.filter(({ sequence, kind }) => kind === 'up' || sequence !== 2)],
    ['came again and is not flagged', [...good, message('e', 3, 'p-3')]],
    ['has two bodies', [...good, { ...message('e', 3, 'p-3', true), body: 'other' }]],
    ['two ids', [...good, message('e', 4, 'p-3')]],
    ['came after e-2', [up('e', 0, false), message('e', 2, 'p-2'), message('e', 1, 'p-1'), message('e', 3, 'p-3')]],
    ['came after p-3', [...good.slice(0, 2), message('e', 2, 'p-3'), message('e', 3, 'p-2')]],
    ['was never sent to it', [...good, message('e', 4, 'q-1')]],
    ['refused, and yet delivered', good, { change: book => book.refused.add('p-3') }],
    ['acknowledged as e-4 and came as e-3', good, { change: book => { book.acknowledged.get('c')[2].sequence = 4 } }],
    ['the epoch changed', [...good, up('f', 0, false)]],
    ['recovered, but the epoch changed', [...good, up('f', 0, true)], { disk: false }],
    ['not recovered', [...good, up('e', 3, false)]],
    ['a gap', [...good, { kind: 'gap', epoch: 'e', from: 4, to: 5, reason: 'evicted' }]],
    ["not of the stream's epoch", [...good, up('f', 0, false), message('e', 4, 'p-4')],
      { disk: false, change: book => book.attempt('p-4', 'c') }],
  ]) {
    it(`sees that something ${what}`, () => {
      const { violations } = judge(history, options)
      assert.ok(violations.some(violation => violation.includes(what)), JSON.stringify(violations))
    })
  }

  it('does not ask who has received nothing to recover', () => {
    assert.deepEqual(judge([up('e', 0, false), ...good]).violations, [])
  })

  it('lets memory lose an epoch, if the client learns of it', () => {
    const history = [...good.slice(0, 2), up('f', 0, false)]
    assert.deepEqual(judge(history, { disk: false }).violations, [])
    assert.notDeepEqual(judge(good.slice(0, 2), { disk: false }).violations, [])
  })
})
