// MCP servers that die, hang or answer garbage, beside a healthy one: its calls go on, every request gets exactly one
// answer, and nothing waits past its time-out.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { Weir } from '../lib/weir.js'
import { Client, failed, worked } from './client.js'
import { answer, RESULTS } from './protocol.js'
import { json, Server, well } from './server.js'

const CHILD = [process.execPath, new URL('child.js', import.meta.url).pathname]
/** Short, as a test wants it; the child and the garbled server are to fail as often as they like. */
const BOUNDS = ['timeout = "2s"', 'timeout_max = "2s"', 'circuit_breaker = { minimum = 1000000 }']

/** An `[[upstream]]` at a URL or by a command. */
function upstream(name, where, lines = BOUNDS) {
  const line = Array.isArray(where) ? `command = ${JSON.stringify(where)}` : `url = "${where}"`
  return ['[[upstream]]', `name = "${name}"`, line, ...lines].join('\n')
}

/** A gateway that prefixes the names of these upstreams. */
function gateway(...upstreams) {
  return Weir.start({ config: ['[mcp]', 'prefix = "always"', ...upstreams, ''].join('\n') })
}

/** Inputs that tell calls apart. */
const inputs = (name, count) => Array.from({ length: count }, (_, index) => `${name} ${index}`)

/** What is not an answer to a call, by what it is. */
const GARBAGE = {
  'a page': response => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>It works!</h1>'),
  'no JSON': response => response.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","id":'),
  'nothing': response => response.writeHead(200, { 'content-type': 'application/json' }).end(),
  'an answer to another request': response => json(response, answer({ id: 'other' }, RESULTS.work('other'))),
  'a batch of nothing': response => json(response, []),
  'an acceptance': response => response.writeHead(202).end(),
  'an internal error': response => response.writeHead(500).end('oops'),
  'less than it announced': response => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 })
    response.write('{"jsonrpc":"2.0"', () => response.destroy())
  },
  'a stream that ends without an answer': response => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(': nothing\n\ndata: {"jsonrpc":\n\n')
  },
  'no HTTP': response => response.socket.end('\0\x01\x02 nonsense\r\n\r\n'),
  'two heads': response => response.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello'),
}

describe('of three servers beside a healthy one', () => {
  const servers = {}
  let weir
  before(async () => {
    servers.healthy = await Server.start(well)
    servers.silent = await Server.start(() => {})
    servers.garbled = await Server.start((message, response) => {
      const garble = GARBAGE[message.params.arguments.input]
      if (garble) garble(response)
      else well(message, response)
    })
    const urls = Object.entries(servers).map(([name, { url }]) => upstream(name, url))
    weir = await gateway(...urls, upstream('mortal', CHILD))
  })
  after(async () => {
    await weir.close()
    for (const server of Object.values(servers)) await server.close()
  })

  it('all are listed', async () => {
    const client = await Client.open(weir)
    const { result } = await client.request('tools/list')
    const names = result.tools.map(({ name }) => name).sort()
    assert.deepEqual(names, ['garbled__work', 'healthy__work', 'mortal__work', 'silent__work'])
    await client.close()
  })

  it('one that dies takes its own calls with it and comes back', async () => {
    const client = await Client.open(weir)
    assert.equal(worked(await client.work('mortal', 'first')), 'worked on first')
    const lost = inputs('hang', 5).map(() => client.work('mortal', 'hang'))
    const last = client.work('mortal', 'die')
    const kept = inputs('kept', 20).map(input => client.work('healthy', input))
    for (const answer of await Promise.all([...lost, last])) failed(answer)
    assert.deepEqual((await Promise.all(kept)).map(worked), inputs('worked on kept', 20))
    assert.equal(worked(await client.workAgain('mortal', 'again')), 'worked on again')
    await client.close()
  })

  it('one that hangs answers nobody past the time-out', async () => {
    const client = await Client.open(weir)
    const hanging = inputs('silent', 20).map(input => client.work('silent', input))
    await servers.silent.calls.takeMany(20, 'a call')
    const kept = inputs('kept', 50).map(input => client.work('healthy', input))
    assert.deepEqual((await Promise.all(kept)).map(worked), inputs('worked on kept', 50))
    for (const answer of await Promise.all(hanging)) failed(answer)
    await client.close()
  })

  for (const what of Object.keys(GARBAGE)) {
    it(`one that answers ${what} fails that call only`, async () => {
      const client = await Client.open(weir)
      const [garbled, healthy] = await Promise.all([client.work('garbled', what), client.work('healthy', 'meanwhile')])
      failed(garbled)
      assert.equal(worked(healthy), 'worked on meanwhile')
      assert.equal(worked(await client.workAgain('garbled', 'sense')), 'worked on sense')
      await client.close()
    })
  }

  it('a child that writes garbage fails that call only', async () => {
    const client = await Client.open(weir)
    const [garbled, healthy] = await Promise.all([client.work('mortal', 'garbage'), client.work('healthy', 'meanwhile')])
    failed(garbled)
    assert.equal(worked(healthy), 'worked on meanwhile')
    assert.equal(worked(await client.workAgain('mortal', 'sense')), 'worked on sense')
    await client.close()
  })

  it('all fail at once, under many clients, and each request has one answer', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => Client.open(weir)))
    const deeds = [['mortal', 'hang'], ['mortal', 'die'], ['silent', 'hang'], ['garbled', 'no JSON'], ['garbled', 'no HTTP']]
    await Promise.all(clients.map(async client => {
      const bad = deeds.map(([upstream, input]) => client.work(upstream, input))
      const good = inputs('storm', 50).map(input => client.work('healthy', input))
      assert.deepEqual((await Promise.all(good)).map(worked), inputs('worked on storm', 50))
      for (const answer of await Promise.all(bad)) failed(answer)
    }))
    for (const client of clients) await client.close()
  })
})

describe('a server over HTTP', () => {
  /** Runs `test` with a server, a gateway before it and a client. */
  async function withServer(work, lines, test) {
    const server = await Server.start(work)
    const weir = await gateway(upstream('server', server.url, lines))
    const client = await Client.open(weir)
    await test({ server, client })
    await client.close()
    await weir.close()
    await server.close()
  }

  it('that is killed mid-call fails its calls, and works when it is back', () => {
    const held = []
    const work = (message, response) => {
      if (message.params.arguments.input.startsWith('held')) held.push(response)
      else well(message, response)
    }
    return withServer(work, BOUNDS, async ({ server, client }) => {
      const calls = inputs('held', 10).map(input => client.work('server', input))
      await server.calls.takeMany(10, 'a call')
      await server.kill()
      for (const answer of await Promise.all(calls)) failed(answer)
      failed(await client.work('server', 'nobody there'))
      await server.listen()
      assert.equal(worked(await client.workAgain('server', 'back')), 'worked on back')
    })
  })

  it('that hangs does not delay the calls it answers', () => {
    const held = []
    const work = (message, response) => {
      if (message.params.arguments.input === 'hold') held.push(() => well(message, response))
      else well(message, response)
    }
    return withServer(work, [], async ({ server, client }) => {
      const calls = inputs('hold', 10).map(() => client.work('server', 'hold'))
      await server.calls.takeMany(10, 'a call')
      assert.equal(worked(await client.work('server', 'quick')), 'worked on quick')
      for (const release of held) release()
      for (const answer of await Promise.all(calls)) assert.equal(worked(answer), 'worked on hold')
    })
  })

  it('that only fails is left alone for a while, and called again after it', () => {
    let broken = true
    const work = (message, response) => (broken ? response.writeHead(500).end() : well(message, response))
    const breaker = 'circuit_breaker = { threshold = 0.5, minimum = 5, window = "60s", timeout = "1s" }'
    return withServer(work, [breaker], async ({ server, client }) => {
      for (const input of inputs('fails', 10)) failed(await client.work('server', input))
      const tried = server.calls.items.length
      assert.ok(tried > 0 && tried < 10, `${tried} of 10 calls came through`)
      broken = false
      assert.equal(worked(await client.workAgain('server', 'whole')), 'worked on whole')
    })
  })
})

describe('lists', () => {
  it('are of those servers that answer, when others do not', async () => {
    const healthy = await Server.start(well)
    const gone = await Server.start(well)
    await gone.kill()
    const command = [process.execPath, '-e', 'process.exit(1)']
    const hung = [process.execPath, '-e', 'process.stdin.resume()']
    const weir = await gateway(
      upstream('gone', gone.url), upstream('healthy', healthy.url), upstream('crashing', command), upstream('hung', hung))
    const client = await Client.open(weir)
    const { result } = await client.request('tools/list')
    assert.deepEqual(result.tools.map(({ name }) => name), ['healthy__work'])
    assert.equal(worked(await client.work('healthy', 'still')), 'worked on still')
    for (const name of ['gone', 'crashing', 'hung']) failed(await client.work(name, 'anything'))
    await client.close()
    await weir.close()
    await healthy.close()
  })
})
