// A process full of clients that note what they receive.

import { answerAll, behind } from '../lib/crowd.js'
import { Client, openEventSource, openPhoenix } from '../lib/holders.js'

const clients = []

/** What the parent may ask; each answer goes back under the question's number. */
const QUESTIONS = {
  open({ names, urls }) {
    for (const [name, kind] of names) {
      const client = new Client(name)
      clients.push(client)
      if (kind.carrier === 'sse') openEventSource(client, urls)
      else openPhoenix(client, kind, urls)
    }
    return clients.length
  },
  /** When each client was first up again after `since`; those that were not are left out. */
  back({ since }) {
    return clients.map(({ ups }) => ups.find(at => at >= since)).filter(at => at !== undefined)
  },
  /** How many clients have not seen the number that `heads` names for them. */
  behind({ heads }) {
    return behind(clients, heads)
  },
  histories() {
    return clients.map(({ name, history }) => [name, history])
  },
}

answerAll(QUESTIONS)
