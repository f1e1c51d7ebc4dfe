//! `[rate_limiting.methods]`: limits of single methods, each under the method's name.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use weir_shard::limits::MethodLimit;

use super::file::Document;
use super::keys::METHOD_KEYS;
use super::nearest::nearest;
use super::problem::{Fault, Problem};
use super::settings::{Limit, Settings};
use super::value::Value;

/// What the section is called.
pub(super) const KEY: &str = "rate_limiting.methods";

/// The limit of one method, as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Method {
    name: Box<str>,
    limit: Limit,
}

impl Method {
    /// As a shard wants it.
    pub(super) fn limit(&self) -> MethodLimit {
        MethodLimit { name: self.name.clone(), rate: self.limit.rate() }
    }
}

/// Adds the limits of `table`.
pub(super) fn apply(
    document: &Document<'_>,
    table: &DeTable<'_>,
    settings: &mut Settings,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in table {
        let key = format!("{KEY}.{}", name.get_ref());
        let place = (name.span().start, value.get_ref());
        if let Some(limit) = limit(document, (&key, &format!("{KEY}.*")), place, problems) {
            settings.methods.push(Method { name: name.get_ref().as_ref().into(), limit });
        }
    }
}

/// A limit such as `{ limit = 10, per = "1s" }` at a byte of `document`. The key it is of is called one thing where it
/// is wrong, and another where a better one is named. `None`: it is none.
pub(super) fn limit(
    document: &Document<'_>,
    (key, kind): (&str, &str),
    (at, value): (usize, &DeValue<'_>),
    problems: &mut Vec<Problem>,
) -> Option<Limit> {
    let DeValue::Table(bounds) = value else {
        let wanted = "a section such as { limit = 10, per = \"1s\" }".to_owned();
        let fault = Fault::Value { value: Value::of_toml(value), wanted };
        problems.push(document.problem(at, key.to_owned(), fault));
        return None;
    };
    // Keys set what they are of in settings.
    let mut settings = Settings::default();
    if !bounds.contains_key("limit") {
        problems.push(document.problem(at, key.to_owned(), Fault::Missing("limit")));
    }
    for (bound, value) in bounds {
        let name = bound.get_ref();
        if let Err(fault) = set(&mut settings, (name, kind), value) {
            problems.push(document.problem(bound.span().start, format!("{key}.{name}"), fault));
        }
    }
    Some(settings.method)
}

fn set(
    settings: &mut Settings,
    (name, kind): (&str, &str),
    value: &Spanned<DeValue<'_>>,
) -> Result<(), Fault> {
    match METHOD_KEYS.iter().find(|key| key.name == name) {
        Some(key) => key.set(settings, Value::of_toml(value.get_ref())),
        None => {
            let nearest = nearest(name, METHOD_KEYS.iter().map(|key| key.name));
            Err(Fault::Unknown { nearest: nearest.map(|near| format!("{kind}.{near}")) })
        }
    }
}
