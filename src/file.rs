//! Files that others wrote are read only where they are regular ones, and up to a size. Files that are written are written
//! whole or not at all: to a temporary file in the same folder, which then takes the name.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Opens a file for reading, and tells its length. It must be a regular one: a pipe or a device would block or never end, and
/// has no length that sizes in it could be compared with. Every reader of a file that a spec, a list or a user names opens it
/// here.
///
/// # Errors
/// Of the file system; of the kind `InvalidInput` for what is no regular file.
pub fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    // Before it is opened, as opening a pipe blocks and opening a device may do anything; and of what was opened, as the
    // name may have changed its meaning.
    let regular = |known: &fs::Metadata| match (known.is_file(), known.is_dir()) {
        (true, _) => Ok(()),
        (_, true) => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe or a device, not a regular file")),
    };
    regular(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    let known = file.metadata()?;
    regular(&known)?;
    Ok((file, known.len()))
}

/// Reads a regular file of up to `most` bytes.
///
/// # Errors
/// As [`open_regular`], and of the kind `FileTooLarge` for more bytes.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, length) = open_regular(path)?;
    let bytes = if length > most { Vec::new() } else { read_up_to(file, most)? };
    if length.max(bytes.len() as u64) > most { Err(too_large(most)) } else { Ok(bytes) }
}

/// Reads what comes from a pipe that the user put there, up to `most` bytes.
///
/// # Errors
/// Of the system, and of the kind `FileTooLarge` for more bytes.
pub fn read_piped(pipe: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let bytes = read_up_to(pipe, most)?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

/// Up to one byte more than the most: what grows while it is read is noticed.
fn read_up_to(reader: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_large(most: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", most >> 20))
}

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

/// What HDF5 says of a file that another program has open for writing, in a user's words; `None` if it says another thing.
pub fn locked(text: &str) -> Option<io::Error> {
    let locked = text.contains("unable to lock file");
    locked.then(|| io::Error::new(io::ErrorKind::ResourceBusy, "another program has it open for writing"))
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

    #[test]
    fn only_regular_files_are_read_and_up_to_a_size() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        fs::write(&path, vec![b'a'; 3 << 20]).expect("a file");
        assert_eq!(read_regular(&path, 3 << 20).expect("it fits").len(), 3 << 20);
        let fault = read_regular(&path, 2 << 20).expect_err("too large");
        assert_eq!(
            (fault.kind(), fault.to_string().as_str()),
            (io::ErrorKind::FileTooLarge, "it is larger than 2 MiB")
        );
        assert_eq!(read_regular(folder.path(), 9).expect_err("a folder").kind(), io::ErrorKind::IsADirectory);
        assert_eq!(read_regular(&folder.path().join("b"), 9).expect_err("nothing").kind(), io::ErrorKind::NotFound);
        assert_eq!(read_piped(io::repeat(0), 9).expect_err("no end").kind(), io::ErrorKind::FileTooLarge);
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        // With no one at the other end, opening the pipe would wait for ever.
        for path in [pipe.as_path(), Path::new("/dev/zero"), Path::new("/dev/null")] {
            assert_eq!(
                open_regular(path).expect_err("no regular file").kind(),
                io::ErrorKind::InvalidInput,
                "{path:?}"
            );
        }
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
