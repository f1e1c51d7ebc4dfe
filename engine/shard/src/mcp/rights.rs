//! What a role may use of the servers behind: tools, prompts and resources by their names.
//!
//! A pattern is of `METHOD:NAME` (`tools/call:files__*`, `resources/read:file:///srv/*`) or of a method alone
//! (`logging/*`). What serves to find one's way needs no allowance and can be denied all the same. Tools and prompts
//! may be called by their own names and by those with their server's before them: what is denied by one is denied by
//! the other, and what is allowed is the one that clients see, or the longer.

use std::sync::Arc;

use weir_transports::mcp::{Method, list, names, uris};

use crate::error::Error;
use crate::limits::RoleRules;
use crate::mcp::answer::Refusal;
use crate::mcp::catalog::Kind;
use crate::policy::auth::Principal;
use crate::policy::rules::Tool;
use crate::turn::Shard;
use crate::upstream::UpstreamId;

/// The JSON-RPC code of what a role may not use: the status that HTTP has for it, outside of the ranges that
/// JSON-RPC and MCP reserve.
const FORBIDDEN: i32 = 403;

/// What all names of a thing are, the one that clients see first.
struct Names {
    method: Method,
    /// Any of these may be allowed.
    shown: Vec<String>,
    /// None of these may be denied.
    all: Vec<String>,
}

impl Kind {
    /// The method that uses such a thing.
    fn used_by(self) -> Method {
        match self {
            Kind::Tool => Method::ToolsCall,
            Kind::Prompt => Method::PromptsGet,
            Kind::Resource => Method::ResourcesRead,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Tool => "tool",
            Kind::Prompt => "prompt",
            Kind::Resource => "resource",
        }
    }
}

/// Whether a method only shows what there is; its answer has nothing that may not be used.
fn shows(method: Method) -> bool {
    matches!(
        method,
        Method::Initialize
            | Method::Ping
            | Method::Discover
            | Method::ToolsList
            | Method::PromptsList
            | Method::ResourcesList
            | Method::ResourceTemplatesList
            | Method::SubscriptionsListen
            | Method::LoggingSetLevel
    )
}

/// Whether a method names the thing it is about, which is then asked about by that.
pub(super) fn names_one(method: Method) -> bool {
    matches!(
        method,
        Method::ToolsCall
            | Method::PromptsGet
            | Method::ResourcesRead
            | Method::ResourcesSubscribe
            | Method::ResourcesUnsubscribe
            | Method::CompletionComplete
    )
}

/// Whether a URI has a segment `..`, written in any way: where it leads no pattern can tell.
fn climbs(uri: &str) -> bool {
    let plain = uri.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    plain.split(['/', '\\']).any(|segment| segment == "..")
}

fn refusal(what: &'static str) -> Refusal {
    let error = Error::NotAllowed { what };
    Refusal::denied(FORBIDDEN, error.message(), &error)
}

impl Names {
    fn allowed(&self, rules: &RoleRules, subject: &str) -> bool {
        let method = self.method.name().unwrap_or_default();
        let of = |name: &String| format!("{method}:{name}");
        self.shown.iter().any(|name| rules.allows_mcp(&of(name), subject))
            && !self.all.iter().any(|name| rules.denies_mcp(&of(name), subject))
    }
}

impl Shard {
    /// The rules for somebody who may not use everything.
    fn rules_for<'a>(&'a self, who: Option<&'a Arc<Principal>>) -> Option<(&'a RoleRules, &'a str)> {
        let who = who?;
        let rules = self.config.auth.rules(who.role);
        (!rules.permits_all_mcp()).then_some((rules, &*who.subject))
    }

    /// Whether somebody is shown less than there is.
    pub(crate) fn is_restricted(&self, who: Option<&Arc<Principal>>) -> bool {
        self.rules_for(who).is_some()
    }

    /// Whether somebody may use a method, whatever it is about.
    ///
    /// # Errors
    /// His role may not.
    pub(crate) fn may_ask(&self, who: Option<&Arc<Principal>>, method: Method) -> Result<(), Refusal> {
        let Some((rules, subject)) = self.rules_for(who) else { return Ok(()) };
        let name = method.name().unwrap_or_default();
        let needs = !shows(method) && !names_one(method);
        if rules.denies_mcp(name, subject) || needs && !rules.allows_mcp(name, subject) {
            return Err(refusal("method"));
        }
        Ok(())
    }

    /// Whether somebody may use a thing that its server calls `own`.
    ///
    /// # Errors
    /// His role may not.
    pub(crate) fn may_use(
        &self,
        who: Option<&Arc<Principal>>,
        kind: Kind,
        server: UpstreamId,
        own: &str,
    ) -> Result<(), Refusal> {
        let Some((rules, subject)) = self.rules_for(who) else { return Ok(()) };
        let allowed = self.names(kind, server, own).allowed(rules, subject);
        if allowed && !(kind == Kind::Resource && climbs(own)) { Ok(()) } else { Err(refusal(kind.word())) }
    }

    /// Whether somebody sees an item of a server's list.
    pub(crate) fn sees(
        &self,
        who: Option<&Arc<Principal>>,
        method: Method,
        server: UpstreamId,
        item: &str,
    ) -> bool {
        let Some((rules, subject)) = self.rules_for(who) else { return true };
        // A template is shown to who may read what it would be if it were a URI.
        let kind = Kind::listed_by(method).unwrap_or(Kind::Resource);
        let Some(own) = list::name_of(method, item) else { return false };
        self.names(kind, server, &own).allowed(rules, subject)
    }

    /// What a tool is called.
    pub(crate) fn tool(&self, server: UpstreamId, own: &str) -> Tool {
        let Names { shown, all, .. } = self.names(Kind::Tool, server, own);
        Tool { shown, all }
    }

    fn names(&self, kind: Kind, server: UpstreamId, own: &str) -> Names {
        let name = self.server_name(server);
        let full = match kind {
            Kind::Resource => uris::shown(name, own),
            Kind::Tool | Kind::Prompt => names::prefixed(name, own),
        };
        let method = kind.used_by();
        // A URI says by itself what it is about.
        let by_itself = kind == Kind::Resource || !self.shows_prefix(kind, own);
        let all = vec![own.to_owned(), full.clone()];
        Names { method, shown: if by_itself { all.clone() } else { vec![full] }, all }
    }
}

#[cfg(test)]
mod tests;
