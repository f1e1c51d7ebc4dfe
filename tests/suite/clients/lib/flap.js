// A WebSocket that breaks as soon as it is of use.

import { frame, frames, TEXT, upgraded } from './frames.js'
import { get } from './http.js'

/** Opens the client's WebSocket, joins, and breaks it: the gateway has noticed both when this ends. */
export async function flap(weir, client) {
  const websockets = async () => (await get(weir.url('/mcp/stats'))).json.websocket
  const { errors } = await websockets()
  const tcp = await upgraded(weir, `/mcp/ws/websocket?vsn=2.0.0&client_id=${client}`)
  tcp.write(frame(TEXT, '["1","1","mcp:gateway","phx_join",{}]'))
  await tcp.reach('the reply to the join', ({ bytes }) => frames(bytes).length > 0)
  tcp.socket.resetAndDestroy()
  while ((await websockets()).errors === errors);
}
