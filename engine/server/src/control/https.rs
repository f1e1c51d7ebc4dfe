//! The control thread's own requests over HTTP and TLS, each on a thread that may wait.

use std::time::Duration;

use ureq::Agent;

/// How long one answer may take, from the look-up of the host to its last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What asks `url`. Redirects are not followed: who configures a URL means that one.
pub(super) fn agent(url: &str) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")));
    let tls = url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
    // A proxy has nothing to say about this machine.
    let config = if tls { config } else { config.proxy(None) };
    config.build().new_agent()
}
