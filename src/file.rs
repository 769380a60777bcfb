//! Files that are written whole or not at all: to a temporary file in the same folder, which then takes the name.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

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
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if fs::metadata(&target).is_ok_and(|known| !known.is_file() && !known.is_dir()) {
        return fill(&mut File::options().write(true).open(&target)?);
    }
    let folder = folder_of(&target);
    let mut file = tempfile::Builder::new().prefix(".netc-").tempfile_in(&folder)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file.as_file_mut());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    permit(file.as_file(), &target)?;
    if durable {
        file.as_file().sync_all()?;
    }
    file.persist(&target).map_err(|fault| fault.error)?;
    Ok(())
}

/// The folder that a file stands in.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => ".".into(),
    }
}

/// Gives a new file the permissions of the one that it replaces, or those that new files have (0666 less 022).
#[cfg(unix)]
fn permit(file: &File, replaced: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let usual = || fs::Permissions::from_mode(0o644);
    file.set_permissions(fs::metadata(replaced).map_or_else(|_| usual(), |known| known.permissions()))
}

/// Other systems give temporary files the usual permissions.
#[cfg(not(unix))]
fn permit(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
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
