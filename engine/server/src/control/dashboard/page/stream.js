// A stream of server-sent events over fetch, which can say who asks (EventSource cannot), and comes back by itself.

import { Refused, ask } from './access.js'

/** Pauses between tries, milliseconds. */
const PAUSE = { first: 400, most: 5_000 }

/** An HTTP stream that says nothing for so long is dead, milliseconds; the gateway comments every 15 s. */
const SILENCE = 20_000

/** Follows `path` for as long as the page is open. */
export class Stream {
  #path
  #told
  #wake = () => {}
  #current = null
  #patience = SILENCE

  /** `told(event, data)` hears events, and `connecting`, `open`, and `lost` with the milliseconds until the next try. */
  constructor(path, told) {
    this.#path = path
    this.#told = told
  }

  /** Runs for ever. */
  async run() {
    for (let pause = PAUSE.first; ; pause = Math.min(pause * 1.6, PAUSE.most)) {
      this.#told('connecting')
      try {
        await this.#follow(() => { pause = PAUSE.first })
      } catch (error) {
        if (error instanceof Refused && error.status === 404) return this.#told('gone')
      }
      this.#told('lost', pause)
      await new Promise(resolve => {
        this.#wake = resolve
        setTimeout(resolve, pause)
      })
    }
  }

  /** Does not wait for the next try. */
  again() {
    this.#current?.abort()
    this.#wake()
  }

  /** From now on the stream is dead that says nothing for so many milliseconds. */
  expect(interval) {
    this.#patience = Math.min(SILENCE, 3 * interval + 2_000)
  }

  async #follow(opened) {
    const current = new AbortController()
    this.#current = current
    let timer
    const alive = () => {
      clearTimeout(timer)
      timer = setTimeout(() => current.abort(), this.#patience)
    }
    try {
      alive()
      const answer = await ask(this.#path, { signal: current.signal, headers: { accept: 'text/event-stream' } })
      this.#told('open')
      opened()
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
      for (let text = ''; ;) {
        const { value, done } = await reader.read()
        if (done) return
        alive()
        const blocks = (text + value).split('\n\n')
        text = blocks.pop()
        for (const block of blocks) this.#event(block)
      }
    } finally {
      clearTimeout(timer)
      current.abort()
    }
  }

  #event(block) {
    const field = name => block.split('\n').filter(line => line.startsWith(`${name}: `)).map(line => line.slice(name.length + 2)).join('\n')
    const data = field('data')
    if (data) this.#told(field('event') || 'message', JSON.parse(data))
  }
}
