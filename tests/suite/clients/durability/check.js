// What a run is judged by: what publishers sent and were told, what each client received, in its order.

/**
 * What publishers know.
 *
 * `attempted`: key of a message → the client it was for. `acknowledged`: client → array of `{epoch, sequence, key}`.
 * `refused`: keys that were answered with an error, which means that they had no effect. The rest is unknown: it
 * may have been taken or not, but once.
 */
export class Ledger {
  attempted = new Map()
  acknowledged = new Map()
  refused = new Set()

  /** A message leaves for `client`. */
  attempt(key, client) {
    this.attempted.set(key, client)
  }

  /** Its receipt has come. */
  acknowledge(key, { epoch, sequence }) {
    const client = this.attempted.get(key)
    if (!this.acknowledged.has(client)) this.acknowledged.set(client, [])
    this.acknowledged.get(client).push({ epoch, sequence, key })
  }
}

/**
 * Judges one client's history. Its items, in the order of arrival:
 * `{kind: 'up', epoch, sequence, recovered}` a connection begins its stream,
 * `{kind: 'gap', epoch, from, to, reason}`,
 * `{kind: 'message', epoch, sequence, key, body, again}`, `again`: flagged as a redelivery.
 *
 * On disk nothing acknowledged may be missing, and no epoch ends. In memory an epoch ends with its process, and
 * what it held may be lost, if the client is told.
 *
 * @returns {{violations: string[], counts: {first: number, firstFlagged: number, duplicates: number}}}
 */
export function check(client, history, ledger, { disk }) {
  const run = new Run(client, ledger, disk)
  for (const item of history) run[item.kind](item)
  run.end()
  return { violations: run.violations, counts: run.counts }
}

class Run {
  violations = []
  counts = { first: 0, firstFlagged: 0, duplicates: 0 }
  #epoch = null
  #bodies = new Map() // id → body
  #ids = new Map() // key → id
  #epochs = new Map() // epoch → {highest, gaps, lost}
  #published = new Map() // publisher → number of its last message

  constructor(client, ledger, disk) {
    Object.assign(this, { client, ledger, disk })
  }

  up({ epoch, sequence, recovered }) {
    const first = this.#epoch === null
    if (!this.#epochs.has(epoch)) this.#of(epoch).highest = first ? sequence : 0
    if (!first && epoch !== this.#epoch) {
      if (recovered) this.#violate(`recovered, but the epoch changed from ${this.#epoch} to ${epoch}`)
      if (this.disk) this.#violate(`the epoch changed from ${this.#epoch} to ${epoch}`)
      else this.#of(this.#epoch).lost = true
    } else if (!first && this.disk && !recovered && (this.counts.first > 0 || sequence > 0)) {
      // Who has received nothing has no cursor, and there is nothing to recover.
      this.#violate(`not recovered in epoch ${epoch} at ${sequence}`)
    }
    this.#epoch = epoch
  }

  gap({ epoch, from, to, reason }) {
    if (this.disk) this.#violate(`a gap: ${from} to ${to} of ${epoch}, ${reason}`)
    this.#of(epoch).gaps.push({ from, to })
  }

  message({ epoch, sequence, key, body, again }) {
    const id = `${epoch}-${sequence}`
    if (this.ledger.attempted.get(key) !== this.client) return this.#violate(`${id} was never sent to it: ${key}`)
    if (this.ledger.refused.has(key)) this.#violate(`${id} was refused, and yet delivered: ${key}`)
    if (this.#bodies.has(id)) {
      this.counts.duplicates++
      if (this.#bodies.get(id) !== body) this.#violate(`${id} has two bodies: ${this.#bodies.get(id)} and ${body}`)
      if (!again) this.#violate(`${id} came again and is not flagged`)
      return
    }
    this.#bodies.set(id, body)
    this.counts.first++
    if (again) this.counts.firstFlagged++
    if (this.#ids.has(key)) this.#violate(`${key} was sent once and has two ids: ${this.#ids.get(key)} and ${id}`)
    this.#ids.set(key, id)
    this.#place(epoch, sequence)
    this.#order(key)
  }

  /** A first copy comes after all others of its epoch, and right after unless a gap says so. */
  #place(epoch, sequence) {
    const state = this.#of(epoch)
    if (epoch !== this.#epoch) this.#violate(`${epoch}-${sequence} is not of the stream's epoch ${this.#epoch}`)
    if (sequence <= state.highest) return this.#violate(`${epoch}-${sequence} came after ${epoch}-${state.highest}`)
    for (let missing = state.highest + 1; missing < sequence; missing++) {
      if (!covers(state.gaps, missing)) this.#violate(`${epoch}-${missing} is missing before ${epoch}-${sequence}`)
    }
    state.highest = sequence
  }

  /** One publisher's messages to one client keep their order. */
  #order(key) {
    const [publisher, number] = key.split('-')
    const last = this.#published.get(publisher) ?? 0
    if (Number(number) <= last) this.#violate(`${key} came after ${publisher}-${last}`)
    this.#published.set(publisher, Number(number))
  }

  /** Whatever was acknowledged has come, under the id of its receipt. */
  end() {
    for (const { epoch, sequence, key } of this.ledger.acknowledged.get(this.client) ?? []) {
      const state = this.#of(epoch)
      const id = this.#ids.get(key)
      if (id === `${epoch}-${sequence}`) continue
      if (id !== undefined) this.#violate(`${key} was acknowledged as ${epoch}-${sequence} and came as ${id}`)
      else if (!state.lost && !covers(state.gaps, sequence)) this.#violate(`${epoch}-${sequence} is lost: ${key}`)
    }
  }

  #of(epoch) {
    if (!this.#epochs.has(epoch)) this.#epochs.set(epoch, { highest: 0, gaps: [], lost: false })
    return this.#epochs.get(epoch)
  }

  #violate(what) {
    this.violations.push(`${this.client}: ${what}`)
  }
}

function covers(gaps, sequence) {
  return gaps.some(({ from, to }) => from <= sequence && sequence <= to)
}
