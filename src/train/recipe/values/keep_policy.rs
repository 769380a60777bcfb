//! `keep = …`: the epoch whose parameters a run writes.

use super::choice::{Choice, argument};
use super::early_stopping::EarlyStopping;
use super::metric::Metric;
use crate::diagnostics::suggest;
use crate::graph::ValueKind;
use crate::graph::signature::definition::Default as DefaultValue;

/// The epoch whose parameters are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum KeepPolicy {
    /// The best one by this criterion, on the validation data if there is any, else on the training data.
    Best(Criterion),
    Last,
}

/// What epochs are ranked by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Criterion {
    /// None for the loss.
    pub metric: Option<Metric>,
    /// The output that it is of, where one is named. With several outputs, none is the sum of their losses, or the first output that
    /// has the metric.
    pub output: Option<String>,
}

impl Criterion {
    /// `loss`, `accuracy`
    pub fn name(&self) -> &'static str {
        self.metric.map_or(LOSS, Metric::name)
    }
}

const LOSS: &str = "loss";

/// The values of an epoch that it can be ranked by.
fn criteria() -> impl Iterator<Item = &'static str> + Clone {
    std::iter::once(LOSS).chain(Metric::ALL.iter().map(|(name, _)| *name))
}

/// `"box/r2"`: the value of an output, whose name may have slashes, too.
fn of_output(text: &str) -> Option<Criterion> {
    let (output, name) = text.rsplit_once('/')?;
    let metric = Metric::ALL.iter().find(|(known, _)| *known == name).map(|(_, metric)| *metric);
    let is_known = metric.is_some() || name == LOSS;
    (is_known && !output.is_empty()).then(|| Criterion { metric, output: Some(output.to_string()) })
}

/// Every value of `keep`.
pub static KEEP_POLICIES: &[Choice<KeepPolicy>] = &[
    Choice {
        name: "best",
        summary: "writes the weights of the best epoch, on the validation data if there is any, else on the training data",
        arguments: &[argument(
            "by",
            "loss, a metric, or one of an output: `\"box/r2\"`",
            DefaultValue::Word(LOSS),
            "what epochs are ranked by; of equal epochs the one with the smaller loss is kept",
        )],
        build: |arguments| {
            if let Some(ValueKind::Text(text)) = arguments.given("by").map(|value| &value.kind)
                && text.contains('/')
            {
                let names = suggest::one_of(criteria());
                let takes = || arguments.wrong("by", format!("takes {names}, after an output's name and a slash"));
                return of_output(text).map(KeepPolicy::Best).ok_or_else(takes);
            }
            let names: Vec<&str> = criteria().collect();
            let word = arguments.word("by", &names)?;
            let metric = Metric::ALL.iter().find(|(name, _)| *name == word).map(|(_, metric)| *metric);
            Ok(KeepPolicy::Best(Criterion { metric, output: None }))
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
            true => KeepPolicy::Best(Criterion::default()),
            false => KeepPolicy::Last,
        }
    }

    /// What epochs are ranked by; none for the last one.
    pub fn criterion(&self) -> Option<&Criterion> {
        match self {
            KeepPolicy::Best(criterion) => Some(criterion),
            KeepPolicy::Last => None,
        }
    }

    /// The text of the record: `best by validation accuracy`.
    pub fn description(&self, validated: bool) -> String {
        let of = if validated { "validation" } else { "training" };
        match self {
            KeepPolicy::Best(criterion) => {
                let output = criterion.output.iter().map(|output| format!("{output}/")).collect::<String>();
                format!("best by {of} {output}{}", criterion.name())
            }
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
        assert_eq!(KeepPolicy::default_for(true, None), KeepPolicy::Best(Criterion::default()));
        assert_eq!(KeepPolicy::default_for(false, None), KeepPolicy::Last);
        assert_eq!(KeepPolicy::default_for(false, stop(true)), KeepPolicy::Best(Criterion::default()));
        assert_eq!(KeepPolicy::default_for(true, stop(false)), KeepPolicy::Last);
    }

    #[test]
    fn an_output_is_named_before_the_last_slash() {
        let found = of_output("body/two/r2").expect("a criterion");
        assert_eq!((found.output.as_deref(), found.metric), (Some("body/two"), Some(Metric::R2)));
        assert_eq!(KeepPolicy::Best(found).description(true), "best by validation body/two/r2");
        assert_eq!(of_output("box/loss").expect("a criterion").metric, None);
        assert!(of_output("box/size").is_none() && of_output("/r2").is_none() && of_output("r2").is_none());
    }
}
