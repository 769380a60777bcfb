//! What other programs read of a run while it lasts: `metrics.csv` with a row for each epoch, and TensorBoard's events.

use super::event_file::{self, EventFile, Step};
use super::{Epoch, RecordError, RunRecord};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The name of the table in a run's folder.
pub const METRICS: &str = "metrics.csv";

/// The logs of a run.
#[derive(Debug)]
pub struct EpochLogs {
    table: PathBuf,
    csv: File,
    events: EventFile,
    /// Whether the table has its first row, with the names of the columns.
    has_header: bool,
}

impl EpochLogs {
    /// Starts the logs of a run with the epochs that its record has: what a killed run has written of later ones, after its
    /// last checkpoint, is removed.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn begin(folder: &Path, record: &RunRecord) -> Result<EpochLogs, RecordError> {
        let table = folder.join(METRICS);
        let begin = || -> io::Result<File> {
            std::fs::create_dir_all(folder)?;
            crate::file::replace_soon(&table, |file| file.write_all(&rows(&record.epochs, true)?))?;
            File::options().append(true).open(&table)
        };
        let csv = begin().map_err(|source| RecordError::Unwritable { path: table.clone(), source })?;
        let steps: Vec<Step> = record.epochs.iter().map(step).collect();
        let events = EventFile::replace(folder, &steps)
            .map_err(|source| RecordError::Unwritable { path: folder.join(event_file::PREFIX), source })?;
        Ok(EpochLogs { table, csv, events, has_header: !record.epochs.is_empty() })
    }

    /// Adds an epoch.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn add(&mut self, epoch: &Epoch) -> Result<(), RecordError> {
        let unwritable = |path: &Path, source| RecordError::Unwritable { path: path.to_path_buf(), source };
        // One write, so that readers see whole rows.
        let row = rows(std::slice::from_ref(epoch), !self.has_header);
        row.and_then(|row| self.csv.write_all(&row)).map_err(|source| unwritable(&self.table, source))?;
        self.has_header = true;
        self.events.add(&step(epoch)).map_err(|source| unwritable(self.events.path(), source))
    }
}

/// A value of an epoch.
struct Logged {
    /// Its column in the table.
    column: String,
    /// Its tag in TensorBoard, which groups them by what is before the slash.
    tag: String,
    value: f64,
}

/// The values of an epoch, in the order of the table's columns.
fn logged(epoch: &Epoch) -> Vec<Logged> {
    let plain = |name: &str, value: f64| Logged { column: name.into(), tag: name.into(), value };
    let mut list = vec![plain("seconds", epoch.seconds), plain("learning_rate", epoch.step)];
    let mut add = |prefix: &str, name: &str, of: &str, value: f64| {
        list.push(Logged { column: format!("{prefix}{name}"), tag: format!("{name}/{of}"), value });
    };
    let training = [("loss", Some(epoch.loss)), ("penalty", Some(epoch.penalty))];
    let validation = [("loss", epoch.validation_loss), ("penalty", None)];
    for (prefix, of, totals, losses, metrics) in [
        ("", "training", training, &epoch.losses, &epoch.metrics),
        ("validation_", "validation", validation, &epoch.validation_losses, &epoch.validation),
    ] {
        totals.iter().for_each(|(name, value)| value.iter().for_each(|value| add(prefix, name, of, *value)));
        losses.iter().for_each(|(output, value)| add(prefix, &format!("{output}/loss"), of, *value));
        metrics.iter().for_each(|(name, value)| add(prefix, name, of, *value));
    }
    list
}

/// The events of an epoch.
fn step(epoch: &Epoch) -> Step {
    let scalars = logged(epoch).into_iter().map(|Logged { tag, value, .. }| (tag, value)).collect();
    Step { number: u64::from(epoch.epoch), scalars }
}

/// Rows of epochs, after the names of the columns where `with_header`; nothing for no epochs.
fn rows(epochs: &[Epoch], with_header: bool) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if let (Some(first), true) = (epochs.first(), with_header) {
        let names = logged(first).into_iter().map(|Logged { column, .. }| column);
        writer.write_record(std::iter::once("epoch".to_string()).chain(names))?;
    }
    for epoch in epochs {
        let values = logged(epoch).into_iter().map(|Logged { value, .. }| value.to_string());
        writer.write_record(std::iter::once(epoch.epoch.to_string()).chain(values))?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
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
    fn what_is_behind_the_checkpoint_is_removed_on_resume() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut record = RunRecord::default();
        let mut logs = EpochLogs::begin(folder.path(), &record).expect("a run");
        (1..=3).for_each(|number| logs.add(&epoch(number)).expect("a row"));
        let read = || std::fs::read_to_string(folder.path().join(METRICS)).expect("the table");
        assert_eq!(
            read(),
            "epoch,seconds,learning_rate,loss,penalty,accuracy,validation_loss,validation_accuracy\n\
             1,0.5,0.1,1,0,0.75,NaN,0.5\n2,0.5,0.1,0.5,0,0.75,NaN,0.5\n3,0.5,0.1,0.3333333333333333,0,0.75,NaN,0.5\n"
        );
        let whole = read();
        // A killed run may have written a part of a row.
        std::fs::write(folder.path().join(METRICS), &whole[..whole.len() - 9]).expect("a file");
        record.epochs = vec![epoch(1), epoch(2)];
        let mut logs = EpochLogs::begin(folder.path(), &record).expect("a run");
        logs.add(&epoch(3)).expect("a row");
        assert_eq!(read(), whole);
        let names = || std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.unwrap().file_name());
        let events: Vec<_> = names().filter(|name| name.to_string_lossy().starts_with(event_file::PREFIX)).collect();
        assert_eq!(events.len(), 1, "the earlier file has left");
        let found = event_file::tests::read(&folder.path().join(&events[0]));
        assert_eq!(found.iter().map(|step| step.number).collect::<Vec<_>>(), [1, 2, 3]);
        let tags: Vec<&str> = found[2].scalars.iter().map(|(tag, _)| &**tag).collect();
        assert_eq!(
            tags,
            [
                "seconds",
                "learning_rate",
                "loss/training",
                "penalty/training",
                "accuracy/training",
                "loss/validation",
                "accuracy/validation"
            ]
        );
        assert_eq!(found[2].scalars[4].1, 0.75);
    }
}
