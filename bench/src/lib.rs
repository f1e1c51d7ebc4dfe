//! Micro benches, the bare ring as a ceiling, side-by-side runs.
