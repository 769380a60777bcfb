//! The record of a training run, `NAME.run/run.yaml`: from which data, by which recipe, and with which results.

pub mod checkpoint;
pub mod epoch_logs;
pub mod epoch_rank;
pub mod event_file;

use crate::artifact::Manifest;
use crate::kernels::gemm::blas;
use crate::kernels::simd::isa::Isa;
use crate::runtime::thread_count::processor;
use crate::source::plain;
use crate::train::evaluation::evaluate::Evaluation;
use crate::train::evaluation::metrics::MetricUnit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The name of the record in a run's folder.
pub const FILE: &str = "run.yaml";
/// Larger records are not read; a million epochs take less.
const MAX_BYTES: u64 = 1 << 30;

/// A training run. It is written while the run lasts, so that killed runs have one too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    pub net: String,
    /// `(?, 224, 224, 3) -> [... 39 layers ...] -> (?, 10)`
    pub summary: String,
    /// The version of the program.
    pub netc: String,
    /// The recipe's keys and values in the words and order of the spec.
    #[serde(with = "pairs")]
    pub recipe: Vec<(String, String)>,
    /// The entries that the command line set: `optimizer.step=0.01`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
    pub seed: u64,
    /// Name and BLAKE3 digest of each file of weights.
    #[serde(with = "pairs")]
    pub inputs: Vec<(String, String)>,
    pub data: DataCounts,
    pub machine: Machine,
    /// The frozen front, if there is one.
    pub front: Option<FrontRecord>,
    pub epochs: Vec<Epoch>,
    /// The number of the epoch whose parameters were kept.
    pub best: Option<u32>,
    /// The policy: "best by validation loss", "last".
    #[serde(default)]
    pub keep: String,
    /// The unit of classification metrics; none for numbers.
    #[serde(default, rename = "counted", skip_serializing_if = "Option::is_none")]
    pub unit: Option<MetricUnit>,
    /// The metrics of the kept parameters; empty while the run lasts.
    #[serde(rename = "final")]
    pub metrics: BTreeMap<String, f64>,
    /// Why the run ended, as a clause: "all 100 epochs are done"; `None` while it lasts.
    pub stopped: Option<String>,
}

/// The sizes of the data, in samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataCounts {
    pub training: u64,
    pub validation: u64,
    /// 0 if the targets are not classes.
    pub classes: u64,
    /// Photos that could not be read.
    pub skipped: u64,
}

/// The machine of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name if the system reports it, else its architecture.
    pub cpu: String,
    pub threads: usize,
    /// The instruction set of the kernels, in lower case: `avx2`.
    #[serde(default)]
    pub instructions: String,
    /// The BLAS library and its target core; none in a build without BLAS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blas: Option<String>,
    /// `linux`, `macos` …
    pub os: String,
}

/// The frozen front of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FrontRecord {
    pub layers: u64,
    /// Values for each sample.
    pub features: u64,
    /// Samples whose features were in the cache.
    pub cached: u64,
    /// The time for the features of the other samples.
    pub seconds: f64,
}

/// One pass over the training data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: u32,
    pub seconds: f64,
    /// The mean over the samples, without the regularizer's penalty; with several outputs the sum of their losses with their
    /// factors.
    pub loss: f64,
    /// With several outputs, the loss of each, without its factor.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub losses: BTreeMap<String, f64>,
    /// The mean penalty of the regularizer.
    pub penalty: f64,
    /// On the training data, by the metric's name.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    pub validation_loss: Option<f64>,
    /// With several outputs, that of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub validation_losses: BTreeMap<String, f64>,
    /// On the validation data, by the metric's name.
    #[serde(default)]
    pub validation: BTreeMap<String, f64>,
    /// The learning rate after the epoch's last update.
    pub step: f64,
}

/// A record that cannot be written or read.
#[derive(Debug, Error)]
pub enum RecordError {
    #[error("{} cannot be written: {}", path.display(), plain(source))]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{} cannot be read: {}", path.display(), plain(source))]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not a valid record of a run: {error}", path.display())]
    NotARecord { path: PathBuf, error: String },
}

/// The keys of a recipe that a run may change as it goes on.
const CHANGEABLE: [&str; 2] = ["epochs", "checkpoint"];

impl RunRecord {
    /// What differs in `now` from this run, as clauses; empty where the records do not tell. The recipes have what `--set` set.
    pub fn differences(&self, now: &RunRecord) -> Vec<String> {
        let mut found = Vec::new();
        if self.summary != now.summary {
            found.push(format!("the net was {} and is {}", self.summary, now.summary));
        }
        found.extend(self.recipe_differences(&now.recipe));
        for (name, digest) in &now.inputs {
            if self.inputs.iter().any(|(known, before)| known == name && before != digest) {
                found.push(format!("{name} has other contents"));
            }
        }
        let (before, data) = (&self.data, &now.data);
        if (before.training, before.validation) != (data.training, data.validation) {
            let text = |data: &DataCounts| format!("{} and {}", data.training, data.validation);
            found.push(format!("samples and validation samples were {} and are {}", text(before), text(data)));
        }
        found
    }

    /// What differs in a recipe's entries from those of this run, as clauses.
    pub fn recipe_differences(&self, now: &[(String, String)]) -> Vec<String> {
        let mut found = Vec::new();
        let value = |entries: &[(String, String)], key: &str| {
            entries.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
        };
        let mut keys: Vec<&String> = self.recipe.iter().chain(now).map(|(key, _)| key).collect();
        keys.sort();
        keys.dedup();
        for key in keys.into_iter().filter(|key| !CHANGEABLE.contains(&key.as_str())) {
            match (value(&self.recipe, key), value(now, key)) {
                (Some(before), Some(now)) if before != now => found.push(format!("`{key}` was {before} and is {now}")),
                (Some(before), None) => found.push(format!("`{key}` was {before} and is missing")),
                (None, Some(now)) => found.push(format!("`{key}` is {now} and was missing")),
                _ => {}
            }
        }
        found
    }
}

impl RunRecord {
    /// Writes the record to [`FILE`] in `folder`, atomically; the folder is created if it does not exist.
    ///
    /// # Errors
    /// [`RecordError::Unwritable`].
    pub fn write(&self, folder: &Path) -> Result<(), RecordError> {
        let path = folder.join(FILE);
        let write = || -> io::Result<()> {
            let text = serde_yaml::to_string(self).map_err(io::Error::other)?;
            std::fs::create_dir_all(folder)?;
            crate::file::replace_soon(&path, |file| file.write_all(text.as_bytes()))
        };
        write().map_err(|source| RecordError::Unwritable { path: path.clone(), source })
    }

    /// Reads the record in `folder`.
    ///
    /// # Errors
    /// A file that is missing, unreadable or invalid.
    pub fn read(folder: &Path) -> Result<RunRecord, RecordError> {
        let path = folder.join(FILE);
        match crate::file::read_regular(&path, MAX_BYTES) {
            Ok(bytes) => serde_yaml::from_slice(&bytes)
                .map_err(|error| RecordError::NotARecord { path, error: error.to_string() }),
            Err(source) => Err(RecordError::Unreadable { path, source }),
        }
    }

    /// The record of an evaluation, for a report: no training took place.
    pub fn of_evaluation(manifest: &Manifest, evaluation: &Evaluation, threads: usize) -> Self {
        let samples = evaluation.samples as u64;
        let first = evaluation.outputs.first();
        RunRecord {
            net: manifest.net.clone(),
            summary: manifest.summary.clone(),
            netc: env!("CARGO_PKG_VERSION").to_string(),
            data: DataCounts {
                validation: samples,
                classes: first.map_or(0, |output| output.classes as u64),
                ..DataCounts::default()
            },
            machine: Machine::current(threads),
            metrics: first.map(|output| output.accumulator.values(output.loss)).unwrap_or_default(),
            ..RunRecord::default()
        }
    }

    /// The epoch whose parameters were kept.
    pub fn best_epoch(&self) -> Option<&Epoch> {
        self.epochs.iter().find(|epoch| Some(epoch.epoch) == self.best)
    }
}

impl Machine {
    /// This machine, and the number of threads that a run uses.
    pub fn current(threads: usize) -> Self {
        Machine {
            cpu: processor(),
            threads,
            instructions: Isa::detect().to_string(),
            blas: blas::name(),
            os: std::env::consts::OS.to_owned(),
        }
    }
}

/// Pairs as a YAML mapping in their order.
mod pairs {
    use serde::de::{Deserializer, MapAccess, Visitor};
    use serde::ser::Serializer;
    use std::fmt;

    pub fn serialize<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(String, String)>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a mapping of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn record() -> RunRecord {
        let epoch = |number: u32| Epoch {
            epoch: number,
            seconds: 1.5,
            loss: 2.0 / f64::from(number),
            losses: BTreeMap::new(),
            penalty: 0.0,
            metrics: [("accuracy".to_owned(), 0.5)].into(),
            validation_loss: (number > 1).then_some(0.75),
            validation_losses: BTreeMap::new(),
            validation: BTreeMap::new(),
            step: 0.01,
        };
        RunRecord {
            net: "bird".into(),
            summary: "(?, 224, 224, 3) -> [... 39 layers ...] -> (?, 10)".into(),
            netc: "0.1.0".into(),
            recipe: vec![("epochs".into(), "2".into()), ("data".into(), "images(\"photos: all\")".into())],
            set: Vec::new(),
            seed: u64::MAX,
            inputs: vec![("bird.net".into(), "00ff".into())],
            data: DataCounts { training: 90, validation: 10, classes: 10, skipped: 1 },
            machine: Machine {
                cpu: "a processor".into(),
                threads: 2,
                instructions: "avx2".into(),
                blas: Some("OpenBLAS 0.3.20, Haswell".into()),
                os: "linux".into(),
            },
            front: Some(FrontRecord { layers: 37, features: 4096, cached: 12, seconds: 34.25 }),
            epochs: vec![epoch(1), epoch(2)],
            best: Some(2),
            keep: "best by validation loss".into(),
            unit: Some(MetricUnit::Pixels),
            metrics: [("loss".to_owned(), f64::NAN), ("accuracy".to_owned(), 0.1 + 0.2)].into(),
            stopped: Some("all 2 epochs are done".into()),
        }
    }

    #[test]
    fn a_record_survives_writing_and_reading() {
        let folder = TempDir::new().unwrap();
        let inside = folder.path().join("new/bird.run");
        let mut wanted = record();
        wanted.write(&inside).unwrap();
        assert!(RunRecord::read(&inside).unwrap().metrics["loss"].is_nan());
        wanted.metrics.insert("loss".into(), 0.125);
        wanted.write(&inside).unwrap();
        let read = RunRecord::read(&inside).unwrap();
        assert_eq!(read, wanted);
        assert_eq!(read.best_epoch().unwrap().loss, 1.0);
        assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn the_text() {
        let folder = TempDir::new().unwrap();
        record().write(folder.path()).unwrap();
        insta::assert_snapshot!(std::fs::read_to_string(folder.path().join(FILE)).unwrap());
    }

    #[test]
    fn invalid_records_are_refused() {
        let folder = TempDir::new().unwrap();
        let error = |folder: &Path| RunRecord::read(folder).unwrap_err().to_string();
        assert!(error(folder.path()).ends_with("run.yaml cannot be read: there is no such file"));
        let valid = {
            record().write(folder.path()).unwrap();
            std::fs::read(folder.path().join(FILE)).unwrap()
        };
        for bytes in [&b"net: bird"[..], b"\xff\xfe", b"", b"- 1", b"a: &a [*a]", &valid[..valid.len() / 2]] {
            std::fs::write(folder.path().join(FILE), bytes).unwrap();
            assert!(
                error(folder.path()).contains("run.yaml is not a valid record of a run: "),
                "{}",
                error(folder.path())
            );
        }
        std::fs::write(folder.path().join("file"), "").unwrap();
        let unwritable = record().write(&folder.path().join("file")).unwrap_err().to_string();
        assert!(unwritable.contains("run.yaml cannot be written: "), "{unwritable}");
    }

    #[test]
    fn a_machine_has_a_name() {
        let machine = Machine::current(3);
        assert!(!machine.cpu.is_empty() && machine.threads == 3);
    }
}
