//! Evaluation: predictions of a net on a dataset, compared with the targets.

pub mod class_weights;
pub mod dataset_match;
pub mod evaluate;
pub mod learned;
pub mod metric_accumulator;
pub mod metrics;
pub mod misclassified;
pub mod output_loss;
mod ranking;
pub mod regression;
pub mod score;
pub mod task;
