//! Keys that are fetched: at start, as often as configured, and when a token names one that is not known. Only
//! configured URLs are asked; nothing a token says leads anywhere.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task;
use tokio::time::{self, Instant};
use tracing::{info, warn};
use weir_ring::token::Member;
use weir_shard::limits::{Auth, Key, KeySet, KeyUrl};
use weir_shard::mail::Mail;
use weir_shard::policy::auth::{KeyFault, jwks};

use super::https;
use super::mailbox::Mailbox;

/// Largest JWK Set, bytes.
const BYTES_MAX: u64 = 256 << 10;

/// A token that names an unknown key makes the keys be fetched no sooner after the last time.
const PAUSE: Duration = Duration::from_secs(5);

/// After a failure it is tried again no later.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Why there are no keys of an issuer.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// It was not answered, or not with 200.
    Http(ureq::Error),
    /// It was answered so, as redirects are not followed.
    Status(u16),
    /// The answer is no JWK Set.
    Fault(KeyFault),
    /// The set has no key that can be used.
    NoKey { others: usize },
}

/// The keys of one issuer.
///
/// # Errors
/// They cannot be had.
pub(crate) fn fetch(from: &KeyUrl) -> Result<Vec<Key>, FetchError> {
    let mut answer =
        https::agent(&from.url, https::TIMEOUT).get(&*from.url).call().map_err(FetchError::Http)?;
    if answer.status() != 200 {
        return Err(FetchError::Status(answer.status().as_u16()));
    }
    let body = answer.body_mut().with_config().limit(BYTES_MAX).read_to_vec().map_err(FetchError::Http)?;
    let (keys, others) = jwks(&body, &from.issuer).map_err(FetchError::Fault)?;
    if keys.is_empty() { Err(FetchError::NoKey { others }) } else { Ok(keys) }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::Http(error) => write!(f, "{error}"),
            FetchError::Status(status @ 300..400) => {
                write!(
                    f,
                    "it was answered with {status}, and redirects are not followed; configure the URL itself"
                )
            }
            FetchError::Status(status) => write!(f, "it was answered with {status}"),
            FetchError::Fault(fault) => write!(f, "the answer {fault}"),
            FetchError::NoKey { others } => {
                write!(
                    f,
                    "none of the set's {others} keys is a public RSA, P-256 or Ed25519 key for signatures"
                )
            }
        }
    }
}

/// Fetches keys and tells the shards.
pub(super) struct Keeper {
    /// Those that are configured.
    own: Arc<KeySet>,
    issuers: Vec<Issuer>,
    refresh: Duration,
    mailbox: Mailbox,
}

/// Other keys and issuers, and how often theirs are fetched.
pub(super) struct NewKeys {
    pub(super) auth: Auth,
    pub(super) refresh: Duration,
}

/// An issuer whose keys are fetched.
struct Issuer {
    from: KeyUrl,
    /// The last that were had. They hold while new ones cannot be.
    keys: Vec<Key>,
    /// Tries in a row that came to nothing.
    failures: u32,
}

impl Keeper {
    pub(super) fn new(auth: &Auth, refresh: Duration, mailbox: Mailbox) -> Keeper {
        let issuers = auth.key_urls.iter().map(Issuer::new).collect();
        Keeper { own: auth.keys.clone(), issuers, refresh, mailbox }
    }

    /// Serves the shards that ask by `wanted`, until they are gone. Each is answered, whatever was found. What holds
    /// instead comes by `renewed`.
    pub(super) async fn run(
        mut self,
        mut wanted: UnboundedReceiver<Member>,
        mut renewed: UnboundedReceiver<NewKeys>,
    ) {
        let (mut fetched, mut due) = (None::<Instant>, Instant::now());
        loop {
            let fetches = !self.issuers.is_empty();
            let asker = tokio::select! {
                () = time::sleep_until(due), if fetches => None,
                Some(keys) = renewed.recv() => {
                    if self.renew(keys) {
                        due = Instant::now();
                    }
                    self.tell(self.shards()).await;
                    continue;
                }
                asker = wanted.recv() => match asker {
                    Some(asker) => Some(asker),
                    None => return,
                },
            };
            let soon = fetched.is_some_and(|at| at.elapsed() < PAUSE);
            match asker {
                Some(asker) if soon || !fetches => self.tell([asker]).await,
                _ => {
                    self.fetch().await;
                    fetched = Some(Instant::now());
                    due = Instant::now() + self.patience();
                    self.tell(self.shards()).await;
                }
            }
        }
    }

    /// Takes what holds from now on; of issuers that stay, their keys are known. Whether there are others.
    fn renew(&mut self, NewKeys { auth, refresh }: NewKeys) -> bool {
        let mut before = std::mem::take(&mut self.issuers);
        let mut others = false;
        for from in &auth.key_urls {
            let known = before.iter().position(|issuer| issuer.from == *from);
            others |= known.is_none();
            self.issuers.push(known.map_or_else(|| Issuer::new(from), |at| before.swap_remove(at)));
        }
        (self.own, self.refresh) = (auth.keys, refresh);
        others
    }

    fn shards(&self) -> impl Iterator<Item = Member> + use<> {
        (0..self.mailbox.shards()).map(Member)
    }

    /// How long what was fetched last is good for.
    fn patience(&self) -> Duration {
        match self.issuers.iter().map(|issuer| issuer.failures).max() {
            None | Some(0) => self.refresh,
            Some(failures) => PAUSE.saturating_mul(1 << failures.min(8)).min(RETRY_MAX).min(self.refresh),
        }
    }

    async fn fetch(&mut self) {
        let ask = |issuer: &Issuer| {
            let from = issuer.from.clone();
            task::spawn_blocking(move || fetch(&from))
        };
        let answers: Vec<_> = self.issuers.iter().map(ask).collect();
        for (issuer, answer) in self.issuers.iter_mut().zip(answers) {
            if let Ok(found) = answer.await {
                issuer.note(found);
            }
        }
    }

    async fn tell(&self, shards: impl IntoIterator<Item = Member>) {
        let fetched = self.issuers.iter().flat_map(|issuer| &issuer.keys);
        let keys = Arc::new(KeySet::new(self.own.iter().chain(fetched).cloned()));
        for shard in shards {
            self.mailbox.send(shard, Mail::Keys(keys.clone())).await;
        }
    }
}

impl Issuer {
    fn new(from: &KeyUrl) -> Issuer {
        Issuer { from: from.clone(), keys: Vec::new(), failures: 0 }
    }

    /// Says the first failure, and the end of all.
    fn note(&mut self, found: Result<Vec<Key>, FetchError>) {
        let KeyUrl { issuer, url } = &self.from;
        match found {
            Ok(keys) => {
                if self.failures > 0 || self.keys.is_empty() {
                    info!(issuer = %issuer, keys = keys.len(), "the issuer's keys were fetched");
                }
                self.failures = 0;
                self.keys = keys;
            }
            Err(error) => {
                if self.failures == 0 {
                    warn!(
                        "the keys of {issuer} cannot be fetched from {url}: {error}. It is tried again; until then {} of \
                         its keys are known",
                        self.keys.len()
                    );
                }
                self.failures = self.failures.saturating_add(1);
            }
        }
    }
}
