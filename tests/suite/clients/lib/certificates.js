// Certificates made by the openssl command as tests need them, and trusted by this process.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'

/** Whatever the gateway is called in these tests. */
export const HERE = ['DNS:localhost', 'IP:127.0.0.1']

/** A CA with a folder of its own; `cert` is the path of its certificate, `pem` the text. */
export class Authority {
  #made = 0

  constructor(name = 'Weir test CA') {
    this.folder = mkdtempSync(join(tmpdir(), 'weir-ca-'))
    process.on('exit', () => rmSync(this.folder, { recursive: true, force: true }))
    Object.assign(this, this.#make(name, ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']))
    this.pem = readFileSync(this.cert, 'utf8')
  }

  /** `{cert, key}`, paths of PEM files, for these alternative names; the first DNS name is the common name, too. */
  issue(names = HERE, { kind = 'P-256' } = {}) {
    const [, common = 'nobody'] = /^DNS:(.*)/.exec(names[0]) ?? []
    const extensions = ['basicConstraints=critical,CA:FALSE', `subjectAltName=${names.join(',')}`]
    return this.#make(common, extensions, kind, ['-CA', this.cert, '-CAkey', this.key])
  }

  #make(common, extensions, kind = 'P-256', issuer = []) {
    const [cert, key] = ['pem', 'key'].map(end => join(this.folder, `${this.#made}.${end}`))
    this.#made += 1
    const algorithm = kind === 'RSA' ? ['rsa:2048'] : ['ec', '-pkeyopt', `ec_paramgen_curve:${kind}`]
    openssl('req', '-x509', '-newkey', ...algorithm, '-nodes', '-subj', `/CN=${common}`, '-days', '30',
      '-keyout', key, '-out', cert, ...issuer, ...extensions.flatMap(extension => ['-addext', extension]))
    return { cert, key }
  }
}

/** The output of an openssl command; it throws if the command fails. */
export function openssl(...args) {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** From now on every client of this process trusts the authority: https, fetch, WebSocket. */
export function trust(authority) {
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), authority.pem])
}
