//! `keep = …`: the epoch whose parameters a run writes.

use super::choice::{Choice, argument};
use super::early_stopping::EarlyStopping;
use super::metric::Metric;
use crate::graph::signature::definition::Default;

/// The epoch whose parameters are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeepPolicy {
    /// The best one by this criterion, on the validation data if there is any, else on the training data.
    Best(Criterion),
    Last,
}

/// What epochs are ranked by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Criterion {
    Loss,
    Metric(Metric),
}

/// Every value of `keep`.
pub static KEEP_POLICIES: &[Choice<KeepPolicy>] = &[
    Choice {
        name: "best",
        summary: "writes the weights of the best epoch, on the validation data if there is any, else on the training data",
        arguments: &[argument(
            "by",
            "loss or a metric",
            Default::Word("loss"),
            "what epochs are ranked by; of equal epochs the one with the smaller loss is kept",
        )],
        build: |arguments| {
            let names: Vec<&str> = std::iter::once("loss").chain(Metric::ALL.iter().map(|(name, _)| *name)).collect();
            let word = arguments.word("by", &names)?;
            let metric = Metric::ALL.iter().find(|(name, _)| *name == word);
            Ok(KeepPolicy::Best(metric.map_or(Criterion::Loss, |(_, metric)| Criterion::Metric(*metric))))
        },
    },
    Choice {
        name: "last",
        summary: "writes the weights of the last epoch",
        arguments: &[],
        build: |_| Ok(KeepPolicy::Last),
    },
];

impl KeepPolicy {
    /// The policy of a recipe without `keep`: the best epoch if there is validation data or `stop` restores it.
    pub fn default_for(validated: bool, stop: Option<EarlyStopping>) -> KeepPolicy {
        match stop.map_or(validated, |stop| stop.restore) {
            true => KeepPolicy::Best(Criterion::Loss),
            false => KeepPolicy::Last,
        }
    }

    /// The metric that epochs are ranked by; none for the loss.
    pub fn metric(self) -> Option<Metric> {
        match self {
            KeepPolicy::Best(Criterion::Metric(metric)) => Some(metric),
            _ => None,
        }
    }

    /// The text of the record: `best by validation accuracy`.
    pub fn description(self, validated: bool) -> String {
        let of = if validated { "validation" } else { "training" };
        match self {
            KeepPolicy::Best(Criterion::Loss) => format!("best by {of} loss"),
            KeepPolicy::Best(Criterion::Metric(metric)) => format!("best by {of} {}", metric.name()),
            KeepPolicy::Last => "last".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_the_default_with_validation_or_restore() {
        let stop = |restore| Some(EarlyStopping { patience: 1, min_delta: 0.0, restore });
        assert_eq!(KeepPolicy::default_for(true, None), KeepPolicy::Best(Criterion::Loss));
        assert_eq!(KeepPolicy::default_for(false, None), KeepPolicy::Last);
        assert_eq!(KeepPolicy::default_for(false, stop(true)), KeepPolicy::Best(Criterion::Loss));
        assert_eq!(KeepPolicy::default_for(true, stop(false)), KeepPolicy::Last);
    }
}
