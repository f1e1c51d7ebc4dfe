// Who is believed when it says for whom it speaks: proxies that the configuration names, by the PROXY protocol,
// `Forwarded` or `X-Forwarded-For`. 127.0.0.1 is one here, and so are HAProxy and nginx, where they are installed.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { event, source } from '../lib/events.js'
import { get } from '../lib/http.js'
import { plain, refusal } from '../lib/plain.js'
import { responses, Tcp } from '../lib/tcp.js'
import { Weir } from '../lib/weir.js'

const CONFIG = '[security]\nexempt_loopback = false\ntrusted_proxies = ["127.0.0.1", "10.0.0.0/8"]\n' +
  'max_connections_per_ip = 2\nhandshakes_per_second = 0\n'
const REQUEST = 'GET /mcp/none HTTP/1.1\r\nHost: localhost\r\n\r\n'

let weir
before(async () => { weir = await Weir.start({ config: CONFIG, shards: 1 }) })
after(() => weir.close())

/** What is answered to `bytes` from `localAddress`: `{tcp, status, json}`. */
async function ask(bytes, localAddress = '127.0.0.1') {
  const tcp = await Tcp.open(weir, 'sse', { localAddress })
  for (const part of [bytes].flat()) {
    tcp.write(part)
    await new Promise(setImmediate)
  }
  await Promise.race([tcp.end(), tcp.until('}').catch(() => {})])
  const [response] = responses(tcp.text)
  return { tcp, status: response?.status, json: response && JSON.parse(response.body) }
}

/** The header of version 2 for a client with this IPv4 address. */
function binary(client) {
  const addresses = Buffer.from([...client.split('.').map(Number), 192, 0, 2, 1, 0, 1, 0, 80])
  return Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'), Buffer.from([0x21, 0x11, 0, addresses.length]), addresses])
}

describe('the PROXY protocol', () => {
  const line = client => `PROXY TCP4 ${client} 192.0.2.1 1000 80\r\n`

  for (const [version, header] of [['1', line], ['2', binary]]) {
    it(`in version ${version} names the client that the limit counts`, async () => {
      const client = `192.0.2.1${version}`
      const open = [await ask([header(client), REQUEST]), await ask([header(client), REQUEST])]
      assert.deepEqual(open.map(({ status }) => status), [404, 404])
      const third = await ask([header(client), REQUEST])
      assert.deepEqual([third.status, third.json.reason], [503, 'too_many_connections_from_ip'])
      const other = await ask([header(`192.0.2.2${version}`), REQUEST])
      assert.equal(other.status, 404)
      for (const { tcp } of [...open, other]) tcp.destroy()
    })
  }

  it('may come in pieces, and the request with its end', async () => {
    const bytes = Buffer.concat([binary('192.0.2.33'), Buffer.from(REQUEST)])
    const { tcp, status } = await ask(Array.from(bytes, byte => Buffer.from([byte])))
    assert.equal(status, 404)
    tcp.destroy()
  })

  it('is not needed, and does not come from anybody else', async () => {
    const without = await ask(REQUEST)
    assert.equal(without.status, 404)
    without.tcp.destroy()
    const stranger = await ask([line('192.0.2.44'), REQUEST], '127.0.0.2')
    assert.equal(stranger.status, 505, 'a request of no version that there is')
  })

  it('that is broken ends the connection', async () => {
    const { tcp, status } = await ask(['PROXY TCP4 nobody\r\n', REQUEST])
    assert.equal(status, undefined)
    await tcp.end()
  })

  it('carries any protocol behind it', async () => {
    const tcp = await Tcp.open(weir)
    tcp.write(line('192.0.2.55'))
    tcp.write('GET /mcp/sse?client_id=behind HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await tcp.until('event: connected')
    tcp.destroy()
  })
})

describe('headers of proxies', () => {
  const asks = lines => ask(`GET /mcp/none HTTP/1.1\r\nHost: localhost\r\n${lines}\r\n\r\n`)

  it('name the client of each stream', async () => {
    for (const [name, header] of [
      ['list', client => ({ 'X-Forwarded-For': `203.0.113.66, ${client}, 10.0.0.7` })],
      ['forwarded', client => ({ Forwarded: `for=203.0.113.66, for="${client}:4711";proto=https, for=10.0.0.7` })],
    ]) {
      const client = name === 'list' ? '203.0.113.1' : '203.0.113.2'
      const es = [1, 2].map(n => source(weir.url(`/mcp/sse?client_id=${name}${n}`), header(client)))
      for (const one of es) await event(one, 'connected')
      const path = `/mcp/ws?client_id=${name}3`
      assert.equal(await refusal(weir, path, { protocols: ['mcp'], headers: header(client) }), 503)
      const other = await plain(weir, path, { protocols: ['mcp'], headers: header('203.0.113.9') })
      other.terminate()
      for (const one of es) one.close()
    }
  })

  it('count a client only while its request is served', async () => {
    const kept = []
    for (let n = 0; n < 5; n++) kept.push(await asks('X-Forwarded-For: 203.0.113.3'))
    assert.deepEqual(kept.map(({ status }) => status), [404, 404, 404, 404, 404])
    for (const { tcp } of kept) tcp.destroy()
  })

  it('that contradict each other are refused', async () => {
    const { status, json } = await asks('X-Forwarded-For: 203.0.113.4\r\nForwarded: for=203.0.113.5')
    assert.deepEqual([status, json.reason], [400, 'malformed'])
    const agreed = await asks('X-Forwarded-For: 203.0.113.4\r\nForwarded: for=203.0.113.4')
    assert.equal(agreed.status, 404)
    agreed.tcp.destroy()
  })

  it('say whether the client came over TLS, and then its page must have', async () => {
    for (const [lines, scheme, expected] of [
      ['', 'http', 404],
      ['X-Forwarded-Proto: https\r\n', 'http', 403],
      ['X-Forwarded-Proto: https\r\n', 'https', 404],
      ['X-Forwarded-Proto: http\r\n', 'http', 404],
      ['Forwarded: for=203.0.113.8;proto=https\r\n', 'http', 403],
    ]) {
      const { tcp, status } = await ask(`GET /mcp/none HTTP/1.1\r\nHost: localhost\r\nOrigin: ${scheme}://localhost\r\n${lines}\r\n`)
      assert.equal(status, expected, `${lines} ${scheme}`)
      tcp.destroy()
    }
    const lines = 'Host: localhost\r\nOrigin: http://localhost\r\nX-Forwarded-Proto: https\r\n'
    const stranger = await ask(`GET /mcp/none HTTP/1.1\r\n${lines}\r\n`, '127.0.0.4')
    assert.equal(stranger.status, 404, 'nobody else is believed')
    stranger.tcp.destroy()
  })

  it('of anybody else do not count', async () => {
    const open = []
    for (let n = 0; n < 2; n++) {
      const request = `GET /mcp/none HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.${n + 20}\r\n\r\n`
      open.push(await ask(request, '127.0.0.3'))
    }
    assert.equal((await ask(REQUEST, '127.0.0.3')).status, 503)
    for (const { tcp } of open) tcp.destroy()
  })
})

/** A proxy's process on a free port with a configuration of `text(port)`; it ends with the test. */
async function proxy(command, text) {
  const folder = mkdtempSync(join(tmpdir(), 'weir-proxy-'))
  const port = await new Promise(resolve => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
  const file = join(folder, 'proxy.conf')
  writeFileSync(file, text(port, folder))
  const child = spawn(command[0], [...command.slice(1), file], { stdio: 'ignore' })
  const up = async () => new Promise(resolve => {
    const probe = net.connect(port, '127.0.0.1')
    probe.on('connect', () => { probe.destroy(); resolve(true) })
    probe.on('error', () => resolve(false))
  })
  while (!(await up())) {
    assert.equal(child.exitCode, null, `${command[0]} ended`)
  }
  return { port, close: () => { child.kill(); rmSync(folder, { recursive: true, force: true }) } }
}

const installed = name => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0

/** Clients from `addresses` ask through the proxy at `port` for streams that stay; answers the statuses. */
async function streams(port, addresses) {
  const open = []
  for (const [n, localAddress] of addresses.entries()) {
    const tcp = await Tcp.open({ ports: { proxy: port } }, 'proxy', { localAddress })
    tcp.write(`GET /mcp/sse?client_id=real${port}${n} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    await tcp.until('\r\n\r\n')
    open.push(tcp)
  }
  const statuses = open.map(tcp => Number(tcp.text.split(' ')[1]))
  for (const tcp of open) tcp.destroy()
  return statuses
}

const SIX = ['127.0.1.1', '127.0.1.1', '127.0.1.1', '127.0.1.2', '127.0.1.2', '127.0.1.2']
const EXPECTED = [200, 200, 503, 200, 200, 503]

describe('real proxies', () => {
  for (const [version, option] of [['1', 'send-proxy'], ['2', 'send-proxy-v2']]) {
    it(`HAProxy with the PROXY protocol ${version}`, { skip: !installed('haproxy') && 'HAProxy is not installed' }, async () => {
      const { port, close } = await proxy(['haproxy', '-db', '-f'], port => `
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen weir
  bind 127.0.0.1:${port}
  server weir 127.0.0.1:${weir.ports.sse} ${option}
`)
      assert.deepEqual(await streams(port, SIX), EXPECTED)
      close()
      await idle()
    })
  }

  it('nginx with X-Forwarded-For', { skip: !installed('nginx') && 'nginx is not installed' }, async () => {
    const { port, close } = await proxy(['nginx', '-p', tmpdir(), '-e', '/dev/null', '-c'], (port, folder) => `
daemon off; master_process off; pid ${folder}/pid; error_log /dev/null;
events {}
http {
  access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
  uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${weir.ports.sse}; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
`)
    assert.deepEqual(await streams(port, SIX), EXPECTED)
    close()
    await idle()
  })
})

/** Nothing is counted any more: what one test opened does not burden the next. */
async function idle() {
  while ((await get(weir.url('/mcp/stats', 'admin'))).json.addressed > 0) await new Promise(setImmediate)
}
