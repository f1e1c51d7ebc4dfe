//! The admin token of a gateway that was given none: random, in a file that only its user may read.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use weir_shard::limits::Secret;

use crate::gateway::random;
use crate::minting::hex;

/// Why there is no such file.
#[derive(Debug)]
pub(crate) enum TokenFileError {
    /// The folder is another user's, or others may write to it.
    Folder(PathBuf),
    /// The system refuses it.
    System(PathBuf, io::Error),
}

/// The file of the gateway whose admin port is `port`: in its data folder, or else in one of its user.
pub(crate) fn place(data_dir: Option<&Path>, port: u16) -> PathBuf {
    if let Some(data_dir) = data_dir {
        return data_dir.canonicalize().unwrap_or(data_dir.into()).join("admin-token");
    }
    let folder = match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder).join("weir"),
        None => std::env::temp_dir().join(format!("weir-{}", rustix::process::geteuid().as_raw())),
    };
    folder.join(format!("admin-token-{port}"))
}

/// Writes a new token to `path`.
///
/// # Errors
/// Others could read or change it, or the system refuses it.
pub(crate) fn write(path: &Path) -> Result<Secret, TokenFileError> {
    let failed = |error| TokenFileError::System(path.to_owned(), error);
    let folder = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    // Where anybody may make names, a link could lead anywhere.
    let facts = fs::symlink_metadata(folder).map_err(failed)?;
    let writable_by_others = facts.mode() & 0o022 != 0;
    if !facts.is_dir() || facts.uid() != rustix::process::geteuid().as_raw() || writable_by_others {
        return Err(TokenFileError::Folder(folder.to_owned()));
    }
    let token = hex(&random::<32>().map_err(failed)?);
    // Under its name there is never a part of it, nor a file that somebody else has opened.
    let unfinished = path.with_extension("new");
    let fresh = || -> io::Result<()> {
        let _ = fs::remove_file(&unfinished);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(token.as_bytes())?;
        fs::rename(&unfinished, path)
    };
    fresh().map_err(failed)?;
    Ok(Secret::new(token.into_bytes()))
}

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way_out = "set admin.token (WEIR_ADMIN_TOKEN) instead, or use a data folder";
        match self {
            TokenFileError::Folder(folder) => write!(
                f,
                "the admin token cannot be kept in {}, as the folder is another user's or others may write to it; \
                 {way_out}",
                folder.display()
            ),
            TokenFileError::System(path, error) => {
                write!(f, "the admin token cannot be written to {}: {error}; {way_out}", path.display())
            }
        }
    }
}

impl std::error::Error for TokenFileError {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder that is gone at the end of the test.
    struct Temporary(PathBuf);

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_token_is_for_its_user_alone_and_new_each_time() {
        let folder = Temporary(std::env::temp_dir().join(format!("weir-token-{}", std::process::id())));
        let path = place(Some(&folder.0), 4000);
        let token = write(&path).expect("a token");
        let text = fs::read(&path).expect("the file");
        assert!(token.matches(&text) && text.len() == 64);
        assert_eq!(fs::metadata(&path).expect("facts").mode() & 0o777, 0o600);
        assert!(!write(&path).expect("another").matches(&text));
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).expect("permissions");
        let error = write(&path).expect_err("others may write").to_string();
        assert!(error.contains("others may write to it; set admin.token"), "{error}");
    }
}
