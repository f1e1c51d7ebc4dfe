// Every official client there is, by its name.

import * as v1 from './v1.js'
import * as v2 from './v2.js'

/** Those that negotiate 2026-07-28, where the server knows it. */
const MODERN = ['auto', 'pinned', 'stdio']

/** `{name, connect, modern}`: `connect(weir)` answers a connected client as v1.js says; `modern` ones have no session. */
export const CLIENTS = [
  ...[...v1.V1, 'stdio'].map(transport => ({ name: `SDK v1 over ${transport}`, connect: weir => v1.connect(weir, transport), modern: false })),
  ...v2.V2.map(way => ({ name: `SDK v2 ${way}`, connect: weir => v2.connect(weir, way), modern: MODERN.includes(way) })),
]
