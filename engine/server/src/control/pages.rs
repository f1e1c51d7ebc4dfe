//! The admin port and web pages: those of other origins are kept out, and no answer may be used as a part of
//! another page.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use weir_shard::error::Error;
use weir_shard::limits::{Browser, Origins};
use weir_shard::policy::Provenance;

use super::api::refuse;
use super::current::Current;

/// What every answer says that does not say otherwise. Answers tell of clients, so nobody may keep them.
const GUARD: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The rules of the admin port: as those of the data ports, but pages of applications are no operators.
pub(super) fn rules(data: &Browser) -> Browser {
    let nobody = Origins::Listed(Vec::new());
    let mut rules = data.clone();
    (rules.origins, rules.cors.origins) = (nobody.clone(), nobody);
    rules
}

/// Refuses what pages of other origins send, and marks every answer.
pub(super) async fn guard(State(rules): State<Current<Browser>>, request: Request, next: Next) -> Response {
    let mut response = match check(&rules.get(), request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => refuse(&error),
    };
    for (name, value) in GUARD {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// Whether a request may be served. Whoever follows a link from elsewhere changes nothing here.
fn check(rules: &Browser, method: &Method, headers: &HeaderMap) -> Result<(), Error> {
    // A value that is no text is no name of anybody.
    let texts = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("")));
    let provenance = Provenance::of(texts);
    let follows = matches!(*method, Method::GET | Method::HEAD);
    let fetch_site = provenance.fetch_site.filter(|_| !follows);
    Provenance { fetch_site, ..provenance }.check(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_others_are_kept_out_and_links_are_not() {
        let open = Browser { origins: Origins::Any, ..Browser::default() };
        let checked = |method: Method, headers: &[(&'static str, &'static str)]| {
            let pairs = headers.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
            });
            check(&rules(&open), &method, &pairs.collect())
        };
        let (host, link) = (("host", "localhost:4000"), ("sec-fetch-site", "cross-site"));
        assert_eq!(checked(Method::POST, &[host]), Ok(()));
        assert_eq!(checked(Method::GET, &[host, link]), Ok(()));
        assert_eq!(checked(Method::POST, &[host, link]), Err(Error::Origin));
        assert_eq!(checked(Method::DELETE, &[host, ("origin", "http://localhost:4000")]), Ok(()));
        assert_eq!(checked(Method::GET, &[host, ("origin", "https://evil.example")]), Err(Error::Origin));
        assert_eq!(
            checked(Method::GET, &[host, ("origin", "http://b\u{fc}cher.example")]),
            Err(Error::Origin)
        );
        assert_eq!(checked(Method::GET, &[("host", "evil.example:4000")]), Err(Error::Host));
    }
}
