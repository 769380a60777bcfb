//! What a program hears of a run while it lasts.

use super::project;
use netc::data::CacheNote;
use netc::data::features::feature_cache::FeatureCache;
use netc::elaborate::load;
use netc::elaborate::project::source_files::from_disk;
use netc::train::run::Listener;
use netc::train::run::error::{Interruption, TrainError};
use netc::train::run::frozen_features::FeatureCounts;
use netc::train::run::prepare::{PreparedRun, RunOptions, prepare_run};
use netc::train::run::record::{Epoch, checkpoint};
use netc::train::run::training_loop::Observer;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Compares each epoch with the checkpoint on the disk, and stops the run after one of them.
struct Watcher<'a> {
    run: PathBuf,
    epochs: Vec<u32>,
    last: u32,
    interrupted: &'a AtomicBool,
}

impl Observer for Watcher<'_> {
    fn samples(&mut self, _: usize, _: usize, _: usize, _: f64) {}

    fn epoch(&mut self, epoch: &Epoch, _: usize) {
        assert_eq!(
            checkpoint::progress(&self.run).expect("a valid file").expect("a checkpoint").epoch(),
            epoch.epoch as usize
        );
        self.epochs.push(epoch.epoch);
        self.interrupted.store(epoch.epoch == self.last, Ordering::Relaxed);
    }
}

impl Listener for Watcher<'_> {
    fn features(&mut self, _: usize, _: usize) {}
    fn features_done(&mut self, _: FeatureCounts, _: f64, _: usize, _: Option<&FeatureCache>) {}
    fn note(&mut self, _: &CacheNote) {}
    fn archived(&mut self, _: &Path) {}
    fn resumed(&mut self, _: usize, _: usize) {}
}

fn prepared(folder: &Path, resume: bool) -> PreparedRun {
    let spec = load(folder.join("kind.net").to_str().expect("a path"), &from_disk).expect("a spec");
    let options = RunOptions { threads: 1, resume, folder: folder.to_path_buf(), ..RunOptions::default() };
    prepare_run(&spec, &options).expect("a run")
}

/// An epoch is reported when its checkpoint is written: a program that stops the run, or dies, there has lost nothing of it.
#[test]
fn an_epoch_is_reported_after_its_checkpoint() {
    let folder = project("epochs = 5\nbatch = 6\nseed = 2");
    let interrupted = AtomicBool::new(false);
    let run = folder.path().join("kind.run");
    let mut watcher = Watcher { run, epochs: Vec::new(), last: 2, interrupted: &interrupted };
    let Err(TrainError::Interrupted(at)) = prepared(folder.path(), false).train(&interrupted, &mut watcher) else {
        panic!("the run was not stopped")
    };
    assert_eq!(at, Interruption::Epoch { epoch: 3, epochs: 5, samples: 0, total: 24 });
    interrupted.store(false, Ordering::Relaxed);
    watcher.last = 0;
    let trained = prepared(folder.path(), true).train(&interrupted, &mut watcher).expect("a trained net");
    assert_eq!(watcher.epochs, [1, 2, 3, 4, 5]);
    assert!(trained.weights.is_file() && !trained.artifact.exists(), "the caller writes the artifact");
}
