//! Results that their servers let be kept for everyone (server/utilities/caching), as far as one shard has
//! seen them: lists and resources, until their time is up or the server says that they have changed.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_ring::time::Instant;
use weir_transports::mcp::hints::{Hints, Scope};
use weir_transports::mcp::splice::splice;
use weir_transports::mcp::{Method, object};

use crate::upstream::UpstreamId;

/// Results that are kept at most; the oldest make room.
const RESULTS_MAX: usize = 1_024;

/// Their bytes, and those of what names them.
const BYTES_MAX: usize = 8 << 20;

/// The longest time that a result is kept, whatever its server allows.
const KEPT_MAX: Duration = Duration::from_secs(3_600);

/// What a result is the answer to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    server: UpstreamId,
    method: &'static str,
    /// The server's own cursor or URI; `None`: the list's first page.
    place: Option<Box<str>>,
}

/// A request whose answer may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    key: Key,
    /// News of the server before it was asked: what it says after more of them may be from before them.
    news: u64,
}

/// Results by what they answer.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    results: BTreeMap<Key, Kept>,
    /// The oldest first.
    ages: BTreeMap<u64, Key>,
    bytes: usize,
    next_age: u64,
    /// How often each server's results were forgotten.
    news: BTreeMap<UpstreamId, u64>,
}

#[derive(Debug)]
struct Kept {
    result: Box<str>,
    /// As far as its server allows.
    fresh_until: Instant,
    /// As far as it is kept here.
    kept_until: Instant,
    age: u64,
}

impl Key {
    /// The name of what a server is asked with `params`; `own` is its own name for the resource, where
    /// clients call it otherwise. `None`: the answer is not one to keep, or depends on more than the place.
    pub(crate) fn of(
        server: UpstreamId,
        method: Method,
        params: Option<&str>,
        own: Option<&str>,
    ) -> Option<Key> {
        let named = if method == Method::ResourcesRead { "uri" } else { "cursor" };
        if method.list_key().is_none() && method != Method::ResourcesRead {
            return None;
        }
        let mut place = None;
        for member in object::members(params.unwrap_or("{}")) {
            match member.ok()? {
                (key, value) if key == named => place = Some(object::string(value)?.into_owned()),
                (key, _) if key == "_meta" => {}
                _ => return None,
            }
        }
        let place = own.map(str::to_owned).or(place).map(String::into_boxed_str);
        Some(Key { server, method: method.name()?, place })
    }

    fn len(&self) -> usize {
        self.place.as_deref().map_or(0, str::len)
    }
}

impl Cache {
    /// What the answer to a request that goes out now would be kept as.
    pub(crate) fn wish(&self, key: Key) -> Wish {
        let news = self.news.get(&key.server).copied().unwrap_or_default();
        Wish { key, news }
    }

    /// Keeps a result, if its server lets it be kept for everyone.
    pub(crate) fn keep(&mut self, wish: Wish, result: &str, now: Instant) {
        let Wish { key, news } = wish;
        let hints = Hints::read(result);
        let size = result.len() + key.len();
        if hints.scope != Scope::Public || hints.ttl_ms == 0 || size > BYTES_MAX || !is_complete(result) {
            return;
        }
        if self.news.get(&key.server).copied().unwrap_or_default() != news {
            return;
        }
        self.remove(&key);
        while self.results.len() >= RESULTS_MAX || self.bytes + size > BYTES_MAX {
            let Some((_, oldest)) = self.ages.pop_first() else { break };
            self.remove(&oldest);
        }
        let ttl = Duration::from_millis(hints.ttl_ms);
        let (fresh_until, kept_until) = (now.plus(ttl), now.plus(ttl.min(KEPT_MAX)));
        let age = self.next_age;
        self.next_age += 1;
        self.bytes += size;
        self.ages.insert(age, key.clone());
        self.results.insert(key, Kept { result: result.into(), fresh_until, kept_until, age });
    }

    /// The result that answers `key`, with the time in `ttlMs` that is left of it.
    pub(crate) fn get(&mut self, key: &Key, now: Instant) -> Option<String> {
        let kept = self.results.get(key)?;
        if now >= kept.kept_until {
            self.remove(key);
            return None;
        }
        let left = kept.fresh_until.since(now).as_millis().to_string();
        let [ttl] = object::find(&kept.result, ["ttlMs"]).ok()?;
        let mut result = Vec::with_capacity(kept.result.len());
        splice(&mut result, &kept.result, &[(ttl?, left.as_bytes())]);
        String::from_utf8(result).ok()
    }

    /// A server has news: its answers to what these call into question are no longer true.
    pub(crate) fn forget(&mut self, server: UpstreamId, news: Method) {
        if made_stale(news).is_empty() {
            return;
        }
        self.forget_where(server, |key| {
            made_stale(news).iter().any(|stale| stale.name() == Some(key.method))
        });
    }

    /// Nothing is known of a server any more.
    pub(crate) fn forget_server(&mut self, server: UpstreamId) {
        self.forget_where(server, |_| true);
    }

    fn forget_where(&mut self, server: UpstreamId, stale: impl Fn(&Key) -> bool) {
        *self.news.entry(server).or_default() += 1;
        let first = Key { server, method: "", place: None };
        let of_server =
            self.results.range(first..).map(|(key, _)| key).take_while(|key| key.server == server);
        let gone: Vec<Key> = of_server.filter(|key| stale(key)).cloned().collect();
        for key in gone {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(kept) = self.results.remove(key) {
            self.ages.remove(&kept.age);
            self.bytes -= kept.result.len() + key.len();
        }
    }
}

/// The requests whose answers may differ after such news. Those of one resource are about all below its URI
/// too (server/resources, Subscriptions), so they count for every resource of the server.
pub(crate) fn made_stale(news: Method) -> &'static [Method] {
    match news {
        Method::NotificationToolsListChanged => &[Method::ToolsList],
        Method::NotificationPromptsListChanged => &[Method::PromptsList],
        Method::NotificationResourcesListChanged => {
            &[Method::ResourcesList, Method::ResourceTemplatesList, Method::ResourcesRead]
        }
        Method::NotificationResourcesUpdated => &[Method::ResourcesRead],
        _ => &[],
    }
}

/// Whether a result is one, and no question.
fn is_complete(result: &str) -> bool {
    matches!(object::find(result, ["resultType"]), Ok([None | Some("\"complete\"")]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVER: UpstreamId = UpstreamId(3);
    const START: Instant = Instant(5_000_000_000);

    fn page(cursor: &str) -> Key {
        let params = format!(r#"{{"_meta":{{"a":1}},"cursor":"{cursor}"}}"#);
        Key::of(SERVER, Method::ToolsList, Some(&params), None).expect("a page may be kept")
    }

    fn read(server: u16, uri: &str) -> Key {
        let params = format!(r#"{{"uri":"{uri}"}}"#);
        Key::of(UpstreamId(server), Method::ResourcesRead, Some(&params), None).expect("it may be kept")
    }

    fn public(ttl_ms: u64) -> String {
        format!(r#"{{"resultType":"complete","tools":[],"ttlMs":{ttl_ms},"cacheScope":"public"}}"#)
    }

    fn keep(cache: &mut Cache, key: &Key, result: &str) {
        cache.keep(cache.wish(key.clone()), result, START);
    }

    fn after(millis: u64) -> Instant {
        START.plus(Duration::from_millis(millis))
    }

    #[test]
    fn a_key_is_the_place_and_nothing_else() {
        assert_eq!(page("a"), page("a"));
        assert_ne!(page("a"), page("b"));
        let key = |method, params, own| Key::of(SERVER, method, params, own);
        let first = key(Method::ToolsList, None, None);
        assert!(first.is_some() && first == key(Method::ToolsList, Some(r#"{"_meta":{"x":[]}}"#), None));
        assert_ne!(first, key(Method::PromptsList, None, None));
        assert_ne!(first, Some(page("")));
        let escaped = key(Method::ResourcesRead, Some(r#"{"uri":"\u0061"}"#), None);
        assert_eq!(escaped, Some(read(3, "a")));
        assert_eq!(key(Method::ResourcesRead, Some(r#"{"uri":"server/a"}"#), Some("a")), escaped);
        for other in [r#"{"cursor":"a","inputResponses":{}}"#, r#"{"requestState":"s"}"#, r#"{"cursor":1}"#] {
            assert_eq!(key(Method::ToolsList, Some(other), None), None, "{other}");
        }
        for method in [Method::ToolsCall, Method::PromptsGet, Method::CompletionComplete, Method::Discover] {
            assert_eq!(key(method, None, None), None);
        }
    }

    #[test]
    fn what_is_left_of_its_time_is_told_until_it_is_over() {
        let mut cache = Cache::default();
        keep(&mut cache, &page("a"), &public(100));
        assert_eq!(cache.get(&page("a"), START), Some(public(100)));
        assert_eq!(cache.get(&page("a"), after(60)), Some(public(40)));
        assert_eq!(cache.get(&page("b"), after(60)), None);
        assert_eq!(cache.get(&page("a"), after(100)), None);
        assert_eq!((cache.bytes, cache.ages.len()), (0, 0));
        let hours = 7_200_000;
        keep(&mut cache, &page("a"), &public(hours));
        assert_eq!(cache.get(&page("a"), after(3_599_999)), Some(public(hours - 3_599_999)));
        assert_eq!(cache.get(&page("a"), after(3_600_000)), None);
    }

    #[test]
    fn only_what_everyone_may_have_is_kept() {
        let mut cache = Cache::default();
        for result in [
            r#"{"tools":[]}"#,
            r#"{"tools":[],"ttlMs":5}"#,
            r#"{"tools":[],"ttlMs":5,"cacheScope":"private"}"#,
            r#"{"tools":[],"ttlMs":0,"cacheScope":"public"}"#,
            r#"{"resultType":"input_required","ttlMs":5,"cacheScope":"public"}"#,
            "[]",
        ] {
            keep(&mut cache, &page("a"), result);
            assert_eq!(cache.get(&page("a"), START), None, "{result}");
        }
    }

    #[test]
    fn news_make_stale_what_they_are_about() {
        let mut cache = Cache::default();
        let list = Key::of(SERVER, Method::ResourcesList, None, None).expect("it may be kept");
        let all = [page("a"), read(3, "u"), read(4, "u"), list];
        let fill = |cache: &mut Cache| all.iter().for_each(|key| keep(cache, key, &public(9)));
        let left = |cache: &mut Cache| all.each_ref().map(|key| cache.get(key, START).is_some());
        fill(&mut cache);
        cache.forget(SERVER, Method::NotificationProgress);
        assert_eq!(left(&mut cache), [true; 4]);
        cache.forget(SERVER, Method::NotificationToolsListChanged);
        assert_eq!(left(&mut cache), [false, true, true, true]);
        cache.forget(SERVER, Method::NotificationResourcesUpdated);
        assert_eq!(left(&mut cache), [false, false, true, true]);
        fill(&mut cache);
        cache.forget(SERVER, Method::NotificationResourcesListChanged);
        assert_eq!(left(&mut cache), [true, false, true, false]);
        cache.forget_server(UpstreamId(4));
        assert_eq!(left(&mut cache), [true, false, false, false]);
    }

    #[test]
    fn an_answer_that_news_have_overtaken_is_not_kept() {
        let mut cache = Cache::default();
        let wish = cache.wish(page("a"));
        cache.forget(SERVER, Method::NotificationToolsListChanged);
        cache.keep(wish, &public(9), START);
        assert_eq!(cache.get(&page("a"), START), None);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut cache = Cache::default();
        for n in 0..=RESULTS_MAX {
            keep(&mut cache, &page(&n.to_string()), &public(9));
        }
        assert_eq!(cache.results.len(), RESULTS_MAX);
        assert!(cache.get(&page("0"), START).is_none() && cache.get(&page("1"), START).is_some());
        let large = |len: usize| public(9).replace("[]", &format!("[{}]", " ".repeat(len)));
        keep(&mut cache, &page("large"), &large(BYTES_MAX - 200));
        assert!(cache.get(&page("large"), START).is_some() && cache.results.len() < 4);
        keep(&mut cache, &page("huge"), &large(BYTES_MAX));
        assert!(cache.get(&page("huge"), START).is_none() && cache.get(&page("large"), START).is_some());
    }

    proptest! {
        /// The bytes and the ages are those of what is kept, after every step.
        #[test]
        fn the_books_are_right(steps in prop::collection::vec((0_u8..4, 0_u8..8, 0_u16..300), 0..60)) {
            let mut cache = Cache::default();
            for (step, place, more) in steps {
                let key = page(&"x".repeat(usize::from(place)));
                match step {
                    0 => drop(cache.get(&key, after(u64::from(more)))),
                    1 if more < 30 => cache.forget(SERVER, Method::NotificationToolsListChanged),
                    _ => keep(&mut cache, &key, &public(u64::from(more))),
                }
                let held: usize = cache.results.iter().map(|(key, kept)| kept.result.len() + key.len()).sum();
                prop_assert_eq!(cache.bytes, held);
                let ages: Vec<_> = cache.ages.values().collect();
                prop_assert_eq!(ages.len(), cache.results.len());
                prop_assert!(cache.ages.iter().all(|(age, key)| cache.results[key].age == *age));
            }
        }
    }
}
