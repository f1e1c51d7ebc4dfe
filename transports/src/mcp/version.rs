//! The revisions of MCP, and the two eras they fall into.

/// A revision of MCP, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP with SSE: two endpoints.
    V2024_11_05,
    /// Streamable HTTP, with batches.
    V2025_03_26,
    /// Batches gone; the version goes in a header.
    V2025_06_18,
    /// The newest revision with `initialize`.
    V2025_11_25,
    /// Stateless: each request says all about itself.
    V2026_07_28,
}

/// Every revision that is spoken, newest first.
pub const SUPPORTED: [Version; 5] = [
    Version::V2026_07_28,
    Version::V2025_11_25,
    Version::V2025_06_18,
    Version::V2025_03_26,
    Version::V2024_11_05,
];

/// What `initialize` is answered with when the client asks for a revision that is not known.
pub const LEGACY_NEWEST: Version = Version::V2025_11_25;

impl Version {
    /// From its date. `None`: no revision that is spoken.
    pub fn parse(text: &str) -> Option<Version> {
        SUPPORTED.into_iter().find(|version| version.as_str() == text)
    }

    /// Its date, as it goes over the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::V2024_11_05 => "2024-11-05",
            Version::V2025_03_26 => "2025-03-26",
            Version::V2025_06_18 => "2025-06-18",
            Version::V2025_11_25 => "2025-11-25",
            Version::V2026_07_28 => "2026-07-28",
        }
    }

    /// Whether it is stateless: no `initialize`, no session, `_meta` in each request.
    pub const fn is_modern(self) -> bool {
        matches!(self, Version::V2026_07_28)
    }
}

/// How two sides keep what they know of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// By a session that `initialize` opened, in one of the revisions before 2026-07-28.
    Legacy(Version),
    /// Not at all: each request says it (2026-07-28).
    Modern,
}

impl Era {
    /// The era that a revision belongs to.
    pub const fn of(version: Version) -> Era {
        if version.is_modern() { Era::Modern } else { Era::Legacy(version) }
    }

    /// The revision spoken in it.
    pub const fn version(self) -> Version {
        match self {
            Era::Legacy(version) => version,
            Era::Modern => Version::V2026_07_28,
        }
    }
}
