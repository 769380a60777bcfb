//! Ranks epochs, to find the one whose parameters are kept.

use super::Epoch;
use crate::train::recipe::Metric;
use crate::train::recipe::values::keep_policy::{Criterion, KeepPolicy};

/// The rank of an epoch under a policy: smaller is better. `None` without a criterion, or if its value is missing or not
/// finite. `name` gives the name of a metric in the record.
pub fn rank(policy: KeepPolicy, epoch: &Epoch, name: &dyn Fn(Metric) -> Option<String>) -> Option<[f64; 2]> {
    let KeepPolicy::Best(criterion) = policy else { return None };
    let validated = epoch.validation_loss.is_some();
    let loss = epoch.validation_loss.unwrap_or(epoch.loss);
    let rank = match criterion {
        Criterion::Loss => [loss, 0.0],
        Criterion::Metric(metric) => {
            let metrics = if validated { &epoch.validation } else { &epoch.metrics };
            let value = *metrics.get(name(metric)?.as_str())?;
            [if metric.is_better_larger() { -value } else { value }, loss]
        }
    };
    rank.iter().all(|value| value.is_finite()).then_some(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(policy: KeepPolicy, epoch: &Epoch) -> Option<[f64; 2]> {
        super::rank(policy, epoch, &|metric| Some(metric.name().into()))
    }

    fn epoch(loss: f64, validation_loss: Option<f64>, accuracy: f64) -> Epoch {
        let metrics = |value: f64| [("accuracy".to_string(), value), ("rmse".to_string(), value)].into();
        Epoch { loss, validation_loss, metrics: metrics(0.5), validation: metrics(accuracy), ..Epoch::default() }
    }

    #[test]
    fn epochs_are_ranked_by_the_criterion() {
        let [accuracy, rmse] =
            [Metric::Accuracy, Metric::Rmse].map(|metric| KeepPolicy::Best(Criterion::Metric(metric)));
        let (one, two) = (epoch(0.1, Some(0.5), 0.8), epoch(0.2, Some(0.4), 0.7));
        assert!(rank(KeepPolicy::Best(Criterion::Loss), &two) < rank(KeepPolicy::Best(Criterion::Loss), &one));
        assert!(rank(accuracy, &one) < rank(accuracy, &two));
        assert!(rank(rmse, &two) < rank(rmse, &one));
        let same = epoch(0.2, Some(0.6), 0.8);
        assert!(rank(accuracy, &one) < rank(accuracy, &same), "of equal epochs the one with the smaller loss");
        let plain = epoch(0.3, None, 0.0);
        assert_eq!(rank(KeepPolicy::Best(Criterion::Loss), &plain), Some([0.3, 0.0]));
        assert_eq!(rank(KeepPolicy::Best(Criterion::Loss), &epoch(0.1, Some(f64::NAN), 0.0)), None);
        assert_eq!(rank(KeepPolicy::Last, &one), None);
    }
}
