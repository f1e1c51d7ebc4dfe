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
        let (at, name) = (name.span().start, name.get_ref());
        let key = format!("{KEY}.{name}");
        let DeValue::Table(bounds) = value.get_ref() else {
            let wanted = "a section such as { limit = 10, per = \"1s\" }".to_owned();
            let fault = Fault::Value { value: Value::of_toml(value.get_ref()), wanted };
            problems.push(document.problem(at, key, fault));
            continue;
        };
        settings.method = Limit::default();
        if !bounds.contains_key("limit") {
            problems.push(document.problem(at, key.clone(), Fault::Missing("limit")));
        }
        for (bound, value) in bounds {
            if let Err(fault) = set(settings, bound.get_ref(), value) {
                problems.push(document.problem(
                    bound.span().start,
                    format!("{key}.{}", bound.get_ref()),
                    fault,
                ));
            }
        }
        settings.methods.push(Method { name: name.as_ref().into(), limit: settings.method });
    }
}

fn set(settings: &mut Settings, name: &str, value: &Spanned<DeValue<'_>>) -> Result<(), Fault> {
    match METHOD_KEYS.iter().find(|key| key.name == name) {
        Some(key) => key.set(settings, Value::of_toml(value.get_ref())),
        None => {
            let nearest = nearest(name, METHOD_KEYS.iter().map(|key| key.name));
            Err(Fault::Unknown { nearest: nearest.map(|near| format!("{KEY}.*.{near}")) })
        }
    }
}
