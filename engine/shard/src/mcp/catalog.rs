//! What the upstreams were seen to offer: who has which tool, prompt and resource.

use std::collections::{BTreeMap, BTreeSet};

use weir_transports::mcp::Method;
use weir_transports::mcp::headers::ParamHeader;

use crate::upstream::UpstreamId;

/// Names of all upstreams that one shard keeps, at most: what an upstream lists beyond is served, but only
/// under its prefix.
const NAMES_MAX: usize = 100_000;

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Tool,
    Prompt,
    Resource,
}

impl Kind {
    /// What the items of a list are, if they are named.
    pub(crate) fn listed_by(method: Method) -> Option<Kind> {
        match method {
            Method::ToolsList => Some(Kind::Tool),
            Method::PromptsList => Some(Kind::Prompt),
            Method::ResourcesList => Some(Kind::Resource),
            _ => None,
        }
    }

    /// The list that has it.
    pub(crate) fn list(self) -> Method {
        match self {
            Kind::Tool => Method::ToolsList,
            Kind::Prompt => Method::PromptsList,
            Kind::Resource => Method::ResourcesList,
        }
    }
}

/// Which page of a list was asked for, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The server's own; `None`: the first page.
    cursor: Option<Box<str>>,
    /// Changes of the list before.
    changes: u64,
}

/// Who has what, as far as lists have said.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    owners: BTreeMap<(Kind, Box<str>), Vec<UpstreamId>>,
    /// Lists that have been seen to their end.
    whole: BTreeSet<(Kind, UpstreamId)>,
    /// Where pages have led to that were seen since their list last changed; not once it is whole.
    led: BTreeSet<(Kind, UpstreamId, Box<str>)>,
    /// How often a list has changed.
    changes: BTreeMap<(Kind, UpstreamId), u64>,
    /// Arguments that tools want mirrored in headers.
    headers: BTreeMap<(UpstreamId, Box<str>), Vec<ParamHeader>>,
}

impl Catalog {
    /// `upstream` has `name`.
    pub(crate) fn learn(&mut self, kind: Kind, name: &str, upstream: UpstreamId) {
        let full = self.owners.len() >= NAMES_MAX;
        match self.owners.get_mut(&(kind, Box::from(name))) {
            Some(owners) => {
                if let Err(at) = owners.binary_search(&upstream) {
                    owners.insert(at, upstream);
                }
            }
            None if full => {}
            None => {
                self.owners.insert((kind, name.into()), vec![upstream]);
            }
        }
    }

    /// The tool's calls repeat these arguments in headers.
    pub(crate) fn learn_headers(&mut self, upstream: UpstreamId, tool: &str, headers: Vec<ParamHeader>) {
        if headers.is_empty() {
            self.headers.remove(&(upstream, Box::from(tool)));
        } else if self.headers.len() < NAMES_MAX {
            self.headers.insert((upstream, tool.into()), headers);
        }
    }

    /// The arguments that a tool wants in headers.
    pub(crate) fn headers(&self, upstream: UpstreamId, tool: &str) -> &[ParamHeader] {
        self.headers.get(&(upstream, Box::from(tool))).map_or(&[], Vec::as_slice)
    }

    /// All of a list of `upstream` was seen.
    pub(crate) fn learned(&mut self, kind: Kind, upstream: UpstreamId) {
        self.whole.insert((kind, upstream));
        self.led.retain(|(of, by, _)| (*of, *by) != (kind, upstream));
    }

    /// The page of a list that is asked for now.
    pub(crate) fn place(&self, kind: Kind, upstream: UpstreamId, cursor: Option<&str>) -> Place {
        let changes = self.changes.get(&(kind, upstream)).copied().unwrap_or_default();
        Place { cursor: cursor.map(Box::from), changes }
    }

    /// A page of a list of `upstream` was seen, and `next` is where it leads. The last page makes the list whole
    /// only if all before it were seen since it last changed: what they said before is forgotten.
    pub(crate) fn learned_page(
        &mut self,
        kind: Kind,
        upstream: UpstreamId,
        place: &Place,
        next: Option<&str>,
    ) {
        let present = self.place(kind, upstream, None).changes == place.changes;
        let follows = |cursor: &str| self.led.contains(&(kind, upstream, cursor.into()));
        if !present || self.is_whole(kind, upstream) || !place.cursor.as_deref().is_none_or(follows) {
            return;
        }
        match next {
            None => self.learned(kind, upstream),
            Some(next) if self.led.len() < NAMES_MAX => {
                self.led.insert((kind, upstream, next.into()));
            }
            Some(_) => {}
        }
    }

    /// Whether all of a list of `upstream` was seen since it last changed.
    pub(crate) fn is_whole(&self, kind: Kind, upstream: UpstreamId) -> bool {
        self.whole.contains(&(kind, upstream))
    }

    /// A list of `upstream` has changed.
    pub(crate) fn forget(&mut self, kind: Kind, upstream: UpstreamId) {
        self.whole.remove(&(kind, upstream));
        self.led.retain(|(of, by, _)| (*of, *by) != (kind, upstream));
        *self.changes.entry((kind, upstream)).or_default() += 1;
        self.owners.retain(|(of, _), owners| {
            if *of == kind {
                owners.retain(|owner| *owner != upstream);
            }
            !owners.is_empty()
        });
        if kind == Kind::Tool {
            self.headers.retain(|(of, _), _| *of != upstream);
        }
    }

    /// Who has `name`, in the order of the configuration.
    pub(crate) fn owners(&self, kind: Kind, name: &str) -> &[UpstreamId] {
        self.owners.get(&(kind, Box::from(name))).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: UpstreamId = UpstreamId(2);

    #[test]
    fn a_list_is_whole_once_all_its_pages_were_seen_since_it_changed() {
        let mut catalog = Catalog::default();
        let first = catalog.place(Kind::Tool, SERVER, None);
        let last = catalog.place(Kind::Tool, SERVER, Some("p1"));
        catalog.learned_page(Kind::Tool, SERVER, &first, Some("p1"));
        catalog.forget(Kind::Tool, SERVER);
        // Asked for before it changed, and after.
        catalog.learned_page(Kind::Tool, SERVER, &last, None);
        let last = catalog.place(Kind::Tool, SERVER, Some("p1"));
        catalog.learned_page(Kind::Tool, SERVER, &last, None);
        catalog.learned_page(Kind::Tool, SERVER, &first, Some("p1"));
        catalog.learned_page(Kind::Tool, SERVER, &last, None);
        assert!(!catalog.is_whole(Kind::Tool, SERVER));
        let first = catalog.place(Kind::Tool, SERVER, None);
        catalog.learned_page(Kind::Tool, SERVER, &first, Some("p1"));
        assert!(!catalog.is_whole(Kind::Tool, SERVER));
        catalog.learned_page(Kind::Tool, SERVER, &last, None);
        assert!(catalog.is_whole(Kind::Tool, SERVER) && catalog.led.is_empty());
    }
}
