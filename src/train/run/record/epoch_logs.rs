//! What other programs read of a run while it lasts: `metrics.csv` with a row for each epoch, and TensorBoard's events.

use super::event_file::EventFile;
use super::{Epoch, RecordError, RunRecord};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The name of the table in a run's folder.
pub const METRICS: &str = "metrics.csv";

/// The logs of a run.
#[derive(Debug)]
pub struct EpochLogs {
    folder: PathBuf,
    csv: File,
    events: EventFile,
    /// Whether the table has its first row, with the names of the columns.
    has_header: bool,
}

impl EpochLogs {
    /// Starts the logs of a run with the epochs that its record has: rows of later ones, which a killed run has written after
    /// its last checkpoint, are removed.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn begin(folder: &Path, record: &RunRecord) -> Result<EpochLogs, RecordError> {
        let path = folder.join(METRICS);
        let done = record.epochs.len() as u64;
        let begin = || -> io::Result<EpochLogs> {
            std::fs::create_dir_all(folder)?;
            crate::file::replace_soon(&path, |file| file.write_all(&table(&record.epochs, true)?))?;
            let csv = File::options().append(true).open(&path)?;
            let events = EventFile::create(folder, done + 1)?;
            Ok(EpochLogs { folder: folder.to_path_buf(), csv, events, has_header: done > 0 })
        };
        begin().map_err(|source| RecordError::Unwritable { path: path.clone(), source })
    }

    /// Adds an epoch.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn add(&mut self, epoch: &Epoch) -> Result<(), RecordError> {
        let mut add = || -> io::Result<()> {
            // One write, so that readers see whole rows.
            self.csv.write_all(&table(std::slice::from_ref(epoch), !self.has_header)?)?;
            self.has_header = true;
            self.events.add(u64::from(epoch.epoch), &scalars(epoch))
        };
        add().map_err(|source| RecordError::Unwritable { path: self.folder.join(METRICS), source })
    }
}

/// The values of an epoch, by the names of their columns.
fn columns(epoch: &Epoch) -> Vec<(String, f64)> {
    let mut columns = vec![
        ("seconds".to_string(), epoch.seconds),
        ("step".to_string(), epoch.step),
        ("loss".to_string(), epoch.loss),
        ("penalty".to_string(), epoch.penalty),
    ];
    let mut add = |prefix: &str, suffix: &str, values: &BTreeMap<String, f64>| {
        columns.extend(values.iter().map(|(name, value)| (format!("{prefix}{name}{suffix}"), *value)));
    };
    add("", "/loss", &epoch.losses);
    add("", "", &epoch.metrics);
    add("validation_", "", &epoch.validation_loss.map(|loss| ("loss".to_string(), loss)).into_iter().collect());
    add("validation_", "/loss", &epoch.validation_losses);
    add("validation_", "", &epoch.validation);
    columns
}

/// Rows of epochs, after the names of the columns where `with_header`; nothing for no epochs.
fn table(epochs: &[Epoch], with_header: bool) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if let (Some(first), true) = (epochs.first(), with_header) {
        writer.write_record(
            std::iter::once("epoch".to_string()).chain(columns(first).into_iter().map(|(name, _)| name)),
        )?;
    }
    for epoch in epochs {
        let values = columns(epoch).into_iter().map(|(_, value)| value.to_string());
        writer.write_record(std::iter::once(epoch.epoch.to_string()).chain(values))?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// The values of an epoch by TensorBoard's tags, which it groups by what is before the slash.
fn scalars(epoch: &Epoch) -> Vec<(String, f64)> {
    let tag = |name: &str, of: &str| format!("{name}/{of}");
    let mut list = vec![("learning_rate".to_string(), epoch.step), (tag("loss", "training"), epoch.loss)];
    list.extend(epoch.validation_loss.map(|loss| (tag("loss", "validation"), loss)));
    for (of, losses, metrics) in
        [("training", &epoch.losses, &epoch.metrics), ("validation", &epoch.validation_losses, &epoch.validation)]
    {
        list.extend(losses.iter().map(|(name, loss)| (tag(&format!("{name}/loss"), of), *loss)));
        list.extend(metrics.iter().map(|(name, value)| (tag(name, of), *value)));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: u32) -> Epoch {
        Epoch {
            epoch: number,
            seconds: 0.5,
            loss: 1.0 / f64::from(number),
            metrics: [("accuracy".to_string(), 0.75)].into(),
            validation_loss: Some(f64::NAN),
            validation: [("accuracy".to_string(), 0.5)].into(),
            step: 0.1,
            ..Epoch::default()
        }
    }

    #[test]
    fn rows_behind_the_checkpoint_are_removed_on_resume() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut record = RunRecord::default();
        let mut logs = EpochLogs::begin(folder.path(), &record).expect("a run");
        (1..=3).for_each(|number| logs.add(&epoch(number)).expect("a row"));
        let read = || std::fs::read_to_string(folder.path().join(METRICS)).expect("the table");
        assert_eq!(
            read(),
            "epoch,seconds,step,loss,penalty,accuracy,validation_loss,validation_accuracy\n\
             1,0.5,0.1,1,0,0.75,NaN,0.5\n2,0.5,0.1,0.5,0,0.75,NaN,0.5\n3,0.5,0.1,0.3333333333333333,0,0.75,NaN,0.5\n"
        );
        let whole = read();
        // A killed run may have written a part of a row.
        std::fs::write(folder.path().join(METRICS), &whole[..whole.len() - 9]).expect("a file");
        record.epochs = vec![epoch(1), epoch(2)];
        let mut logs = EpochLogs::begin(folder.path(), &record).expect("a run");
        logs.add(&epoch(3)).expect("a row");
        assert_eq!(read(), whole);
    }
}
