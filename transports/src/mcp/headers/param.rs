//! Arguments of a tool that are mirrored into headers: `x-mcp-header` in its `inputSchema`
//! (streamable-http, Custom Headers from Tool Parameters).

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;

use super::{HeaderFault, Headers, PARAM_PREFIX, decode, encode};
use crate::json::Fault;
use crate::mcp::object::{elements, find, members, string};

const ANNOTATION: &str = "x-mcp-header";

/// Integers beyond it are not mirrored: 2^53 - 1, the greatest that JavaScript tells from its neighbours.
const SAFE: f64 = 9_007_199_254_740_991.0;

/// Keywords that lead to one schema or to an array of schemas. What lies below them is not reached by
/// `properties` alone.
const SCHEMAS: [&str; 14] = [
    "items",
    "prefixItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "propertyNames",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
];

/// Keywords that lead to an object of schemas, likewise.
const MAPS: [&str; 4] = ["patternProperties", "dependentSchemas", "$defs", "definitions"];

/// One argument of a tool that is mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamHeader {
    /// The header's name behind `Mcp-Param-`.
    pub name: Box<str>,
    /// Where the argument lies in `arguments`: a key each for objects in one another.
    pub path: Box<[Box<str>]>,
}

/// A tool whose annotations break the rules: who calls it by HTTP must leave it out of its list. The
/// server's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaFault {
    /// Not JSON, or a schema that has a key twice.
    Json(Fault),
    /// A name that is no token of HTTP.
    Name,
    /// Two names that differ in nothing but case.
    Repeated,
    /// On a property that is neither string, integer nor boolean.
    Type,
    /// On something that is not reached from the root by `properties` alone.
    Unreachable,
}

/// A schema still to be read, and how it is reached: `None` if not by `properties` alone.
type Pending<'a> = (&'a str, Option<Vec<Box<str>>>);

impl ParamHeader {
    /// What the definition of one tool, the text of an item of `tools/list`, has mirrored.
    ///
    /// # Errors
    /// See [`SchemaFault`].
    pub fn of_tool(tool: &str) -> Result<Vec<ParamHeader>, SchemaFault> {
        let mut declared: Vec<ParamHeader> = Vec::new();
        // Nearly every tool has none. Nobody escapes letters in this key.
        if memmem::find(tool.as_bytes(), ANNOTATION.as_bytes()).is_none() {
            return Ok(declared);
        }
        let [schema] = find(tool, ["inputSchema"]).map_err(SchemaFault::Json)?;
        let mut pending: Vec<Pending<'_>> =
            schema.map(|schema| (schema, Some(Vec::new()))).into_iter().collect();
        while let Some((schema, path)) = pending.pop() {
            // A schema may be `true` or `false`.
            if !schema.starts_with('{') {
                continue;
            }
            if let Some(name) = annotation(schema)? {
                let path = path.as_ref().filter(|path| !path.is_empty()).ok_or(SchemaFault::Unreachable)?;
                if declared.iter().any(|other| other.name.eq_ignore_ascii_case(&name)) {
                    return Err(SchemaFault::Repeated);
                }
                declared.push(ParamHeader { name: name.into(), path: path.as_slice().into() });
            }
            below(schema, path.as_deref(), &mut pending)?;
        }
        Ok(declared)
    }

    /// The headers that mirror `arguments`, names with prefix and values encoded.
    pub fn headers(declared: &[ParamHeader], arguments: Option<&str>) -> Vec<(Box<str>, Box<str>)> {
        let header = |param: &ParamHeader| {
            let text = param.argument(arguments?)?;
            Some((param.header().into(), encode(&said(text)?).into()))
        };
        declared.iter().filter_map(header).collect()
    }

    /// Holds the `Mcp-Param-` headers of a call to its `arguments`. Headers that nobody declared are not
    /// looked at.
    ///
    /// # Errors
    /// A declared header is missing, repeated, malformed or says something else than the body.
    pub fn check(
        declared: &[ParamHeader],
        headers: &Headers<'_>,
        arguments: Option<&str>,
    ) -> Result<(), HeaderFault> {
        declared.iter().try_for_each(|param| param.agree(headers, arguments))
    }

    fn agree(&self, headers: &Headers<'_>, arguments: Option<&str>) -> Result<(), HeaderFault> {
        let mut values = headers.params.iter().filter(|(name, _)| name.eq_ignore_ascii_case(&self.name));
        let value = values.next().map(|(_, value)| *value);
        if values.next().is_some() {
            return Err(HeaderFault::Repeated(self.header().into()));
        }
        let text = arguments.and_then(|arguments| self.argument(arguments));
        // What cannot be mirrored, or is not there, has no header to be held to.
        let Some((text, body)) = text.and_then(|text| Some((text, said(text)?))) else { return Ok(()) };
        let value = value.ok_or_else(|| HeaderFault::Missing(self.header().into()))?;
        let says = decode(value).ok_or_else(|| HeaderFault::Malformed(self.header().into()))?;
        let number = integer(text);
        if says == body || (number.is_some() && number == integer(&says)) {
            return Ok(());
        }
        Err(HeaderFault::mismatch(&self.header(), &says))
    }

    /// The text of the argument; `None` if it is not there or null.
    fn argument<'a>(&self, arguments: &'a str) -> Option<&'a str> {
        let value = self.path.iter().try_fold(arguments, |object, key| find(object, [key]).ok()?[0])?;
        (value != "null").then_some(value)
    }

    fn header(&self) -> String {
        format!("{PARAM_PREFIX}{}", self.name)
    }
}

/// The name that the annotation of a schema gives, if it has one.
fn annotation(schema: &str) -> Result<Option<Cow<'_, str>>, SchemaFault> {
    let [name, kind] = find(schema, [ANNOTATION, "type"]).map_err(SchemaFault::Json)?;
    let Some(name) = name else { return Ok(None) };
    let name = string(name).filter(|name| is_token(name)).ok_or(SchemaFault::Name)?;
    match kind {
        Some("\"string\"" | "\"integer\"" | "\"boolean\"") => Ok(Some(name)),
        _ => Err(SchemaFault::Type),
    }
}

/// Puts the schemas right below `schema`, which is reached by `path`, to those that are to be read.
fn below<'a>(
    schema: &'a str,
    path: Option<&[Box<str>]>,
    pending: &mut Vec<Pending<'a>>,
) -> Result<(), SchemaFault> {
    for member in members(schema) {
        let (key, value) = member.map_err(SchemaFault::Json)?;
        let key = key.as_ref();
        if key == "properties" && value.starts_with('{') {
            for property in members(value) {
                let (name, schema) = property.map_err(SchemaFault::Json)?;
                let path = path.map(|path| path.iter().cloned().chain([name.into()]).collect());
                pending.push((schema, path));
            }
        } else if MAPS.contains(&key) && value.starts_with('{') {
            for entry in members(value) {
                pending.push((entry.map_err(SchemaFault::Json)?.1, None));
            }
        } else if SCHEMAS.contains(&key) && value.starts_with('[') {
            for element in elements(value) {
                pending.push((element.map_err(SchemaFault::Json)?, None));
            }
        } else if SCHEMAS.contains(&key) {
            pending.push((value, None));
        }
    }
    Ok(())
}

/// What a header says for the argument `text`. `None`: it is not mirrored, being neither string, boolean
/// nor a safe integer.
fn said(text: &str) -> Option<Cow<'_, str>> {
    match text.as_bytes().first()? {
        b'"' => string(text),
        b't' | b'f' => Some(Cow::Borrowed(text)),
        b'-' | b'0'..=b'9' => Some(Cow::Owned(integer(text)?.to_string())),
        _ => None,
    }
}

/// The number that `text` says, in decimals or with an exponent, if it is a safe integer.
fn integer(text: &str) -> Option<i64> {
    let number: f64 = text.parse().ok()?;
    (number.fract() == 0.0 && number.abs() <= SAFE).then_some(number as i64)
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

impl fmt::Display for SchemaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SchemaFault::Json(fault) => return fault.fmt(f),
            SchemaFault::Name => "x-mcp-header must be a header name's token: letters, digits and hyphens",
            SchemaFault::Repeated => "two x-mcp-header differ in nothing but case: give each its own name",
            SchemaFault::Type => "x-mcp-header is for properties of type string, integer or boolean",
            SchemaFault::Unreachable => {
                "x-mcp-header is for what is reached from the root by properties alone, not by items, \
                 oneOf or the like"
            }
        })
    }
}

impl std::error::Error for SchemaFault {}
