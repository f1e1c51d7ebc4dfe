//! stub
use weir_transports::mcp::Method;
pub(crate) const ABOUT: &str = "{}";
pub(crate) fn list(_: Method, _: &mut Vec<u8>) -> bool {
    false
}
