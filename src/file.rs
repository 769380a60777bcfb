//! Files that others wrote are read only where they are regular ones, and up to a size. Files that are written are written
//! whole or not at all: to a temporary file in the same folder, which then takes the name.

use crate::source::plain;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// What the names of temporary files begin with. Each is locked by the process that writes it, as long as it does.
const PREFIX: &str = ".netc-";
/// How long a temporary file must be left alone before it is taken for one that a killed process has left: libraries that
/// write by name cannot do so while it is locked, and nobody holds it for a moment before and after that.
const LEFT: Duration = Duration::from_secs(10);

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

fn put(path: &Path, durable: bool, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|known| !known.is_file() && !known.is_dir()) {
        return fill(&mut File::options().write(true).open(path)?);
    }
    let mut draft = PendingFile::for_target(path)?;
    let mut writer = BufWriter::with_capacity(1 << 20, draft.file());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    draft.settle(durable)
}

/// A file on its way: it stands beside its place until it is whole. Dropped before, it goes.
#[derive(Debug)]
pub struct PendingFile {
    file: NamedTempFile,
    target: PathBuf,
}

impl PendingFile {
    /// A new, empty file for `path`; of a link, for the file that it leads to. It has the permissions of the file that it
    /// will replace, else those that the system gives new files.
    ///
    /// # Errors
    /// Where something stands at `path` that is no file, and those of the file system.
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

    /// The file, to be written.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Lets a library write it by the name that it has now. What the library says of that name is to be put into words by
    /// [`in_words`].
    pub fn by_name<T>(&mut self, write: impl FnOnce(&Path) -> T) -> T {
        // A library may lock it itself.
        let _ = self.file.as_file().unlock();
        let written = write(self.file.path());
        let _ = self.file.as_file().try_lock();
        written
    }

    /// Where it stands now.
    pub fn folder(&self) -> PathBuf {
        folder_of(&self.target)
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
        self.file.persist(&self.target).map_err(|error| error.error)?;
        // The new name is lasting once the folder is on the disk; where folders cannot be opened, the system sees to it.
        if let (true, Ok(folder)) = (durable, File::open(folder)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

/// A new temporary file in a folder, after those were taken away that killed processes have left there.
///
/// # Errors
/// Of the file system.
pub fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    // Not those of a secret file; the umask is applied.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder).map_err(|error| without_path(&error))?;
    // Where files cannot be locked, none can be taken away.
    let _ = file.as_file().try_lock();
    sweep(folder, file.as_file());
    Ok(file)
}

/// Takes away the temporary files in a folder that nobody writes any more; `newest` was made just now.
fn sweep(folder: &Path, newest: &File) {
    let (Ok(now), Ok(entries)) = (newest.metadata().and_then(|file| file.modified()), fs::read_dir(folder)) else {
        return;
    };
    let is_left = |entry: &fs::DirEntry| {
        let metadata = entry.metadata().ok().filter(|file| file.is_file());
        let changed = metadata.and_then(|file| file.modified().ok());
        entry.file_name().to_string_lossy().starts_with(PREFIX)
            && changed.and_then(|changed| now.duration_since(changed).ok()).is_some_and(|age| age >= LEFT)
    };
    for path in entries.flatten().filter(is_left).map(|entry| entry.path()) {
        let free = File::options().write(true).open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if free {
            // Another process may have done it.
            let _ = fs::remove_file(&path);
        }
    }
}

/// What HDF5 says of a file that it cannot write, in a user's words: the system's reason, where it gives one. The name of a
/// temporary file would tell nothing.
pub fn in_words(text: &str) -> String {
    let number = text.split_once("errno = ").and_then(|(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    number.map_or_else(|| text.to_string(), |number| plain(&io::Error::from_raw_os_error(number)))
}

/// An error of making a temporary file, whose name would tell a user nothing.
fn without_path(error: &io::Error) -> io::Error {
    let text = error.to_string();
    io::Error::new(error.kind(), text.split(" at path ").next().unwrap_or_default())
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
    fn what_killed_processes_left_is_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let old = std::time::SystemTime::now() - 2 * LEFT;
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
    fn a_draft_is_nobody_elses() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut draft = PendingFile::for_target(&folder.path().join("a.h5")).expect("a draft");
        let path = draft.by_name(|path| {
            File::options().write(true).open(path).expect("the draft").try_lock().expect("free for a library");
            path.to_path_buf()
        });
        let other = File::options().write(true).open(path).expect("the draft");
        assert!(other.try_lock().is_err(), "held again");
    }

    #[test]
    fn a_full_disk_is_told_in_words() {
        let told = "H5Fclose(): can't close file: file write failed: filename = '/a/.netc-x', errno = 28, error message = \
                    'No space left on device'";
        assert_eq!(in_words(told), "the disk is full");
        assert_eq!(in_words("unable to sort"), "unable to sort");
    }

    #[test]
    fn only_regular_files_are_read_and_up_to_a_size() {
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
