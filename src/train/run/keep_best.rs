//! Which epoch's parameters a run keeps.

use super::record::Epoch;
use crate::graph::signature::definition::Default;
use crate::train::recipe::keyword_tables::{Choice, argument};
use crate::train::recipe::{EarlyStopping, Metric};

/// Which epoch's parameters are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeepPolicy {
    /// Of the epoch that is best by this: of validation where there is any, else of training.
    Best(Measure),
    /// Of the last epoch.
    Last,
}

/// What an epoch is judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    Loss,
    Metric(Metric),
}

/// What `keep` takes.
pub static KEEPS: &[Choice<KeepPolicy>] = &[
    Choice {
        name: "best",
        summary: "writes the weights of the best epoch, by what validation measures where there is any, else training",
        arguments: &[argument(
            "by",
            "loss, accuracy, top5, mae, rmse or r2",
            Default::Word("loss"),
            "what an epoch is judged by; of equal ones the one of the smaller loss",
        )],
        build: |arguments| {
            let names: Vec<&str> = std::iter::once("loss").chain(Metric::ALL.iter().map(|(name, _)| *name)).collect();
            let word = arguments.word("by", &names)?;
            let metric = Metric::ALL.iter().find(|(name, _)| *name == word);
            Ok(KeepPolicy::Best(metric.map_or(Measure::Loss, |(_, metric)| Measure::Metric(*metric))))
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
    /// What a recipe that does not say it keeps: the best epoch where validation, or a stop that restores, tells which.
    pub fn fitting(validated: bool, stop: Option<EarlyStopping>) -> KeepPolicy {
        match stop.map_or(validated, |stop| stop.restore) {
            true => KeepPolicy::Best(Measure::Loss),
            false => KeepPolicy::Last,
        }
    }

    /// The metric that epochs are judged by.
    pub fn metric(self) -> Option<Metric> {
        match self {
            KeepPolicy::Best(Measure::Metric(metric)) => Some(metric),
            _ => None,
        }
    }

    /// How an epoch is ranked: less is better. None where there is nothing to compare, as where it is infinite or no number.
    pub fn rank(self, epoch: &Epoch) -> Option<[f64; 2]> {
        let KeepPolicy::Best(measure) = self else { return None };
        let validated = epoch.validation_loss.is_some();
        let loss = epoch.validation_loss.unwrap_or(epoch.loss);
        let rank = match measure {
            Measure::Loss => [loss, 0.0],
            Measure::Metric(metric) => {
                let measured = if validated { &epoch.validation } else { &epoch.metrics };
                let value = *measured.get(metric.name())?;
                [if metric.is_better_larger() { -value } else { value }, loss]
            }
        };
        rank.iter().all(|value| value.is_finite()).then_some(rank)
    }

    /// In words, for the record: `best by validation accuracy`.
    pub fn in_words(self, validated: bool) -> String {
        let of = if validated { "validation" } else { "training" };
        match self {
            KeepPolicy::Best(Measure::Loss) => format!("best by {of} loss"),
            KeepPolicy::Best(Measure::Metric(metric)) => format!("best by {of} {}", metric.name()),
            KeepPolicy::Last => "last".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(loss: f64, validation_loss: Option<f64>, accuracy: f64) -> Epoch {
        let metrics = |value: f64| [("accuracy".to_string(), value), ("rmse".to_string(), value)].into();
        Epoch { loss, validation_loss, metrics: metrics(0.5), validation: metrics(accuracy), ..Epoch::default() }
    }

    #[test]
    fn epochs_are_ranked_by_what_is_asked_for() {
        let [accuracy, rmse] = [Metric::Accuracy, Metric::Rmse].map(|metric| KeepPolicy::Best(Measure::Metric(metric)));
        let (one, two) = (epoch(0.1, Some(0.5), 0.8), epoch(0.2, Some(0.4), 0.7));
        assert!(KeepPolicy::Best(Measure::Loss).rank(&two) < KeepPolicy::Best(Measure::Loss).rank(&one));
        assert!(accuracy.rank(&one) < accuracy.rank(&two));
        assert!(rmse.rank(&two) < rmse.rank(&one));
        let same = epoch(0.2, Some(0.6), 0.8);
        assert!(accuracy.rank(&one) < accuracy.rank(&same), "of equal ones the one of the smaller loss");
        let plain = epoch(0.3, None, 0.0);
        assert_eq!(KeepPolicy::Best(Measure::Loss).rank(&plain), Some([0.3, 0.0]));
        assert_eq!(KeepPolicy::Best(Measure::Loss).rank(&epoch(0.1, Some(f64::NAN), 0.0)), None);
        assert_eq!(KeepPolicy::Last.rank(&one), None);
    }

    #[test]
    fn without_a_word_the_best_is_kept_where_something_tells_which_it_is() {
        let stop = |restore| Some(EarlyStopping { patience: 1, improvement: 0.0, restore });
        assert_eq!(KeepPolicy::fitting(true, None), KeepPolicy::Best(Measure::Loss));
        assert_eq!(KeepPolicy::fitting(false, None), KeepPolicy::Last);
        assert_eq!(KeepPolicy::fitting(false, stop(true)), KeepPolicy::Best(Measure::Loss));
        assert_eq!(KeepPolicy::fitting(true, stop(false)), KeepPolicy::Last);
    }
}
