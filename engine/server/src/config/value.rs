//! Values as they are written: in a file with TOML's types, in a variable or flag as text.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use toml::de::{DeTable, DeValue};
use weir_shard::limits::{Algorithm, Origin, Origins, PayloadKey, Secret, Subject};

/// A value before its key has judged it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Switch(bool),
    Number(i64),
    Fraction(f64),
    Text(String),
    List(Vec<Value>),
    /// A text that nobody is shown, of so many bytes.
    Hidden {
        bytes: usize,
    },
    /// None of the above; what it is instead.
    Other(&'static str),
}

impl Value {
    pub(super) fn of_toml(value: &DeValue<'_>) -> Value {
        match value {
            DeValue::Boolean(switch) => Value::Switch(*switch),
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map_or(Value::Other("an integer beyond 64 bits"), Value::Number),
            DeValue::Float(float) => {
                float.as_str().parse().map_or(Value::Other("a number with a fraction"), Value::Fraction)
            }
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(items) => {
                Value::List(items.iter().map(|item| Value::of_toml(item.get_ref())).collect())
            }
            DeValue::Table(_) => Value::Other("a section"),
        }
    }

    /// Text that reads as a switch or a number is one. A list is text, with commas between.
    pub(super) fn of_text(text: &str) -> Value {
        match text {
            "true" => Value::Switch(true),
            "false" => Value::Switch(false),
            _ => text
                .parse()
                .map(Value::Number)
                .or_else(|_| text.parse().map(Value::Fraction))
                .unwrap_or_else(|_| Value::Text(text.to_owned())),
        }
    }
}

impl Value {
    /// The text it is.
    pub(super) fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Switch(switch) => write!(f, "{switch}"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Fraction(fraction) => write!(f, "{fraction}"),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::List(_) => f.write_str("a list"),
            Value::Hidden { bytes } => write!(f, "a text of {bytes} bytes"),
            Value::Other(kind) => f.write_str(kind),
        }
    }
}

/// Units of durations, from the largest.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration as it is written: a whole number and `ms`, `s`, `m` or `h`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, millis) = UNITS.into_iter().find(|(name, _)| *name == unit.trim_start())?;
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(millis)?))
}

/// A duration of whole milliseconds in the largest unit that takes it without a fraction.
pub(super) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis() as u64;
    let (unit, size) = UNITS
        .into_iter()
        .find(|(_, size)| millis > 0 && millis.is_multiple_of(*size))
        .unwrap_or(("s", 1_000));
    format!("{}{unit}", millis / size)
}

/// Core numbers as they are written: `0,2-5`. Nothing is no core.
pub(super) fn cores(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last {
            return None;
        }
        cores.extend((first..=last).map(usize::from));
    }
    Some(cores)
}

/// The sections of a list, and the byte each of them begins at. `None`: it is no list, or not of sections alone.
pub(super) fn sections<'v>(list: &'v DeValue<'v>) -> Option<Vec<(usize, &'v DeTable<'v>)>> {
    list.as_array()?.iter().map(|item| Some((item.span().start, item.get_ref().as_table()?))).collect()
}

/// Texts as they are written, in a list or with commas between.
pub(super) fn texts(value: &Value) -> Option<Vec<Box<str>>> {
    match value {
        Value::Text(text) if text.trim().is_empty() => Some(Vec::new()),
        Value::Text(text) => Some(text.split(',').map(|part| part.trim().into()).collect()),
        Value::List(items) => items.iter().map(|item| item.as_text().map(Box::from)).collect(),
        _ => None,
    }
}

/// Algorithms of signatures as they are written, as texts are.
pub(super) fn algorithms(value: &Value) -> Option<Vec<Algorithm>> {
    texts(value)?.iter().map(|name| Algorithm::of_name(name)).collect()
}

/// Who is on the blacklist, as texts are.
pub(super) fn subjects(value: &Value) -> Option<Vec<Subject>> {
    texts(value)?.iter().map(|text| text.parse().ok()).collect()
}

/// Keys of payloads, as texts are: a name, a colon, and 32 bytes in base64. One without a name is called `1`.
pub(super) fn payload_keys(value: &Value) -> Option<Vec<PayloadKey>> {
    texts(value)?.iter().map(|text| payload_key(text)).collect()
}

fn payload_key(text: &str) -> Option<PayloadKey> {
    let (id, key) = text.split_once(':').unwrap_or(("1", text));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = (1..=64).contains(&id.len()) && id.bytes().all(allowed);
    let bytes = STANDARD.decode(key).ok().filter(|bytes| is_name && bytes.len() == 32)?;
    Some(PayloadKey { id: id.into(), secret: Secret::new(bytes) })
}

/// Hosts as they are written, as texts are: names or addresses without port, IPv6 in brackets. They are compared
/// in lower case.
pub(super) fn hosts(value: &Value) -> Option<Vec<Box<str>>> {
    let lower = |text: Box<str>| is_host(&text).then(|| text.to_ascii_lowercase().into());
    texts(value)?.into_iter().map(lower).collect()
}

/// IP addresses and networks (`10.0.0.0/8`) as they are written, as texts are.
pub(super) fn networks(value: &Value) -> Option<Vec<IpNet>> {
    let network = |text: Box<str>| match text.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical().into()),
        Err(_) => text.parse::<IpNet>().ok().map(|network| network.trunc()),
    };
    texts(value)?.into_iter().map(network).collect()
}

/// Origins as they are written, as texts are; `*` is all there are.
pub(super) fn origins(value: &Value) -> Option<Origins> {
    let texts = texts(value)?;
    match texts.as_slice() {
        [all] if **all == *"*" => Some(Origins::Any),
        texts => texts.iter().map(|text| Origin::parse(text)).collect::<Option<_>>().map(Origins::Listed),
    }
}

/// Names of methods or headers as they are written, as texts are, and as one header has them.
pub(super) fn tokens(value: &Value) -> Option<Box<str>> {
    let texts = texts(value)?;
    texts.iter().all(|text| is_token(text)).then(|| texts.join(", ").into())
}

/// Whether it may name a header (RFC 9110, 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Whether it is what may stand before the port in a `Host` header: a name, an IPv4 address, or an IPv6 address
/// in brackets (RFC 3986, 3.2.2).
pub(super) fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_whole_number_and_a_unit() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1 h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "30", "s", "0.5s", "-1s", "1d", "1s2", "99999999999999999999s", "18446744073709551615h"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["0s", "1ms", "1500ms", "90s", "5m", "24h"] {
            assert_eq!(duration(text).map(duration_text).as_deref(), Some(text));
        }
    }

    #[test]
    fn hosts_have_no_port_and_are_in_lower_case() {
        let list = |texts: &[&str]| Value::List(texts.iter().map(|text| Value::of_text(text)).collect());
        let read = |value: &Value| hosts(value).map(|hosts| hosts.join(" "));
        assert_eq!(read(&list(&["Weir.example", "[::1]"])).as_deref(), Some("weir.example [::1]"));
        assert_eq!(read(&Value::of_text("a, 10.0.0.1")).as_deref(), Some("a 10.0.0.1"));
        assert_eq!(read(&Value::of_text("")).as_deref(), Some(""));
        for text in ["a:80", "::1", "[::1]:80", "http://a", "a,,b", "a b"] {
            assert_eq!(hosts(&Value::of_text(text)), None, "{text}");
        }
        assert_eq!(hosts(&list(&["a,b"])), None);
        assert_eq!(hosts(&list(&["1"])), None);
    }

    #[test]
    fn networks_are_addresses_and_ranges_of_them() {
        let read = |text: &str| {
            let networks = networks(&Value::of_text(text))?;
            Some(networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(read("10.1.2.3/8, ::1").as_deref(), Some("10.0.0.0/8 ::1/128"));
        assert_eq!(read("::ffff:192.0.2.1").as_deref(), Some("192.0.2.1/32"));
        assert_eq!(read("").as_deref(), Some(""));
        for text in ["10.0.0.0/33", "localhost", "10.0.0", "10.0.0.1,", "::/129"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn keys_of_payloads_have_names_and_32_bytes() {
        let key = STANDARD.encode([7; 32]);
        let read = |text: &str| payload_keys(&Value::Text(text.to_owned()));
        let names = |keys: Option<Vec<PayloadKey>>| {
            keys.map(|keys| keys.iter().map(|key| key.id.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(
            names(read(&format!("2026-11:{key}, {key}"))),
            Some(vec!["2026-11".to_owned(), "1".to_owned()])
        );
        assert_eq!(read(&key).expect("a key")[0].secret, Secret::new([7; 32]));
        for text in ["a b:KEY", ":KEY", "a:", "a:QUJD", "KEYA", "a:b:KEY"] {
            assert_eq!(read(&text.replace("KEY", &key)), None, "{text}");
        }
    }

    #[test]
    fn origins_have_a_scheme_and_no_path() {
        let read = |text: &str| origins(&Value::of_text(text));
        let origin = |text: &str| Origin::parse(text).expect("right");
        let two = Origins::Listed(vec![origin("https://a.example"), origin("http://localhost:5173")]);
        assert_eq!(read("https://A.example, http://localhost:5173"), Some(two));
        assert_eq!((read("*"), read("")), (Some(Origins::Any), Some(Origins::Listed(Vec::new()))));
        for text in [
            "a.example",
            "null",
            "https://a.example/",
            "https://*.example",
            "*,https://a.example",
            "https://\u{fc}.example",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn headers_and_methods_are_tokens() {
        assert_eq!(tokens(&Value::of_text("GET,POST")).as_deref(), Some("GET, POST"));
        assert_eq!(tokens(&Value::List(Vec::new())).as_deref(), Some(""));
        assert_eq!(tokens(&Value::List(vec![Value::of_text("X-A: b")])), None);
    }

    #[test]
    fn cores_are_numbers_and_ranges() {
        assert_eq!(cores("0"), Some(vec![0]));
        assert_eq!(cores("3, 0-2"), Some(vec![3, 0, 1, 2]));
        assert_eq!(cores(" "), Some(Vec::new()));
        for text in ["a", "1-", "2-1", "1,,2", "-1", "0-99999999"] {
            assert_eq!(cores(text), None, "{text}");
        }
    }
}
