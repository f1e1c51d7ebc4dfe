//! The parameters that a gateway reads. All are texts of JSON values, slices of the message: to be spliced
//! as they are, or understood by [`object::string`].

use std::fmt;

use super::{Method, code, key, object};
use crate::json::Fault;
use crate::jsonrpc::Id;

/// What `params` holds of what a gateway reads, whatever the method. A value of null counts as none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a> {
    /// The whole: an object.
    pub text: Option<&'a str>,
    /// String: of a tool or prompt.
    pub name: Option<&'a str>,
    /// String: of a resource.
    pub uri: Option<&'a str>,
    /// String: where a page begins.
    pub cursor: Option<&'a str>,
    /// Any value: of a tool or prompt.
    pub arguments: Option<&'a str>,
    /// String: `logging/setLevel`, `notifications/message`.
    pub level: Option<&'a str>,
    /// Object, `ref`: what is to be completed.
    pub reference: Option<&'a str>,
    /// String.
    pub task_id: Option<&'a str>,
    /// String: what an `InputRequiredResult` carried.
    pub request_state: Option<&'a str>,
    /// Object: answers to what an `InputRequiredResult` asked.
    pub input_responses: Option<&'a str>,
    /// String or integer: what `notifications/cancelled` cancels.
    pub request_id: Option<&'a str>,
    /// String or integer: of `notifications/progress`.
    pub progress_token: Option<&'a str>,
    /// Object: what `subscriptions/listen` wants, and what its acknowledgement grants. See [`Filter`].
    pub notifications: Option<&'a str>,
    /// String, `protocolVersion` of `initialize`.
    pub protocol_version: Option<&'a str>,
    /// Object, of `initialize`.
    pub capabilities: Option<&'a str>,
    /// Object, of `initialize`.
    pub client_info: Option<&'a str>,
    /// What `_meta` holds.
    pub meta: Meta<'a>,
}

/// What `_meta` holds of what a gateway reads. A value of null counts as none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta<'a> {
    /// The whole: an object.
    pub text: Option<&'a str>,
    /// String or integer: asks for progress.
    pub progress_token: Option<&'a str>,
    /// String: the revision the request is written in (2026-07-28).
    pub protocol_version: Option<&'a str>,
    /// Object (2026-07-28).
    pub client_capabilities: Option<&'a str>,
    /// Object (2026-07-28).
    pub client_info: Option<&'a str>,
    /// String: asks for log messages (2026-07-28).
    pub log_level: Option<&'a str>,
    /// String or integer: the `subscriptions/listen` that a notification answers (2026-07-28).
    pub subscription_id: Option<&'a str>,
    /// String: W3C Trace Context.
    pub traceparent: Option<&'a str>,
    /// String: W3C Trace Context.
    pub tracestate: Option<&'a str>,
}

/// What a `subscriptions/listen` asks for, or what is granted of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// `notifications/tools/list_changed`.
    pub tools_list_changed: bool,
    /// `notifications/prompts/list_changed`.
    pub prompts_list_changed: bool,
    /// `notifications/resources/list_changed`.
    pub resources_list_changed: bool,
    /// `notifications/resources/updated` for these URIs: an array of strings, to be walked with
    /// [`object::elements`].
    pub resource_subscriptions: Option<&'a str>,
}

/// Parameters that do not fit. Always the sender's fault; code -32602.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Not JSON. Does not happen to parts of a message that `jsonrpc` has taken.
    Json(Fault),
    /// `params` is an array.
    NotObject,
    /// This key is there twice.
    Duplicate(&'static str),
    /// The method needs this parameter.
    Missing(&'static str),
    /// The value of this key is not of this type.
    Type(&'static str, Type),
}

/// What the value of a parameter must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Anything.
    Any,
    /// A string.
    String,
    /// An object.
    Object,
    /// An array of strings.
    Strings,
    /// `true` or `false`.
    Boolean,
    /// A string or an integer: ids and tokens.
    Id,
}

/// A key, the type of its values, and where its value goes.
type Slot<'s, 'a> = (&'static str, Type, &'s mut Option<&'a str>);

impl<'a> Params<'a> {
    /// Reads the parameters of a request or notification, in one pass over them and one over `_meta`.
    ///
    /// # Errors
    /// A key that is read here is there twice or of another type, or one that `method` needs is missing.
    pub fn read(method: Method, params: Option<&'a str>) -> Result<Params<'a>, DecodeError> {
        let mut read = Params { text: params, ..Params::default() };
        if let Some(text) = params {
            if !text.starts_with('{') {
                return Err(DecodeError::NotObject);
            }
            members(text, &mut read, Params::slot)?;
        }
        if let Some(text) = read.meta.text {
            members(text, &mut read.meta, Meta::slot)?;
        }
        match read.required(method) {
            Some((key, None)) => Err(DecodeError::Missing(key)),
            _ => Ok(read),
        }
    }

    /// The one parameter without which a gateway cannot tell where a message of `method` goes or what it
    /// is about.
    fn required(&self, method: Method) -> Option<(&'static str, Option<&'a str>)> {
        match method {
            Method::ToolsCall | Method::PromptsGet => Some(("name", self.name)),
            Method::ResourcesRead
            | Method::ResourcesSubscribe
            | Method::ResourcesUnsubscribe
            | Method::NotificationResourcesUpdated => Some(("uri", self.uri)),
            Method::CompletionComplete => Some(("ref", self.reference)),
            Method::LoggingSetLevel => Some(("level", self.level)),
            Method::SubscriptionsListen => Some(("notifications", self.notifications)),
            Method::TasksGet | Method::TasksUpdate | Method::TasksCancel | Method::TasksResult => {
                Some(("taskId", self.task_id))
            }
            Method::Initialize => Some(("protocolVersion", self.protocol_version)),
            Method::NotificationProgress => Some(("progressToken", self.progress_token)),
            _ => None,
        }
    }

    /// The text of the parameter that goes into `Mcp-Name` with `method`, if it is there.
    pub fn header_name(&self, method: Method) -> Option<&'a str> {
        match method.name_param()? {
            "name" => self.name,
            "uri" => self.uri,
            _ => self.task_id,
        }
    }

    fn slot(&mut self, key: &str) -> Option<Slot<'_, 'a>> {
        Some(match key {
            "name" => ("name", Type::String, &mut self.name),
            "uri" => ("uri", Type::String, &mut self.uri),
            "cursor" => ("cursor", Type::String, &mut self.cursor),
            "arguments" => ("arguments", Type::Any, &mut self.arguments),
            "level" => ("level", Type::String, &mut self.level),
            "ref" => ("ref", Type::Object, &mut self.reference),
            "taskId" => ("taskId", Type::String, &mut self.task_id),
            "requestState" => ("requestState", Type::String, &mut self.request_state),
            "inputResponses" => ("inputResponses", Type::Object, &mut self.input_responses),
            "requestId" => ("requestId", Type::Id, &mut self.request_id),
            "progressToken" => ("progressToken", Type::Id, &mut self.progress_token),
            "notifications" => ("notifications", Type::Object, &mut self.notifications),
            "protocolVersion" => ("protocolVersion", Type::String, &mut self.protocol_version),
            "capabilities" => ("capabilities", Type::Object, &mut self.capabilities),
            "clientInfo" => ("clientInfo", Type::Object, &mut self.client_info),
            "_meta" => ("_meta", Type::Object, &mut self.meta.text),
            _ => return None,
        })
    }
}

impl<'a> Meta<'a> {
    fn slot(&mut self, key: &str) -> Option<Slot<'_, 'a>> {
        Some(match key {
            "progressToken" => ("progressToken", Type::Id, &mut self.progress_token),
            key::PROTOCOL_VERSION => (key::PROTOCOL_VERSION, Type::String, &mut self.protocol_version),
            key::CLIENT_CAPABILITIES => {
                (key::CLIENT_CAPABILITIES, Type::Object, &mut self.client_capabilities)
            }
            key::CLIENT_INFO => (key::CLIENT_INFO, Type::Object, &mut self.client_info),
            key::LOG_LEVEL => (key::LOG_LEVEL, Type::String, &mut self.log_level),
            key::SUBSCRIPTION_ID => (key::SUBSCRIPTION_ID, Type::Id, &mut self.subscription_id),
            "traceparent" => ("traceparent", Type::String, &mut self.traceparent),
            "tracestate" => ("tracestate", Type::String, &mut self.tracestate),
            _ => return None,
        })
    }
}

impl<'a> Filter<'a> {
    /// Reads [`Params::notifications`].
    ///
    /// # Errors
    /// A key that is read here is there twice or of another type.
    pub fn read(notifications: &'a str) -> Result<Filter<'a>, DecodeError> {
        let mut texts = [None; 4];
        members(notifications, &mut texts, |[tools, prompts, resources, uris], key| {
            Some(match key {
                "toolsListChanged" => ("toolsListChanged", Type::Boolean, tools),
                "promptsListChanged" => ("promptsListChanged", Type::Boolean, prompts),
                "resourcesListChanged" => ("resourcesListChanged", Type::Boolean, resources),
                "resourceSubscriptions" => ("resourceSubscriptions", Type::Strings, uris),
                _ => return None,
            })
        })?;
        let [tools, prompts, resources, uris] = texts;
        Ok(Filter {
            tools_list_changed: tools == Some("true"),
            prompts_list_changed: prompts == Some("true"),
            resources_list_changed: resources == Some("true"),
            resource_subscriptions: uris,
        })
    }
}

/// Puts the values of those members of `text` that `slot` has a place for there.
fn members<'a, T>(
    text: &'a str,
    into: &mut T,
    slot: for<'s> fn(&'s mut T, &str) -> Option<Slot<'s, 'a>>,
) -> Result<(), DecodeError> {
    let mut nulls = Vec::new();
    for member in object::members(text) {
        let (key, value) = member.map_err(DecodeError::Json)?;
        let Some((key, expected, place)) = slot(into, &key) else { continue };
        if place.is_some() || nulls.contains(&key) {
            return Err(DecodeError::Duplicate(key));
        }
        if value == "null" {
            nulls.push(key);
        } else if expected.fits(value) {
            *place = Some(value);
        } else {
            return Err(DecodeError::Type(key, expected));
        }
    }
    Ok(())
}

impl Type {
    /// Whether the text of one JSON value says a value of this type.
    fn fits(self, value: &str) -> bool {
        match self {
            Type::Any => true,
            Type::String => value.starts_with('"'),
            Type::Object => value.starts_with('{'),
            Type::Strings => {
                object::elements(value).all(|element| element.is_ok_and(|text| text.starts_with('"')))
            }
            Type::Boolean => matches!(value, "true" | "false"),
            Type::Id => Id::from_json(value).is_some(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Type::Any => "a value",
            Type::String => "a string",
            Type::Object => "an object",
            Type::Strings => "an array of strings",
            Type::Boolean => "true or false",
            Type::Id => "a string or an integer",
        }
    }
}

impl DecodeError {
    /// The code that answers it.
    pub const fn code(self) -> i32 {
        match self {
            DecodeError::Json(_)
            | DecodeError::NotObject
            | DecodeError::Duplicate(_)
            | DecodeError::Missing(_)
            | DecodeError::Type(..) => code::INVALID_PARAMS,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Json(fault) => fault.fmt(f),
            DecodeError::NotObject => f.write_str("params must be an object"),
            DecodeError::Duplicate(key) => write!(f, "{key} is there twice in params: send it once"),
            DecodeError::Missing(key) => write!(f, "params must have {key}"),
            DecodeError::Type(key, expected) => write!(f, "{key} in params must be {}", expected.name()),
        }
    }
}

impl std::error::Error for DecodeError {}
