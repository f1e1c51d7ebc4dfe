// Whole lists, page by page.

import assert from 'node:assert/strict'

/** More pages than any list of these tests has. */
const PAGES_MAX = 100

/** Every item of the client's `method` (`listTools` and the like), whose pages keep them under `key`. */
export async function all(client, method, key) {
  const items = []
  let cursor
  for (let page = 0; page < PAGES_MAX; page++) {
    const result = await client[method](cursor === undefined ? undefined : { cursor })
    items.push(...result[key])
    cursor = result.nextCursor
    if (cursor === undefined) return items
  }
  assert.fail(`${method} did not end after ${PAGES_MAX} pages`)
}

/** The names in tools/list. */
export async function tools(client) {
  return (await all(client, 'listTools', 'tools')).map(({ name }) => name)
}

/** The names in prompts/list. */
export async function prompts(client) {
  return (await all(client, 'listPrompts', 'prompts')).map(({ name }) => name)
}

/** The URIs in resources/list. */
export async function resources(client) {
  return (await all(client, 'listResources', 'resources')).map(({ uri }) => uri)
}

/** The text of a result's first content. */
export function text(result) {
  return result.content[0].text
}
