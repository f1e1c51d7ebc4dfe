//! Suites over the whole repository and the running binary.
