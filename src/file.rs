//! Safe file access: only regular files up to a size limit are read, and files are written atomically, to a temporary file in
//! the same folder that is then renamed.

use crate::source::plain;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// The prefix of temporary files. Each is locked by the process that writes it.
const PREFIX: &str = ".netc-";
/// The age at which an unlocked temporary file counts as left behind by a killed process. A library that writes by name needs it
/// unlocked for a moment.
const STALE_AGE: Duration = Duration::from_secs(10);

/// Opens a regular file for reading. Returns its length too. A pipe or a device could block or never end, and has no length that
/// sizes in it could be compared with. All files named by a spec, a list or a user are opened here.
///
/// # Errors
/// Errors of the file system, and `InvalidInput` if it is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    // Checked before opening, as opening a pipe blocks and opening a device may have effects; and after opening, as the path
    // may have been replaced in between.
    let check = |known: &fs::Metadata| match (known.is_file(), known.is_dir()) {
        (true, _) => Ok(()),
        (_, true) => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe or a device, not a regular file")),
    };
    check(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    let known = file.metadata()?;
    check(&known)?;
    Ok((file, known.len()))
}

/// Reads a regular file of up to `limit` bytes.
///
/// # Errors
/// As [`open_regular`], and `FileTooLarge` for more bytes.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (file, length) = open_regular(path)?;
    let bytes = if length > limit { Vec::new() } else { read_up_to(file, limit)? };
    if length.max(bytes.len() as u64) > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

/// Reads up to `limit` bytes from a pipe such as stdin.
///
/// # Errors
/// Errors of the system, and `FileTooLarge` for more bytes.
pub fn read_piped(pipe: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let bytes = read_up_to(pipe, limit)?;
    if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

/// Reads up to one byte more than the limit, so that a file that grows while it is read is detected.
fn read_up_to(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_large(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", limit >> 20))
}

/// Replaces the file at `path` atomically by what `fill` writes. On an error the old file stays.
///
/// A link's target is replaced, not the link; a device (`/dev/null`, a pipe) is written to, never replaced.
///
/// # Errors
/// Errors of the file system and of `fill`.
pub fn replace(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    put(path, true, fill)
}

/// As [`replace`], without waiting for the disk: a killed process leaves the old or the new file, but after a power cut it may be
/// damaged. For files that are written often and have a checksum.
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
    let mut pending = PendingFile::for_target(path)?;
    let mut writer = BufWriter::with_capacity(1 << 20, pending.file());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    pending.persist(durable)
}

/// A temporary file that replaces its target when it is complete. It is deleted if it is dropped before.
#[derive(Debug)]
pub struct PendingFile {
    file: NamedTempFile,
    target: PathBuf,
}

impl PendingFile {
    /// A new, empty file for `path`, or for the target of a link. It has the permissions of the file that it will replace, else
    /// the default ones.
    ///
    /// # Errors
    /// If `path` exists and is not a file, and errors of the file system.
    pub fn for_target(path: &Path) -> io::Result<PendingFile> {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let old = fs::metadata(&target).ok();
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = temporary(&folder_of(&target))?;
        if let Some(old) = old {
            file.as_file().set_permissions(old.permissions())?;
        }
        Ok(PendingFile { file, target })
    }

    /// The file to write.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Lets a library write it by its temporary path, also one that puts another file there. Rewrite the library's error messages
    /// with [`in_words`], as they contain that path.
    pub fn by_name<T>(&mut self, write: impl FnOnce(&Path) -> T) -> T {
        let permissions = self.file.as_file().metadata().map(|file| file.permissions());
        // A library may lock it itself.
        let _ = self.file.as_file().unlock();
        let written = write(self.file.path());
        // Its own file, with its own permissions, would be neither synced nor readable for others.
        if let Ok(file) = File::options().read(true).write(true).open(self.file.path()) {
            *self.file.as_file_mut() = file;
        }
        let _ = permissions.and_then(|permissions| self.file.as_file().set_permissions(permissions));
        let _ = self.file.as_file().try_lock();
        written
    }

    /// The folder of the file.
    pub fn folder(&self) -> PathBuf {
        folder_of(&self.target)
    }

    /// Moves it to its target, after it was written to the disk if it is to be `durable`.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn persist(self, durable: bool) -> io::Result<()> {
        if durable {
            self.file.as_file().sync_all()?;
        }
        let folder = folder_of(&self.target);
        self.file.persist(&self.target).map_err(|error| error.error)?;
        // The new name is durable once the folder is synced. Systems on which folders cannot be opened do not need that.
        if let (true, Ok(folder)) = (durable, File::open(folder)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

/// Creates a temporary file in a folder, and deletes those that killed processes left there.
///
/// # Errors
/// Errors of the file system.
pub fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    // `tempfile` would make it private; the umask applies.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder).map_err(|error| without_path(&error))?;
    // If files cannot be locked, none is deleted.
    let _ = file.as_file().try_lock();
    sweep(folder, file.as_file());
    Ok(file)
}

/// Deletes stale temporary files in a folder; `newest` was created just now.
fn sweep(folder: &Path, newest: &File) {
    let (Ok(now), Ok(entries)) = (newest.metadata().and_then(|file| file.modified()), fs::read_dir(folder)) else {
        return;
    };
    let is_stale = |entry: &fs::DirEntry| {
        let metadata = entry.metadata().ok().filter(|file| file.is_file());
        let changed = metadata.and_then(|file| file.modified().ok());
        entry.file_name().to_string_lossy().starts_with(PREFIX)
            && changed.and_then(|changed| now.duration_since(changed).ok()).is_some_and(|age| age >= STALE_AGE)
    };
    for path in entries.flatten().filter(is_stale).map(|entry| entry.path()) {
        let free = File::options().write(true).open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if free {
            // Another process may have deleted it.
            let _ = fs::remove_file(&path);
        }
    }
}

/// An HDF5 error message in plain words: the system's reason, if it contains one. The path of a temporary file would confuse the
/// user.
pub fn in_words(text: &str) -> String {
    let number = text.split_once("errno = ").and_then(|(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    number.map_or_else(|| text.to_string(), |number| plain(&io::Error::from_raw_os_error(number)))
}

/// An error of creating a temporary file, without its path, which would confuse the user.
fn without_path(error: &io::Error) -> io::Error {
    let text = error.to_string();
    io::Error::new(error.kind(), text.split(" at path ").next().unwrap_or_default())
}

/// The folder of a file.
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
    fn a_failed_write_leaves_only_the_old_file() {
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
    fn a_library_that_replaces_the_file_does_not_change_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let mode = |name: &str| fs::metadata(folder.path().join(name)).expect("a file").permissions().mode() & 0o777;
        replace(&folder.path().join("usual"), |file| file.write_all(b"a")).expect("a file");
        let mut pending = PendingFile::for_target(&folder.path().join("other")).expect("a draft");
        pending.by_name(|path| {
            let private = NamedTempFile::new_in(folder.path()).expect("a file");
            fs::write(private.path(), b"b").expect("it is written");
            private.persist(path).expect("it is renamed");
        });
        pending.persist(true).expect("a file");
        assert_eq!(fs::read(folder.path().join("other")).expect("the file"), b"b");
        assert_eq!(mode("other"), mode("usual"));
    }

    #[test]
    fn stale_temporary_files_are_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let old = std::time::SystemTime::now() - 2 * STALE_AGE;
        let make = |name: &str, changed: Option<std::time::SystemTime>| {
            let file = File::create(folder.path().join(name)).expect("a file");
            changed.into_iter().for_each(|time| file.set_modified(time).expect("a time"));
            file
        };
        make(".netc-left", Some(old));
        make(".netc-new", None);
        make("netc-other", Some(old));
        let held = make(".netc-held", Some(old));
        held.lock().expect("a lock");
        replace(&folder.path().join("a.txt"), |file| file.write_all(b"text")).expect("a file");
        let names = |folder: &Path| {
            let entries = fs::read_dir(folder).expect("the folder").flatten();
            let mut names: Vec<String> = entries.map(|one| one.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(folder.path()), [".netc-held", ".netc-new", "a.txt", "netc-other"]);
        drop(held);
        replace(&folder.path().join("a.txt"), |file| file.write_all(b"text")).expect("a file");
        assert_eq!(names(folder.path()), [".netc-new", "a.txt", "netc-other"]);
    }

    #[test]
    fn a_pending_file_is_locked() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut pending = PendingFile::for_target(&folder.path().join("a.h5")).expect("a file");
        let path = pending.by_name(|path| {
            File::options().write(true).open(path).expect("the file").try_lock().expect("free for a library");
            path.to_path_buf()
        });
        let other = File::options().write(true).open(path).expect("the file");
        assert!(other.try_lock().is_err(), "held again");
    }

    #[test]
    fn a_full_disk_is_reported_in_plain_words() {
        let error = "H5Fclose(): can't close file: file write failed: filename = '/a/.netc-x', errno = 28, error message = \
                    'No space left on device'";
        assert_eq!(in_words(error), "the disk is full");
        assert_eq!(in_words("unable to sort"), "unable to sort");
    }

    #[test]
    fn only_regular_files_up_to_a_limit_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        fs::write(&path, vec![b'a'; 3 << 20]).expect("a file");
        assert_eq!(read_regular(&path, 3 << 20).expect("it fits").len(), 3 << 20);
        let error = read_regular(&path, 2 << 20).expect_err("too large");
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
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
