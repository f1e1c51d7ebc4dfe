// As server.js over stdio. What `work` does depends on its input: `die`, `hang`, `garbage`, or it answers.

import { createInterface } from 'node:readline'

import { answer, RESULTS } from './protocol.js'

const say = value => process.stdout.write(`${JSON.stringify(value)}\n`)

const GARBAGE = 'a line that is no JSON\n{"jsonrpc":"2.0","id":\n\n[]\n{"jsonrpc":"2.0","id":"nobody","result":{}}\n'

/** By input; any other is answered. */
const DEEDS = {
  die: () => process.kill(process.pid, 'SIGKILL'),
  hang: () => {},
  garbage: () => process.stdout.write(GARBAGE),
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line)
  const { input } = message.params?.arguments ?? {}
  if (message.method === 'tools/call') {
    const deed = DEEDS[input] ?? (() => say(answer(message, RESULTS.work(input))))
    deed()
  } else if (message.id !== undefined) {
    const result = RESULTS[message.method]
    const unknown = { jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'Method not found' } }
    say(result ? answer(message, result) : unknown)
  }
}
