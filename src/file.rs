//! Files that are written whole or not at all: to a temporary file in the same folder, which then takes the name.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Lets `fill` write a file that then stands at `path` in place of what was there. On an error what was there stays.
///
/// A link's target is replaced, not the link; a device (`/dev/null`, a pipe) is written to, never replaced.
///
/// # Errors
/// Of the file system, and those of `fill`.
pub fn replace(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    put(path, true, fill)
}

/// The same without waiting for the disk: what a killed process leaves is whole, what a power cut leaves may be the old
/// file or a damaged one. For files that are written often and carry a checksum.
///
/// # Errors
/// As [`replace`].
pub fn replace_soon(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    put(path, false, fill)
}

fn put(path: &Path, durable: bool, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|known| !known.is_file() && !known.is_dir()) {
        return fill(&mut File::options().write(true).open(path)?);
    }
    let mut draft = Draft::beside(path)?;
    let mut writer = BufWriter::with_capacity(1 << 20, draft.file());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    draft.settle(durable)
}

/// A file on its way: it stands beside its place until it is whole. Dropped before, it goes.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    target: PathBuf,
}

impl Draft {
    /// A new, empty file for `path`; of a link, for the file that it leads to. It has the permissions of the file that it
    /// will replace, else those that the system gives new files.
    ///
    /// # Errors
    /// Where something stands at `path` that is no file, and those of the file system.
    pub fn beside(path: &Path) -> io::Result<Draft> {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let old = fs::metadata(&target).ok();
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".netc-");
        // Not those of a secret file; the umask is applied.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder_of(&target)).map_err(|fault| without_path(&fault))?;
        if let Some(old) = old {
            file.as_file().set_permissions(old.permissions())?;
        }
        Ok(Draft { file, target })
    }

    /// The file, to be written.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Where it stands now, for libraries that write by name.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives it its name; where it is to be `durable`, not before it is on the disk.
    ///
    /// # Errors
    /// Of the file system.
    pub fn settle(self, durable: bool) -> io::Result<()> {
        if durable {
            self.file.as_file().sync_all()?;
        }
        let folder = folder_of(&self.target);
        self.file.persist(&self.target).map_err(|fault| fault.error)?;
        // The new name is lasting once the folder is on the disk; where folders cannot be opened, the system sees to it.
        if let (true, Ok(folder)) = (durable, File::open(folder)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

/// A fault of making a temporary file, whose name would tell a user nothing.
fn without_path(fault: &io::Error) -> io::Error {
    let text = fault.to_string();
    io::Error::new(fault.kind(), text.split(" at path ").next().unwrap_or_default())
}

/// The folder that a file stands in.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => ".".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        replace(&path, |file| file.write_all(b"old")).expect("a new file");
        replace(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("the end"))
        })
        .expect_err("an error of `fill`");
        assert_eq!(fs::read(&path).expect("the old file"), b"old");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_permissions_stay() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("a.txt"), folder.path().join("link"));
        fs::write(&path, "old").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        replace(&link, |file| file.write_all(b"new")).expect("a new file");
        assert_eq!(fs::read(&path).expect("the file"), b"new");
        assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
        assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
        replace(Path::new("/dev/null"), |file| file.write_all(b"gone")).expect("a device");
    }
}
