// Clients of the official SDKs, old and new, against servers of the official SDKs, old and new, through the gateway.

import { after, afterEach, before, beforeEach, describe, it } from 'node:test'

import { Weir } from '../lib/weir.js'
import { EXERCISES, LISTENING_EXERCISES, SESSION_EXERCISES } from './lib/exercises.js'
import { command, Fixture } from './lib/fixture.js'
import * as v1 from './lib/v1.js'
import * as v2 from './lib/v2.js'

const CLIENTS = [
  ...v1.V1.map(transport => ({ name: `SDK v1 over ${transport}`, connect: weir => v1.connect(weir, transport) })),
  ...v2.V2.map(way => ({ name: `SDK v2 ${way}`, connect: weir => v2.connect(weir, way), modern: ['auto', 'pinned'].includes(way) })),
]

for (const era of ['legacy', 'modern']) {
  for (const transport of ['http', 'stdio']) {
    describe(`a ${era} server over ${transport}`, () => {
      let fixture, weir
      before(async () => {
        if (transport === 'http') fixture = await Fixture.start(era)
        const where = fixture ? `url = "${fixture.url}"` : `command = ${JSON.stringify(command(era))}`
        weir = await Weir.start({ config: `[[upstream]]\nname = "fixture"\n${where}\n` })
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
