//! The repository's own files.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::code::Code;

/// The root of the working tree.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/suite lies two folders below the root").to_path_buf()
}

/// Paths from the root of all files that are tracked, or new and not ignored.
pub fn files() -> Vec<String> {
    let listing = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr));
    let names = String::from_utf8(listing.stdout).expect("file names are UTF-8");
    let present = |name: &&str| !name.is_empty() && root().join(name).is_file();
    let mut files: Vec<String> = names.split('\0').filter(present).map(str::to_owned).collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// The text of a file, given by its path from the root.
pub fn read(path: &str) -> String {
    let bytes = std::fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Every Rust file, read.
pub fn rust() -> Vec<(String, Code)> {
    let rust = files().into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| (path.clone(), Code::read(&read(&path)))).collect()
}
