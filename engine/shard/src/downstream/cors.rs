//! What browsers are told: which pages may read an answer (Fetch, section 3.2), and that no answer is a page.

use weir_ring::token::Token;
use weir_transports::http1::{Head, Method};

use crate::downstream::reply::Terms;
use crate::limits::{Cors, Origins};
use crate::turn::{Cx, Shard};

/// Headers of every answer: what it says it is, it is, and whatever it is, it loads nothing, is shown in no frame,
/// and names no one its URL.
const GUARD: [(&str, &str); 3] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
];

/// Headers of answers that pages may read beside those that they always may.
const EXPOSED: &str = "Mcp-Session-Id, Retry-After, WWW-Authenticate, X-RateLimit-Limit, X-RateLimit-Remaining, \
                       X-RateLimit-Reset";

/// Which pages may read an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Those of the gateway's own host: CORS is off.
    #[default]
    Off,
    /// The same; another page would be told otherwise.
    Refused,
    /// All.
    Any,
    /// The one of this place in the list.
    Listed(u16),
}

impl Sharing {
    /// Decides on the request of a page of this origin.
    pub(crate) fn of(origin: Option<&str>, cors: &Cors) -> Sharing {
        match (&cors.origins, origin) {
            (Origins::Any, _) => Sharing::Any,
            (Origins::Listed(listed), _) if listed.is_empty() => Sharing::Off,
            (Origins::Listed(listed), Some(sent)) => {
                let at = listed.iter().position(|origin| origin.is(sent));
                at.and_then(|at| u16::try_from(at).ok()).map_or(Sharing::Refused, Sharing::Listed)
            }
            (Origins::Listed(_), None) => Sharing::Refused,
        }
    }

    /// The headers that say so.
    fn headers(self, cors: &Cors) -> impl Iterator<Item = (&str, &str)> {
        let listed = |at: u16| match &cors.origins {
            Origins::Listed(listed) => listed.get(usize::from(at)).map(|origin| origin.as_str()),
            Origins::Any => None,
        };
        let (allowed, varies) = match self {
            Sharing::Off => (None, false),
            Sharing::Refused => (None, true),
            Sharing::Any => (Some("*"), false),
            Sharing::Listed(at) => (listed(at), true),
        };
        let exposed = allowed.map(|_| ("Access-Control-Expose-Headers", EXPOSED));
        let varies = varies.then_some(("Vary", "Origin"));
        allowed.map(|origin| ("Access-Control-Allow-Origin", origin)).into_iter().chain(exposed).chain(varies)
    }
}

/// Calls `write` with all headers of an answer: its own, where the requester stands with its limit, and what
/// browsers are told.
fn with_headers(own: &[(&str, &str)], terms: &Terms, cors: &Cors, write: impl FnOnce(&[(&str, &str)])) {
    const MOST: usize = 20;
    let mut headers = [("", ""); MOST];
    let mut len = 0;
    let mut limits = [itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new()];
    let [limit, remaining, reset] = &mut limits;
    let standing = terms.standing.map(|at| {
        [
            ("X-RateLimit-Limit", limit.format(at.limit)),
            ("X-RateLimit-Remaining", remaining.format(at.remaining)),
            ("X-RateLimit-Reset", reset.format(at.reset_seconds)),
        ]
    });
    let all = own.iter().copied().chain(standing.into_iter().flatten()).chain(GUARD);
    for (slot, header) in headers.iter_mut().zip(all.chain(terms.sharing.headers(cors))) {
        *slot = header;
        len += 1;
    }
    write(&headers[..len]);
}

impl Shard {
    /// The terms of the answer to a request.
    pub(crate) fn terms(&self, head: &Head<'_>) -> Terms {
        let cors = &self.config.browser.cors;
        let origin = if cors.origins.is_empty() { None } else { head.header("origin") };
        Terms { keep_alive: head.keep_alive, standing: None, sharing: Sharing::of(origin, cors) }
    }

    /// Writes the head of an answer with its own headers and those that its terms add.
    pub(crate) fn put_head(
        &mut self,
        token: Token,
        own: &[(&str, &str)],
        terms: &Terms,
        cx: &mut Cx<'_>,
        write: impl FnOnce(&mut Vec<u8>, &[(&str, &str)]),
    ) {
        let config = std::sync::Arc::clone(&self.config);
        with_headers(own, terms, &config.browser.cors, |headers| {
            self.put(token, cx, |out| write(out, headers));
        });
    }

    /// Answers a browser that asks on behalf of a page what the page may send. False: the request is no such
    /// question, or the page may send nothing.
    pub(crate) fn preflight(
        &mut self,
        token: Token,
        head: &Head<'_>,
        terms: &Terms,
        cx: &mut Cx<'_>,
    ) -> bool {
        let asks = head.method == Method::Options && head.header("access-control-request-method").is_some();
        if !asks || !matches!(terms.sharing, Sharing::Any | Sharing::Listed(_)) {
            return false;
        }
        let config = std::sync::Arc::clone(&self.config);
        let Cors { methods, headers, max_age, .. } = &config.browser.cors;
        let own = [
            ("Access-Control-Allow-Methods", &**methods),
            ("Access-Control-Allow-Headers", headers),
            ("Access-Control-Max-Age", &max_age.as_secs().to_string()),
        ];
        self.respond_as(token, 204, &own, b"", *terms, cx);
        true
    }
}

#[cfg(test)]
mod tests;
