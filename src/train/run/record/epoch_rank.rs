//! Ranks epochs, to find the one whose parameters are kept.

use super::Epoch;
use crate::train::recipe::values::keep_policy::{Criterion, KeepPolicy};

/// The rank of an epoch under a policy: smaller is better. `None` without a criterion, or if its value is missing or not
/// finite. `name` gives the name of a criterion in the record; none for the sum of all losses.
pub fn rank(policy: &KeepPolicy, epoch: &Epoch, name: &dyn Fn(&Criterion) -> Option<String>) -> Option<[f64; 2]> {
    let criterion = policy.criterion()?;
    let validated = epoch.validation_loss.is_some();
    let loss = epoch.validation_loss.unwrap_or(epoch.loss);
    let (losses, metrics) = match validated {
        true => (&epoch.validation_losses, &epoch.validation),
        false => (&epoch.losses, &epoch.metrics),
    };
    let rank = match (criterion.metric, name(criterion)) {
        (None, None) => [loss, 0.0],
        (None, Some(output)) => [*losses.get(&output)?, loss],
        (Some(metric), name) => {
            let value = *metrics.get(&name?)?;
            [if metric.is_better_larger() { -value } else { value }, loss]
        }
    };
    rank.iter().all(|value| value.is_finite()).then_some(rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe::Metric;

    fn rank(policy: &KeepPolicy, epoch: &Epoch) -> Option<[f64; 2]> {
        super::rank(policy, epoch, &|criterion| match criterion.metric {
            Some(metric) => Some(metric.name().into()),
            None => criterion.output.clone(),
        })
    }

    fn epoch(loss: f64, validation_loss: Option<f64>, accuracy: f64) -> Epoch {
        let metrics = |value: f64| [("accuracy".to_string(), value), ("rmse".to_string(), value)].into();
        Epoch { loss, validation_loss, metrics: metrics(0.5), validation: metrics(accuracy), ..Epoch::default() }
    }

    #[test]
    fn epochs_are_ranked_by_the_criterion() {
        let [accuracy, rmse] = [Metric::Accuracy, Metric::Rmse]
            .map(|metric| KeepPolicy::Best(Criterion { metric: Some(metric), output: None }));
        let by_loss = &KeepPolicy::Best(Criterion::default());
        let (one, two) = (epoch(0.1, Some(0.5), 0.8), epoch(0.2, Some(0.4), 0.7));
        assert!(rank(by_loss, &two) < rank(by_loss, &one));
        assert!(rank(&accuracy, &one) < rank(&accuracy, &two));
        assert!(rank(&rmse, &two) < rank(&rmse, &one));
        let same = epoch(0.2, Some(0.6), 0.8);
        assert!(rank(&accuracy, &one) < rank(&accuracy, &same), "of equal epochs the one with the smaller loss");
        let plain = epoch(0.3, None, 0.0);
        assert_eq!(rank(by_loss, &plain), Some([0.3, 0.0]));
        assert_eq!(rank(by_loss, &epoch(0.1, Some(f64::NAN), 0.0)), None);
        assert_eq!(rank(&KeepPolicy::Last, &one), None);
        let of_box = KeepPolicy::Best(Criterion { metric: None, output: Some("box".into()) });
        let losses = |value: f64| Epoch {
            validation_losses: [("box".to_string(), value)].into(),
            ..epoch(0.0, Some(1.0 - value), 0.0)
        };
        assert!(rank(&of_box, &losses(0.1)) < rank(&of_box, &losses(0.2)) && rank(&of_box, &one).is_none());
    }
}
