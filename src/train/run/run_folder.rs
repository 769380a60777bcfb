//! The folder of a net's runs, `NAME.run` beside its spec: the newest run's files stand in it, those of earlier runs in
//! folders of their own inside it, and one process at a time works there.

use super::record;
use crate::compile::TRAINED_LABELS;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The name of the file that a training locks.
pub const LOCK: &str = "lock";

/// A training's hold on a folder of runs; it ends with the process at the latest.
#[derive(Debug)]
pub struct Lock {
    /// None where the file system knows no locks.
    _file: Option<File>,
}

/// Takes hold of a net's folder of runs, which is made if it is not there.
///
/// # Errors
/// Another training of the net has it, or it cannot be written.
pub fn lock(folder: &Path, net: &str) -> Result<Lock, Diagnostics> {
    let path = folder.join(LOCK);
    let open = || {
        fs::create_dir_all(folder)?;
        File::options().read(true).write(true).create(true).truncate(false).open(&path)
    };
    let mut file = open().map_err(|error| super::error::unwritable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {
            // For who finds it locked; that it cannot be said keeps nobody from training.
            let told = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
            let _ = told;
            Ok(Lock { _file: Some(file) })
        }
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            let known = file.rewind().and_then(|()| file.take(20).read_to_string(&mut process));
            let who = known.ok().and_then(|_| process.trim().parse::<u32>().ok());
            let who = who.map_or_else(String::new, |process| format!(" by process {process}"));
            let message = format!("`{net}` is being trained{who}: {} is locked", folder.display());
            let help = "wait for it or end it, or train a net of another name";
            Err(Diagnostic::new(Code::Busy, message).help(help).into())
        }
        Err(TryLockError::Error(_)) => Ok(Lock { _file: None }),
    }
}

/// Puts the files of the run before, and the weights that the new one will replace, into a folder of their own:
/// `NAME.run/1`, `2` … Weights and labels stay where they are as well, until the new run replaces them. TargetKind where; none where there was nothing.
///
/// # Errors
/// Of the file system; everything is where it was then, or in both places.
pub fn put_aside(folder: &Path, weights: &Path) -> io::Result<Option<PathBuf>> {
    let is_run = [record::FILE, super::checkpoint::FILE].iter().any(|name| folder.join(name).is_file());
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
    let aside = next_folder(folder)?;
    for file in files.iter().map(PathBuf::as_path).chain(Some(weights).filter(|weights| weights.is_file())) {
        let Some(name) = file.file_name() else { continue };
        // Files are replaced, never written over: two names of one file do for a copy.
        let (from, to) = (fs::canonicalize(file)?, aside.join(name));
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(|_| ()))?;
    }
    for file in files.iter().filter(|file| file.file_name().is_some_and(|name| name != TRAINED_LABELS)) {
        fs::remove_file(file)?;
    }
    Ok(Some(aside))
}

/// A new folder behind the highest number that is there.
fn next_folder(folder: &Path) -> io::Result<PathBuf> {
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<u32>().ok();
    let highest = fs::read_dir(folder)?.filter_map(number).max().unwrap_or(0);
    let aside = folder.join(highest.saturating_add(1).to_string());
    fs::create_dir(&aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_training_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("bird.run");
        let held = lock(&run, "bird").expect("a lock");
        let error = lock(&run, "bird").expect_err("two trainings");
        let message = &error.iter().next().expect("an error").message;
        assert!(message.contains(&format!("by process {}", std::process::id())), "{message}");
        drop(held);
        lock(&run, "bird").expect("the lock is free again");
    }

    #[test]
    fn each_runs_files_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let (run, weights) = (folder.path().join("bird.run"), folder.path().join("bird.h5"));
        fs::create_dir(&run).expect("a folder");
        assert_eq!(put_aside(&run, &weights).expect("nothing to do"), None);
        for turn in 1..=3 {
            for path in [run.join(record::FILE), run.join(TRAINED_LABELS), run.join("report.html"), weights.clone()] {
                crate::file::replace(&path, |file| write!(file, "{turn}")).expect("a file");
            }
            let aside = put_aside(&run, &weights).expect("room").expect("a run");
            assert_eq!(aside, run.join(turn.to_string()));
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
