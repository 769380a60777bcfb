//! The inputs of the trained part of a net, batch by batch: samples as they are, or the features of the frozen front.

use super::Listener;
use super::error::TrainError;
use super::frozen_features::{self, FeatureCounts, FrozenFront};
use super::prepare::PreparedRun;
use super::record::{FrontRecord, RunRecord};
use crate::artifact::Artifact;
use crate::data::features::feature_cache::FeatureCache;
use crate::data::{Dataset, Samples};
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::runtime::Session;
use crate::train::batches::batch_source::{BatchSource, with_augmentation};
use crate::train::batches::unreadable_photos::remove_unreadable;
use crate::train::recipe::values::sources::Validation;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// The batch of a frozen front.
const FRONT_BATCH: usize = 8;

impl PreparedRun {
    /// The inputs of the trained part for training and validation data. Computes the features of the frozen front.
    pub(super) fn batch_sources(
        &mut self,
        front: Option<&Arc<Artifact>>,
        digest: &str,
        record: &mut RunRecord,
        interrupted: &AtomicBool,
        listener: &mut dyn Listener,
    ) -> Result<(BatchSource, Option<BatchSource>), TrainError> {
        let augment = self.recipe.augment;
        let threads = self.options.threads;
        let train_policy = (self.recipe.data.policy(), self.recipe.data.span());
        let validation_policy = match &self.recipe.validation {
            Validation::Data(data) => (data.policy(), data.span()),
            _ => train_policy,
        };
        // Photos that each epoch decodes are checked before the first one, if unreadable ones are to be skipped.
        if let Some(decoding) = &self.data.decoding {
            let validation =
                self.data.validation.as_mut().filter(|_| front.is_none()).map(|data| (data, validation_policy));
            let train = (front.is_none() || augment.is_some()).then_some((&mut self.data.train, train_policy));
            for (data, (policy, span)) in train.into_iter().chain(validation) {
                remove_unreadable(data, policy, decoding, threads, Some(interrupted))
                    .map_err(|error| TrainError::of_samples(&error, span))?;
            }
            record.data = self.counts();
        }
        let decoding = self.data.decoding.clone();
        let Some(front) = front else {
            let augmented = match (&decoding, augment) {
                (Some(decoding), Some(augment)) => Some(with_augmentation(decoding, augment, self.recipe.seed)),
                _ => decoding.clone(),
            };
            let validation =
                self.data.validation.as_ref().map(|data| BatchSource::of_samples(&data.samples, decoding.as_ref()));
            return Ok((BatchSource::of_samples(&self.data.train.samples, augmented.as_ref()), validation));
        };
        let floats = front.manifest.plan.outputs.iter().map(|port| port.len()).sum::<usize>();
        let open = |folder: &PathBuf| {
            FeatureCache::open(folder, digest, floats)
                .map_err(|error| Diagnostics::from(Diagnostic::new(Code::Output, error.to_string())))
        };
        let mut cache = self.options.cache.as_ref().map(open).transpose()?;
        let began = Instant::now();
        let mut counts = FeatureCounts::default();
        type Source = Result<BatchSource, TrainError>;
        let mut features = |data: &mut Dataset, (policy, span), listener: &mut dyn Listener| -> Source {
            let mut on_progress = |done, total| listener.features(done, total);
            let front = FrozenFront {
                artifact: front,
                decoding: decoding.as_ref(),
                batch: FRONT_BATCH,
                threads,
                interrupted: Some(interrupted),
            };
            let features = frozen_features::features(front, data, policy, cache.as_mut(), &mut on_progress);
            let (rows, computed) = features.map_err(|error| TrainError::of_samples(&error, span))?;
            counts.cached += computed.cached;
            counts.computed += computed.computed;
            Ok(BatchSource::Rows(rows))
        };
        // With augmentation, the front sees other photos in each epoch.
        let train = match (augment, &self.data.train.samples, &self.data.decoding) {
            (Some(augment), Samples::Photos(photos), Some(decoding)) => BatchSource::Photos {
                photos: photos.clone().into(),
                decoding: with_augmentation(decoding, augment, self.recipe.seed),
                front: Some(Box::new(Session::new(Arc::clone(front), threads))),
            },
            _ => features(&mut self.data.train, train_policy, listener)?,
        };
        let validation = match &mut self.data.validation {
            Some(data) => Some(features(data, validation_policy, listener)?),
            None => None,
        };
        let seconds = began.elapsed().as_secs_f64();
        listener.features_done(counts, seconds, floats, cache.as_ref());
        cache.iter().flat_map(FeatureCache::notes).for_each(|note| listener.note(note));
        record.front = Some(FrontRecord {
            layers: self.split.front.as_ref().map_or(0, |front| front.nodes.len() as u64),
            features: floats as u64,
            cached: counts.cached as u64,
            seconds,
        });
        record.data = self.counts();
        Ok((train, validation))
    }
}
