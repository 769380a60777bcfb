//! The folder of a net's training runs, `NAME.run` next to its spec: the files of the latest run, a numbered folder for each
//! earlier run, and a lock.

use super::record;
use crate::compile::TRAINED_LABELS;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The name of the lock file.
pub const LOCK: &str = "lock";

/// A lock on a folder of runs; the system releases it when the process ends.
#[derive(Debug)]
pub struct Lock {
    /// None if the file system does not support locks.
    _file: Option<File>,
}

/// Locks a net's folder of runs, which is created if it does not exist.
///
/// # Errors
/// Another process trains the net, or the folder cannot be written.
pub fn lock(folder: &Path, net: &str) -> Result<Lock, Diagnostics> {
    let path = folder.join(LOCK);
    let open = || {
        fs::create_dir_all(folder)?;
        File::options().read(true).write(true).create(true).truncate(false).open(&path)
    };
    let mut file = open().map_err(|error| super::error::unwritable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {
            // The process id is only for the message of the process that finds the lock taken.
            let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
            Ok(Lock { _file: Some(file) })
        }
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            let known = file.rewind().and_then(|()| file.take(20).read_to_string(&mut process));
            let who = known.ok().and_then(|_| process.trim().parse::<u32>().ok());
            let who = who.map_or_else(String::new, |process| format!(" by process {process}"));
            let message = format!("`{net}` is being trained{who}: {} is locked", folder.display());
            let help = "wait for it, stop it, or give the net another name";
            Err(Diagnostic::new(Code::Busy, message).help(help).into())
        }
        Err(TryLockError::Error(_)) => Ok(Lock { _file: None }),
    }
}

/// Moves the files of the previous run, and a copy of the weights that the new run will replace, into a numbered folder:
/// `NAME.run/1`, `2` … Weights and labels also stay in place until the new run replaces them. Returns the folder; none if
/// there is no previous run.
///
/// # Errors
/// An error of the file system; then no file is lost.
pub fn archive_previous_run(folder: &Path, weights: &Path) -> io::Result<Option<PathBuf>> {
    let is_run = [record::FILE, super::record::checkpoint::FILE].iter().any(|name| folder.join(name).is_file());
    if !is_run && !weights.is_file() {
        return Ok(None);
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name() != LOCK {
            files.push(entry.path());
        }
    }
    let archive = next_folder(folder)?;
    for file in files.iter().map(PathBuf::as_path).chain(Some(weights).filter(|weights| weights.is_file())) {
        let Some(name) = file.file_name() else { continue };
        // A hard link serves as a copy, because files are replaced and never written in place.
        let (from, to) = (fs::canonicalize(file)?, archive.join(name));
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(|_| ()))?;
    }
    for file in files.iter().filter(|file| file.file_name().is_some_and(|name| name != TRAINED_LABELS)) {
        fs::remove_file(file)?;
    }
    Ok(Some(archive))
}

/// Creates the folder with the next number.
fn next_folder(folder: &Path) -> io::Result<PathBuf> {
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<u32>().ok();
    let highest = fs::read_dir(folder)?.filter_map(number).max().unwrap_or(0);
    let archive = folder.join(highest.saturating_add(1).to_string());
    fs::create_dir(&archive)?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_trains_a_net_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("bird.run");
        let first = lock(&run, "bird").expect("a lock");
        let error = lock(&run, "bird").expect_err("two trainings");
        let message = &error.iter().next().expect("an error").message;
        assert!(message.contains(&format!("by process {}", std::process::id())), "{message}");
        drop(first);
        lock(&run, "bird").expect("the lock is free again");
    }

    #[test]
    fn files_of_earlier_runs_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let (run, weights) = (folder.path().join("bird.run"), folder.path().join("bird.h5"));
        fs::create_dir(&run).expect("a folder");
        assert_eq!(archive_previous_run(&run, &weights).expect("nothing to do"), None);
        for turn in 1..=3 {
            for path in [run.join(record::FILE), run.join(TRAINED_LABELS), run.join("report.html"), weights.clone()] {
                crate::file::replace(&path, |file| write!(file, "{turn}")).expect("a file");
            }
            let archive = archive_previous_run(&run, &weights).expect("room").expect("a run");
            assert_eq!(archive, run.join(turn.to_string()));
            assert!(!run.join(record::FILE).exists() && !run.join("report.html").exists());
            assert!(run.join(TRAINED_LABELS).exists() && weights.exists(), "what builds use stays");
        }
        for turn in 1..=3 {
            for name in [record::FILE, TRAINED_LABELS, "report.html", "bird.h5"] {
                let text = fs::read_to_string(run.join(turn.to_string()).join(name)).expect("a kept file");
                assert_eq!(text, turn.to_string(), "{name}");
            }
        }
    }
}
