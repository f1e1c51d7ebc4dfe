//! The two text formats that scrapers read: Prometheus's own (0.0.4) and OpenMetrics 1.0. They differ in the names of
//! counters' families, in two types and in the last line.

use std::fmt::{Display, Write};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use weir_shard::metrics::Histogram;

/// What a scraper reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Prometheus,
    OpenMetrics,
}

/// What a family's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// Facts in labels; its name ends with `_info`, its value is 1.
    Info,
}

/// All families, written one after the other.
pub(super) struct Page {
    format: Format,
    text: String,
}

/// One family that is being written.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

/// Names and values; values are escaped.
pub(super) type Labels<'a> = [(&'static str, &'a str)];

impl Format {
    /// What the request would rather have: OpenMetrics only if it says so, and says nothing better of plain text.
    pub(super) fn of(headers: &HeaderMap) -> Format {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut open, mut plain) = (0.0, 0.0);
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            match media {
                "application/openmetrics-text" => open = f32::max(open, weight),
                "text/plain" => plain = f32::max(plain, weight),
                _ => {}
            }
        }
        if open > 0.0 && open >= plain { Format::OpenMetrics } else { Format::Prometheus }
    }

    /// The header `Content-Type`.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Page {
    /// Nothing yet.
    pub(super) fn new(format: Format) -> Page {
        Page { format, text: String::with_capacity(64 << 10) }
    }

    /// What only grows; its name ends with `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Counter, help)
    }

    /// What goes up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Gauge, help)
    }

    /// Times; its name ends with `_seconds`.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Histogram, help)
    }

    /// Facts; its name ends with `_info`.
    pub(super) fn info(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Info, help)
    }

    fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let open = self.format == Format::OpenMetrics;
        let (family, kind) = match kind {
            Kind::Counter if open => (name.trim_end_matches("_total"), "counter"),
            Kind::Counter => (name, "counter"),
            Kind::Gauge => (name, "gauge"),
            Kind::Histogram => (name, "histogram"),
            Kind::Info if open => (name.trim_end_matches("_info"), "info"),
            Kind::Info => (name, "gauge"),
        };
        let text = &mut self.text;
        write(text, format_args!("# HELP {family} {help}\n# TYPE {family} {kind}\n"));
        Family { text, name }
    }

    /// All of it.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

impl Family<'_> {
    /// One value.
    pub(super) fn sample(&mut self, labels: &Labels<'_>, value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// The same for each of `values`, by the label `name`.
    pub(super) fn each<'a, V: Display>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) {
        for (label, value) in values {
            self.sample(&[(name, label)], value);
        }
    }

    /// One histogram.
    pub(super) fn times(&mut self, labels: &Labels<'_>, times: &Histogram) -> &mut Self {
        for (bound, count) in times.cumulated() {
            self.line("_bucket", labels, Some(bound), count);
        }
        let count = times.len();
        self.infinity(labels, count);
        self.line("_sum", labels, None, times.sum().as_secs_f64());
        self.line("_count", labels, None, count);
        self
    }

    fn infinity(&mut self, labels: &Labels<'_>, count: u64) {
        let labels: Vec<_> = labels.iter().copied().chain([("le", "+Inf")]).collect();
        self.line("_bucket", &labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: &Labels<'_>, bound: Option<Duration>, value: impl Display) {
        write(self.text, format_args!("{}{suffix}", self.name));
        let mut before = '{';
        for (name, value) in labels {
            write(self.text, format_args!("{before}{name}=\""));
            escape(self.text, value);
            self.text.push('"');
            before = ',';
        }
        if let Some(bound) = bound {
            write(self.text, format_args!("{before}le=\"{}\"", bound.as_secs_f64()));
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        write(self.text, format_args!(" {value}\n"));
    }
}

/// To a text, which takes everything.
fn write(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: &str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().expect("a header"));
        Format::of(&headers)
    }

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(asked(prometheus), Format::OpenMetrics);
        for plain in [
            "*/*",
            "text/plain",
            "application/openmetrics-text;q=0",
            "text/plain, application/openmetrics-text;q=0.5",
        ] {
            assert_eq!(asked(plain), Format::Prometheus, "{plain}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), Format::Prometheus);
    }

    #[test]
    fn families_are_written_in_either_format() {
        let mut times = Histogram::default();
        times.record(Duration::from_micros(3));
        let write = |format| {
            let mut page = Page::new(format);
            page.counter("a_total", "What.").sample(&[("b", "x\"\\\ny")], 7_u64).sample(&[], 1.5);
            page.info("weir_build_info", "Which.").sample(&[("version", "1")], 1);
            page.histogram("t_seconds", "How long.").times(&[("shard", "0")], &times);
            page.finish()
        };
        let plain = write(Format::Prometheus);
        let start = "# HELP a_total What.\n# TYPE a_total counter\na_total{b=\"x\\\"\\\\\\ny\"} 7\na_total 1.5\n\
            # HELP weir_build_info Which.\n# TYPE weir_build_info gauge\nweir_build_info{version=\"1\"} 1\n";
        assert!(plain.starts_with(start), "{plain}");
        for line in [
            "t_seconds_bucket{shard=\"0\",le=\"0.000002048\"} 0\n",
            "t_seconds_bucket{shard=\"0\",le=\"0.000004096\"} 1\n",
            "t_seconds_bucket{shard=\"0\",le=\"+Inf\"} 1\n",
            "t_seconds_sum{shard=\"0\"} 0.000003\n",
            "t_seconds_count{shard=\"0\"} 1\n",
        ] {
            assert!(plain.contains(line), "{line}\n{plain}");
        }
        let open = write(Format::OpenMetrics);
        assert!(open.starts_with("# HELP a What.\n# TYPE a counter\na_total{"), "{open}");
        assert!(
            open.contains("# TYPE weir_build info\nweir_build_info{") && open.ends_with("\n# EOF\n"),
            "{open}"
        );
    }
}
