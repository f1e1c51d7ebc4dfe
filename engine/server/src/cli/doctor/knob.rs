//! The list of what can be set on a host, and whether what is set will do. `tuning/check` reads the same list.

use serde::Deserialize;

/// The list, as it is in the repository.
const LIST: &str = include_str!("../../../../../tuning/knobs.toml");

/// One thing that can be set. The texts are for people; `tuning/knobs.toml` says what they mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Knob {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) path: String,
    pub(super) want: String,
    pub(super) why: String,
    pub(super) effect: String,
    pub(super) apply: String,
    pub(super) revert: String,
}

/// Where its value is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// A file below /proc/sys.
    Sysctl,
    /// A hard limit of processes.
    Limit,
    /// Files that a pattern finds.
    File,
    /// Interrupts whose numbers a pattern finds.
    Irq,
    /// The kernel's version.
    Kernel,
}

/// What its value should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// No value is better.
    Any,
    /// This or more; versions number by number.
    AtLeast(String),
    /// This.
    Exactly(String),
    /// Two numbers that span these.
    Span(u64, u64),
    /// A mask of all cores.
    Cores,
    /// One core for each of several, in turn.
    Spread,
}

#[derive(Deserialize)]
struct List {
    knob: Vec<Knob>,
}

/// All knobs.
///
/// # Errors
/// The list that is built in is none: a test sees to it that it is.
pub(super) fn all() -> Result<Vec<Knob>, toml::de::Error> {
    toml::from_str::<List>(LIST).map(|list| list.knob)
}

impl Want {
    /// As the list writes it. None: it is none of these.
    pub(super) fn of(text: &str) -> Option<Want> {
        if let Some(least) = text.strip_prefix(">= ") {
            return Some(Want::AtLeast(least.to_owned()));
        }
        if let Some(value) = text.strip_prefix("= ") {
            return Some(Want::Exactly(value.to_owned()));
        }
        match text {
            "any" => Some(Want::Any),
            "cores" => Some(Want::Cores),
            "spread" => Some(Want::Spread),
            _ => {
                let (low, high) = text.split_once("..")?;
                Some(Want::Span(low.parse().ok()?, high.parse().ok()?))
            }
        }
    }

    /// Whether `value` will do, of the `index`-th that a knob of this `kind` finds on a host with these `cores`.
    pub(super) fn holds(&self, value: &str, kind: Kind, index: usize, cores: &[usize]) -> bool {
        let one = |cores: &[usize]| cores.get(index % cores.len().max(1)).copied();
        match self {
            Want::Any => true,
            Want::AtLeast(least) => value == "unlimited" || numbers(value) >= numbers(least),
            Want::Exactly(wanted) => value == wanted,
            Want::Span(low, high) => {
                let mut ends = value.split_whitespace().map(str::parse::<u64>);
                matches!((ends.next(), ends.next()), (Some(Ok(from)), Some(Ok(to))) if from <= *low && to >= *high)
            }
            Want::Cores => same_mask(value, &mask(cores)),
            Want::Spread if kind == Kind::Irq => one(cores).is_some_and(|core| value == core.to_string()),
            Want::Spread => one(cores).is_some_and(|core| same_mask(value, &mask(&[core]))),
        }
    }
}

/// The numbers in a text up to what is none, as in a version.
fn numbers(text: &str) -> Vec<u64> {
    text.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

/// The mask of some cores, as the kernel writes it: words of 32 bits, the highest first.
fn mask(cores: &[usize]) -> String {
    let highest = cores.iter().max().map_or(0, |core| core / 32);
    let word = |word: usize| {
        let bits = cores.iter().filter(|core| **core / 32 == word);
        bits.fold(0_u32, |mask, core| mask | 1 << (core % 32))
    };
    let words: Vec<String> = (0..=highest).rev().map(|at| format!("{:08x}", word(at))).collect();
    words.join(",")
}

/// Whether two masks are the same; leading zeros and commas do not count.
fn same_mask(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.replace(',', "").trim_start_matches('0').to_owned();
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_one_and_says_what_to_do() {
        let knobs = all().expect("a list");
        assert!(knobs.iter().any(|knob| knob.name == "nofile"));
        for knob in &knobs {
            let want = Want::of(&knob.want).unwrap_or_else(|| panic!("{}: {}", knob.name, knob.want));
            assert!(!knob.why.is_empty() && !knob.path.is_empty(), "{}", knob.name);
            let leaves = want == Want::Any || knob.kind == Kind::Kernel;
            assert!(leaves || !knob.apply.is_empty(), "{}: no command mends it", knob.name);
        }
    }

    #[test]
    fn values_are_held_to_what_is_wanted() {
        let holds = |want: &str, value: &str, index| {
            Want::of(want).expect(want).holds(value, Kind::File, index, &[0, 1, 33])
        };
        assert!(
            holds(">= 6.1", "6.18.44-fc-v657", 0) && holds(">= 6.1", "6.1", 0) && holds(">= 6.1", "7.0", 0)
        );
        assert!(!holds(">= 6.1", "5.15.0-generic", 0));
        assert!(
            holds(">= 8192", "unlimited", 0) && holds(">= 8192", "8192", 0) && !holds(">= 8192", "64", 0)
        );
        assert!(holds("10240..65535", "1024 65535", 0) && !holds("10240..65535", "32768 60999", 0));
        assert!(!holds("10240..65535", "", 0));
        assert!(holds("= madvise", "madvise", 0) && !holds("= madvise", "always", 0));
        assert!(
            holds("cores", "2,00000003", 0)
                && holds("cores", "00000002,00000003", 0)
                && !holds("cores", "3", 0)
        );
        assert!(
            holds("spread", "2", 1) && holds("spread", "00000002,00000000", 2) && holds("spread", "1", 3)
        );
        let irq = |value, index| Want::Spread.holds(value, Kind::Irq, index, &[0, 1, 33]);
        assert!(irq("33", 2) && !irq("0", 2));
        assert_eq!(Want::of("at most 3"), None);
    }
}
