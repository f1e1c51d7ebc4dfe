//! What makes a rule refuse something.

use std::fmt;
use std::time::Duration;

/// Why a rule refuses what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// It refuses all of it.
    Denied,
    /// The sender does it more often than the rule allows.
    Throttled { retry_after: Duration },
    /// A field that it demands is not there, or null.
    Lacks { field: Box<str> },
    /// It has more bytes than the rule allows.
    TooLarge { bytes_max: usize },
}

impl fmt::Display for Violation {
    /// In a few words, for the audit log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Denied => f.write_str("denied"),
            Violation::Throttled { .. } => f.write_str("too often"),
            Violation::Lacks { field } => write!(f, "without {field}"),
            Violation::TooLarge { bytes_max } => write!(f, "more than {bytes_max} bytes"),
        }
    }
}

impl Violation {
    /// A sentence for whoever is refused by the rule of this name.
    pub(super) fn message(&self, rule: &str) -> String {
        match self {
            Violation::Denied => format!("The operator's rule \"{rule}\" does not allow this; ask there."),
            Violation::Throttled { .. } => {
                format!(
                    "The operator's rule \"{rule}\" allows this less often; wait for retry_after milliseconds."
                )
            }
            Violation::Lacks { field } => {
                format!("The operator's rule \"{rule}\" demands the field \"{field}\"; add it.")
            }
            Violation::TooLarge { bytes_max } => {
                format!("The operator's rule \"{rule}\" allows {bytes_max} bytes at most; send less.")
            }
        }
    }
}
