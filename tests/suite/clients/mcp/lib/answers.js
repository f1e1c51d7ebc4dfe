// What every client of these tests can do and answers when it is asked.

/** Declared by every client. */
export const CAPABILITIES = { roots: { listChanged: true }, sampling: {}, elicitation: { form: {}, url: {} } }

/** The result of sampling/createMessage. */
export const SAMPLED = {
  role: 'assistant', model: 'test-model', stopReason: 'endTurn', content: { type: 'text', text: 'as the model says' },
}

/** The result of elicitation/create. */
export const ELICITED = { action: 'accept', content: { name: 'Alice', username: 'alice', email: 'alice@example.org' } }

/** The result of roots/list. */
export const ROOTS = { roots: [{ uri: 'file:///weir/suite', name: 'suite' }] }
