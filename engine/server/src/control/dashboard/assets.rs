//! The page and what it is made of: files of this folder, in the binary. Nothing comes from elsewhere, and nothing in the
//! page runs that is not one of them.

use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use weir_shard::error::Error;

use crate::control::api::refuse;

/// What the page may do: run and load what this port serves, and ask it. Trusted types: no text becomes markup.
const POLICY: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'",
    ),
);

const PAGE: &str = include_str!("page/index.html");

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file of the folder `page`, under the name of its last part.
macro_rules! file {
    ($path:literal, $kind:expr) => {
        ($path, $kind, include_str!(concat!("page/", $path)))
    };
}

/// Path within `page`, type, and text.
const FILES: &[(&str, &str, &str)] = &[
    file!("icon.svg", "image/svg+xml"),
    file!("base.css", STYLE),
    file!("panels.css", STYLE),
    file!("main.js", SCRIPT),
    file!("stream.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("format.js", SCRIPT),
    file!("theme.js", SCRIPT),
    file!("access.js", SCRIPT),
    file!("chart.js", SCRIPT),
    file!("summary.js", SCRIPT),
    file!("throughput.js", SCRIPT),
    file!("latency.js", SCRIPT),
    file!("connections.js", SCRIPT),
    file!("errors.js", SCRIPT),
    file!("control.js", SCRIPT),
    file!("vsm.js", SCRIPT),
    file!("signals.js", SCRIPT),
    file!("drain.js", SCRIPT),
    file!("ring.js", SCRIPT),
    file!("clients.js", SCRIPT),
    file!("vendor/uplot-1.6.32/uPlot.iife.min.js", SCRIPT),
    file!("vendor/uplot-1.6.32/uPlot.min.css", STYLE),
    file!("vendor/uplot-1.6.32/LICENSE", TEXT),
];

/// The page itself.
pub(in crate::control) async fn page() -> Response {
    ([POLICY, (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], PAGE)
        .into_response()
}

/// One of the files that the page is made of.
pub(super) async fn file(Path(name): Path<String>) -> Response {
    let found = FILES.iter().find(|(path, ..)| path.rsplit('/').next() == Some(&*name));
    match found {
        Some((_, kind, text)) => ([(header::CONTENT_TYPE, *kind)], *text).into_response(),
        None => refuse(&Error::NotFound { what: "file" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_its_files_name_only_files_that_are_there_and_all_of_them() {
        let name = |path: &'static str| path.rsplit('/').next().expect("a name");
        let mut unnamed: Vec<&str> = FILES.iter().map(|(path, ..)| name(path)).collect();
        let scripts = FILES.iter().filter(|(path, ..)| !path.starts_with("vendor")).map(|(.., text)| *text);
        for text in scripts.chain([PAGE]) {
            let absolute = text.split("/mcp/dashboard/").skip(1);
            let relative = text.split("from './").skip(1);
            for rest in absolute.chain(relative) {
                let named = rest.split(['"', '\'']).next().expect("a name");
                assert!(FILES.iter().any(|(path, ..)| name(path) == named), "{named} is not there");
                unnamed.retain(|name| *name != named);
            }
        }
        assert_eq!(unnamed, ["LICENSE"]);
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_nothing_runs_in_the_page() {
        for (path, _, text) in FILES.iter().filter(|(path, ..)| !path.starts_with("vendor")) {
            let elsewhere = text.split("://").count() > 1 && !text.contains("http://www.w3.org/2000/svg");
            assert!(!elsewhere, "{path} names another host");
        }
        for forbidden in ["<script>", "<style", " style=", " onclick=", "://"] {
            assert!(!PAGE.contains(forbidden), "the page has {forbidden}");
        }
    }
}
