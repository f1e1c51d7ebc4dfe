// What arrives is kept in order until somebody asks for it: tests wait for events, never for time.

/** Liveness deadline of one awaited event, milliseconds: far above what a loaded machine needs. */
export const LONG = 20_000

/** `promise`, or an error that says what did not come. */
export function deadline(promise, what, ms = LONG) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** A queue with one reader. */
export class Inbox {
  #items = []
  #waiting = null

  /** Keeps `item`, or hands it to the reader that waits. */
  put(item) {
    this.#items.push(item)
    this.#waiting?.()
  }

  /** Everything that came and was not taken yet. */
  get items() {
    return this.#items
  }

  /** Takes the first item that satisfies `wanted`; those before it stay. */
  async take(what = 'an item', wanted = () => true, ms = LONG) {
    const found = (async () => {
      for (;;) {
        const index = this.#items.findIndex(wanted)
        if (index >= 0) return this.#items.splice(index, 1)[0]
        await new Promise(resolve => { this.#waiting = resolve })
      }
    })()
    try {
      return await deadline(found, what, ms)
    } catch (error) {
      throw new Error(`${error.message}; there is ${JSON.stringify(this.#items).slice(0, 2000)}`)
    }
  }

  /** Takes `count` items, whatever they are. */
  async takeMany(count, what = 'an item', wanted = () => true, ms = LONG) {
    const taken = []
    while (taken.length < count) taken.push(await this.take(`${what} ${taken.length + 1} of ${count}`, wanted, ms))
    return taken
  }
}
