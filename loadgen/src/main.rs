//! Load generator: WebSocket, Phoenix and SSE users on code that shares nothing with the server.

fn main() {}
