// Clients of the official SDKs, old and new, against servers of the official SDKs, old and new, through the gateway.

import { after, afterEach, before, beforeEach, describe, it } from 'node:test'

import { Weir } from '../lib/weir.js'
import { CLIENTS } from './lib/clients.js'
import { EXERCISES, LISTENING_EXERCISES, SESSION_EXERCISES } from './lib/exercises.js'
import { command, Fixture, upstream } from './lib/fixture.js'

for (const era of ['legacy', 'modern']) {
  for (const transport of ['http', 'stdio']) {
    describe(`a ${era} server over ${transport}`, () => {
      let fixture, weir
      before(async () => {
        if (transport === 'http') fixture = await Fixture.start(era)
        weir = await Weir.start({ config: upstream('fixture', fixture?.url ?? command(era)) })
      })
      after(async () => {
        await weir?.close()
        await fixture?.close()
      })

      for (const { name, connect, modern } of CLIENTS) {
        describe(name, () => {
          let client
          beforeEach(async () => { client = await connect(weir) })
          afterEach(() => client.close())

          const own = modern ? LISTENING_EXERCISES : SESSION_EXERCISES
          for (const [what, exercise] of Object.entries({ ...EXERCISES, ...own })) it(what, () => exercise(client))
        })
      }
    })
  }
}
