//! What clients send, and who answers it.

use weir_transports::jsonrpc::{Id, Message};
use weir_transports::mcp::{Era, Method, Params, code, object};

use crate::mcp::answer::Refusal;
use crate::mcp::catalog::Kind;
use crate::mcp::outlet::{Client, From};
use crate::mcp::rights::names_one;
use crate::mcp::servers::Whose;
use crate::span::TraceContext;
use crate::turn::{Cx, Shard};
use crate::upstream::UpstreamId;
use crate::vsm::Step;

/// A request of a client, taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) from: From<'a>,
    /// The era its client speaks.
    pub(crate) era: Era,
    pub(crate) id: Id<'a>,
    pub(crate) method: Method,
    /// The parameters' text.
    pub(crate) params: Option<&'a str>,
    /// What the gateway reads of them.
    pub(crate) read: &'a Params<'a>,
    /// The lists that it waited for were read, as far as they could be.
    pub(crate) surveyed: bool,
}

impl Shard {
    /// Takes a message of a client. Its answer, if one is due, goes to the outlet, in this turn or later.
    pub(crate) fn mcp_message(&mut self, from: From<'_>, message: Message<'_>, cx: &mut Cx<'_>) {
        if let Client::Session(session) = from.client
            && let Some(session) = self.mcp.sessions.get_mut(session)
        {
            session.heard = cx.now.mono;
        }
        match message {
            Message::Request { id, method, params } => self.mcp_request(from, id, &method, params, cx),
            Message::Notification { method, params } => {
                self.mcp_notified(from, Method::of(&method), params, cx);
            }
            Message::Response { id: Some(id), body } => self.client_answered(from.client, id, body, cx),
            // An error about nobody knows what.
            Message::Response { id: None, .. } => {}
        }
    }

    fn mcp_request(&mut self, from: From<'_>, id: Id<'_>, name: &str, params: Option<&str>, cx: &mut Cx<'_>) {
        let Some(era) = self.era_of(from.client) else { return };
        let method = Method::of(name);
        self.mcp.asked.count(method);
        if !method.is_for_servers(era.version()) {
            let refusal = Refusal::new(
                code::METHOD_NOT_FOUND,
                format!("{name:?} is no method of MCP {}", era.version().as_str()),
            );
            return self.answer_error(from.outlet, era, id, &refusal, cx);
        }
        let read = match Params::read(method, params) {
            Ok(read) => read,
            Err(error) => {
                let refusal = Refusal::new(code::INVALID_PARAMS, error.to_string());
                return self.answer_error(from.outlet, era, id, &refusal, cx);
            }
        };
        if let Some(parent) = read.meta.traceparent
            && self.tracer.samples()
            && let Some(context) = context_of(parent, read.meta.tracestate)
        {
            let asker = self.asker_name(from.asker).map(Box::<str>::from);
            self.tracer.adopt(asker.as_deref(), name, context, cx.now.mono);
        }
        if let (Method::ToolsCall | Method::PromptsGet, Some(params)) = (method, params) {
            self.report_params(name, params, cx);
        }
        let request = Request { from, era, id, method, params, read: &read, surveyed: false };
        if let Err(refusal) = self.serve_request(&request, cx) {
            self.answer_error(from.outlet, era, id, &refusal, cx);
        }
    }

    /// Serves a request or begins to.
    ///
    /// # Errors
    /// It is refused: nothing was begun.
    pub(crate) fn serve_request(&mut self, request: &Request<'_>, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        self.may_ask(request.from.who, request.method)?;
        // What names a thing is judged when it is known whose that is.
        if !request.surveyed && !names_one(request.method) {
            self.judge_request(request, None, cx)?;
            self.trace_step(Step::Allowed, None, cx);
        }
        match request.method {
            Method::Initialize | Method::Discover => self.introduce(request, cx),
            Method::Ping => {
                self.answer_result(request.from.outlet, request.id, b"{}", cx);
                Ok(())
            }
            Method::ToolsList
            | Method::PromptsList
            | Method::ResourcesList
            | Method::ResourceTemplatesList => self.list(request, cx),
            Method::ToolsCall => self.named(request, Kind::Tool, cx),
            Method::PromptsGet => self.named(request, Kind::Prompt, cx),
            Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
                self.located(request, cx)
            }
            Method::CompletionComplete => self.completed(request, cx),
            Method::LoggingSetLevel => self.set_level(request, cx),
            Method::SubscriptionsListen => self.listen(request, cx),
            _ => self.unrouted(request, cx),
        }
    }

    /// The era of a client; `None` if its session is gone.
    pub(crate) fn era_of(&self, client: Client) -> Option<Era> {
        match client {
            Client::Session(session) => Some(Era::Legacy(self.mcp.sessions.get(session)?.version)),
            Client::Stateless => Some(Era::Modern),
        }
    }

    /// A tool or prompt, by its name.
    fn named(&mut self, request: &Request<'_>, kind: Kind, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let Some(name) = request.read.name.and_then(object::string) else { return Err(missing("name")) };
        let whose = self.whose_name(kind, &name);
        self.permit(request, kind, &whose, cx)?;
        match whose {
            Whose::Of(server, _) if self.wants_schema(request, server) => {
                self.survey(request, kind, &[server], cx)
            }
            Whose::Of(server, own) => {
                let own = own.into_owned();
                self.direct(request, server, (own != name).then_some(&own), cx)
            }
            Whose::Ask(servers) => self.survey(request, kind, &servers, cx),
            Whose::Nobodys => {
                let what = if kind == Kind::Tool { "tool" } else { "prompt" };
                Err(Refusal::new(code::INVALID_PARAMS, format!("Unknown {what}: {name}")))
            }
        }
    }

    /// Whether a call must wait for the tool's definition: over HTTP, a modern server may want arguments
    /// mirrored in headers, and a legacy client sends none.
    fn wants_schema(&self, request: &Request<'_>, server: UpstreamId) -> bool {
        request.method == Method::ToolsCall
            && !request.surveyed
            && matches!(request.from.client, Client::Session(_))
            && self.is_modern(server)
            && !self.is_child(server)
            && !self.mcp.catalog.is_whole(Kind::Tool, server)
    }

    /// A resource, by its URI.
    fn located(&mut self, request: &Request<'_>, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let Some(uri) = request.read.uri.and_then(object::string) else { return Err(missing("uri")) };
        let whose = self.whose_uri(&uri);
        self.permit(request, Kind::Resource, &whose, cx)?;
        match whose {
            Whose::Of(server, _) if self.is_modern(server) && request.method != Method::ResourcesRead => {
                self.subscribe_modern(request, server, uri.into_owned(), cx);
                Ok(())
            }
            Whose::Of(server, own) => {
                let own = own.into_owned();
                self.direct(request, server, (own != uri).then_some(&own), cx)
            }
            Whose::Ask(servers) => self.survey(request, Kind::Resource, &servers, cx),
            Whose::Nobodys => {
                let code = code::resource_not_found(request.era);
                let data = serde_json::json!({ "uri": uri }).to_string().into_bytes();
                Err(Refusal { data: Some(data), ..Refusal::new(code, format!("Resource not found: {uri}")) })
            }
        }
    }

    /// Completion of an argument of a prompt or a resource template.
    fn completed(&mut self, request: &Request<'_>, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let reference = request.read.reference.unwrap_or("{}");
        let [name, uri] = object::find(reference, ["name", "uri"]).unwrap_or_default();
        let (kind, shown) = match (name.and_then(object::string), uri.and_then(object::string)) {
            (Some(name), _) => (Kind::Prompt, name),
            (None, Some(uri)) => (Kind::Resource, uri),
            (None, None) => return Err(missing("ref")),
        };
        let whose = if kind == Kind::Prompt { self.whose_name(kind, &shown) } else { self.whose_uri(&shown) };
        self.permit(request, kind, &whose, cx)?;
        match whose {
            Whose::Of(server, own) => {
                let own = own.into_owned();
                self.direct(request, server, (own != shown).then_some(&own), cx)
            }
            Whose::Ask(servers) => self.survey(request, kind, &servers, cx),
            Whose::Nobodys => Err(Refusal::new(code::INVALID_PARAMS, format!("nobody has {shown}"))),
        }
    }

    /// Whether the asker may use what he names, once it is known whose it is.
    fn permit(
        &mut self,
        request: &Request<'_>,
        kind: Kind,
        whose: &Whose<'_>,
        cx: &Cx<'_>,
    ) -> Result<(), Refusal> {
        let target = match whose {
            Whose::Of(server, own) => {
                self.may_use(request.from.who, kind, *server, own)?;
                if self.wants_schema(request, *server) {
                    return Ok(());
                }
                Some((*server, &**own)).filter(|_| kind == Kind::Tool)
            }
            // It comes again.
            Whose::Ask(_) => return Ok(()),
            Whose::Nobodys => None,
        };
        self.judge_request(request, target, cx)?;
        self.trace_step(Step::Allowed, None, cx);
        Ok(())
    }

    /// What names no server goes to the only one.
    fn unrouted(&mut self, request: &Request<'_>, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        match self.sole_server() {
            Some(server) => self.direct(request, server, None, cx),
            None => Err(Refusal::new(
                code::METHOD_NOT_FOUND,
                "several servers are behind this gateway, and the request does not say which it is for",
            )),
        }
    }
}

/// By which span a request comes, as its `_meta` says, whose values are JSON.
fn context_of(parent: &str, vendors: Option<&str>) -> Option<TraceContext> {
    let vendors = vendors.and_then(object::string);
    TraceContext::parse(object::string(parent).as_deref(), vendors.as_deref())
}

fn missing(param: &str) -> Refusal {
    Refusal::new(code::INVALID_PARAMS, format!("the parameter {param:?} is missing or no string"))
}
