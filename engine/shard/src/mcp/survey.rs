//! A request whose server is not known yet: the lists that name it are read first.

use weir_ring::token::Token;
use weir_transports::jsonrpc::Id;
use weir_transports::mcp::list::Page;
use weir_transports::mcp::params::Meta;
use weir_transports::mcp::{Method, Params, code, object};

use crate::mcp::answer::Refusal;
use crate::mcp::call::{Call, Work};
use crate::mcp::catalog::Kind;
use crate::mcp::dispatch::Request;
use crate::mcp::merge::{Merge, PartState};
use crate::mcp::outlet::{Asker, From};
use crate::policy::Standing;
use crate::turn::{Alarm, Cx, Shard};
use crate::upstream::UpstreamId;

/// Pages that are read of one server's list, at most.
const PAGES_MAX: u32 = 200;

/// How long a survey may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// A request that waits for a survey.
#[derive(Debug)]
pub(crate) struct Survey {
    kind: Kind,
    method: Method,
    params: Option<Box<str>>,
    /// What it called itself.
    name: Option<Box<str>>,
    /// Where it stood with its limit.
    standing: Option<Standing>,
    headers: Vec<(Box<str>, Box<str>)>,
    pages: u32,
}

impl Survey {
    /// No further pages are asked for.
    pub(crate) fn end(&mut self) {
        self.pages = PAGES_MAX;
    }
}

impl Shard {
    /// Reads the lists of `servers`, then serves the request.
    pub(crate) fn survey(
        &mut self,
        request: &Request<'_>,
        kind: Kind,
        servers: &[UpstreamId],
        cx: &mut Cx<'_>,
    ) -> Result<(), Refusal> {
        let name = self.asker_name(request.from.asker).map(Box::from);
        let standing = self.asker_standing(&request.from, cx);
        let survey = Survey {
            kind,
            method: request.method,
            params: request.params.map(Box::from),
            name,
            standing,
            headers: request.from.headers.to_vec(),
            pages: 0,
        };
        let merge = Merge { parts: Vec::new(), survey: Some(Box::new(survey)) };
        let call = self.begin(request, Work::Merge(Box::new(merge)))?;
        let read = Params { meta: request.read.meta, ..Params::default() };
        let plain = Request { params: None, read: &read, ..*request };
        for server in servers {
            if self.has_list(*server, kind.list()) {
                self.ask_part(call, *server, kind.list(), None, &plain, cx);
            } else {
                self.mcp.catalog.learned(kind, *server);
            }
        }
        self.alarm(cx.now.mono.plus(PATIENCE), Alarm::Mcp(call));
        self.survey_page(call, cx);
        Ok(())
    }

    /// All servers that were asked have answered: the next pages, or the end of the survey.
    pub(crate) fn survey_page(&mut self, call: Token, cx: &mut Cx<'_>) {
        // Pages that are kept here, and refusals, are there at once.
        while self.ask_next_pages(call, cx) {}
    }

    /// False: pages are waited for, or the survey has ended.
    fn ask_next_pages(&mut self, call: Token, cx: &mut Cx<'_>) -> bool {
        let Some(held) = self.mcp.calls.get_mut(call) else { return false };
        let (client, who, era, outlet) = (held.client, held.who.clone(), held.era, held.outlet);
        let Work::Merge(merge) = &mut held.work else { return false };
        if merge.parts.iter().any(|part| matches!(part.state, PartState::Asked(_))) {
            return false;
        }
        let parts = std::mem::take(&mut merge.parts);
        let Some(survey) = &mut merge.survey else { return false };
        survey.pages += 1;
        let (kind, more) = (survey.kind, survey.pages < PAGES_MAX);
        let (method, survey_params) = (survey.method, survey.params.clone());
        let mut next = Vec::new();
        for part in &parts {
            let PartState::Here(result) = &part.state else { continue };
            self.learn_page(kind.list(), part.server, part.place.as_ref(), result);
            if let Some(Page { next_cursor: Some(cursor), .. }) = Page::read(kind.list(), result)
                && more
            {
                next.push((part.server, cursor.into_owned()));
            }
        }
        if next.is_empty() {
            self.end_survey(call, cx);
            return false;
        }
        // Modern servers want every request to say who asks.
        let params = survey_params.as_deref();
        let meta = Params::read(method, params).map_or(Meta::default(), |read| read.meta);
        let read = Params { meta, ..Params::default() };
        let asker = Asker::Http { name: None, standing: None };
        let from = From { outlet, client, who: who.as_ref(), asker, headers: &[] };
        let Some(id) = Id::from_json("0") else { return false };
        let request =
            Request { from, era, id, method: kind.list(), params: None, read: &read, surveyed: true };
        for (server, cursor) in next {
            self.ask_part(call, server, kind.list(), Some(&cursor), &request, cx);
        }
        true
    }

    /// Serves the request that waited. What is still not known then is nobody's.
    fn end_survey(&mut self, call: Token, cx: &mut Cx<'_>) {
        let Some(call) = self.end_call(call) else { return };
        let Work::Merge(merge) = call.work else { return };
        let (Some(survey), Some(id)) = (merge.survey, Id::from_json(&call.id)) else { return };
        // It was read when it came.
        let Ok(read) = Params::read(survey.method, survey.params.as_deref()) else { return };
        let Call { outlet, client, .. } = call;
        let asker = Asker::Http { name: survey.name.as_deref(), standing: survey.standing };
        let from = From { outlet, client, who: call.who.as_ref(), asker, headers: &survey.headers };
        let request = Request {
            from,
            era: call.era,
            id,
            method: survey.method,
            params: survey.params.as_deref(),
            read: &read,
            surveyed: true,
        };
        let known = self.servers().all(|server| self.mcp.catalog.is_whole(survey.kind, server));
        let found = named(&read);
        let owned = !self.mcp.catalog.owners(survey.kind, &found).is_empty();
        let served = if known || owned || self.sole_server().is_some() {
            self.serve_request(&request, cx)
        } else {
            Err(Refusal::new(
                code::INTERNAL_ERROR,
                format!("{found} is not known, and not every server could be asked; try again later"),
            ))
        };
        if let Err(refusal) = served {
            self.answer_error(from.outlet, call.era, id, &refusal, cx);
        }
    }
}

/// What a request names.
fn named(read: &Params<'_>) -> String {
    let reference = read.reference.and_then(|text| object::find(text, ["name", "uri"]).ok());
    let [name, uri] = reference.unwrap_or_default();
    let text = read.name.or(name).or(read.uri).or(uri);
    text.and_then(object::string).unwrap_or_default().into_owned()
}
