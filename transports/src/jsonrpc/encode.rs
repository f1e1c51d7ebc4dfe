//! Messages out, appended to what is there. JSON that is passed in goes out as it stands: it must be
//! one valid value.

use super::Id;
use crate::json::write_str;

/// The response to request `id` that went well.
pub fn result(out: &mut Vec<u8>, id: &Id<'_>, result: &[u8]) {
    begin_result(out, id);
    out.extend_from_slice(result);
    out.push(b'}');
}

/// The start of the response to request `id` that went well: the result and `}` are to follow.
pub fn begin_result(out: &mut Vec<u8>, id: &Id<'_>) {
    begin(out, Some(id));
    out.extend_from_slice(b",\"result\":");
}

/// The start of the response to request `id` that failed: the error object and `}` are to follow.
pub fn begin_error(out: &mut Vec<u8>, id: &Id<'_>) {
    begin(out, Some(id));
    out.extend_from_slice(b",\"error\":");
}

/// The response to request `id` that failed; without `id` when it could not be told which request.
pub fn error(out: &mut Vec<u8>, id: Option<&Id<'_>>, code: i32, message: &str, data: Option<&[u8]>) {
    begin(out, id);
    out.extend_from_slice(b",\"error\":{\"code\":");
    out.extend_from_slice(itoa::Buffer::new().format(code).as_bytes());
    out.extend_from_slice(b",\"message\":");
    write_str(out, message);
    if let Some(data) = data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data);
    }
    out.extend_from_slice(b"}}");
}

fn begin(out: &mut Vec<u8>, id: Option<&Id<'_>>) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.map_or("null", |id| id.as_json()).as_bytes());
}
