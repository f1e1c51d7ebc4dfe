//! Requests over HTTP and TLS: those of the control thread, each on a thread that may wait, and those of commands.

use std::time::Duration;

use ureq::Agent;

/// How long an answer may take where nothing else is said, from the look-up of the host to its last byte.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// What asks `url`, and waits for each answer for `timeout` at most. Redirects are not followed: who configures a URL
/// means that one.
pub(crate) fn agent(url: &str, timeout: Duration) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")));
    let tls = url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
    // A proxy has nothing to say about this machine.
    let config = if tls { config } else { config.proxy(None) };
    config.build().new_agent()
}
