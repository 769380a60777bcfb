//! The lines of an epoch: its losses and metrics on the training and the validation data.

use crate::train::recipe::Metric;
use crate::train::run::record::Epoch;
use std::collections::BTreeMap;

/// ` 1/60  loss 3.680  penalty 1.002  accuracy 24.17 %  3 ms`
pub fn training(epoch: &Epoch, epochs: usize) -> String {
    let width = epochs.to_string().len();
    let mut text = format!("{:>width$}/{epochs}  loss {}", epoch.epoch, significant(epoch.loss));
    // The regularizer's share of what is minimised, which the loss is without.
    if epoch.penalty > 0.0 {
        text += &format!("  penalty {}", significant(epoch.penalty));
    }
    format!("{text}{}  {}", metrics(&epoch.metrics), time(epoch.seconds))
}

/// `loss 5.219  accuracy 13.00 %`, below the loss of the training data; none without validation data.
pub fn validation(epoch: &Epoch, epochs: usize) -> Option<String> {
    let indent = 2 * epochs.to_string().len() + "/  ".len();
    let loss = significant(epoch.validation_loss?);
    Some(format!("{:indent$}loss {loss}{}", "", metrics(&epoch.validation)))
}

fn metrics(list: &BTreeMap<String, f64>) -> String {
    list.iter().map(|(name, value)| format!("  {name} {}", metric(name, *value))).collect()
}

/// A metric by its name in the record; a share of samples in percent.
fn metric(name: &str, value: f64) -> String {
    let own = name.rsplit('/').next().unwrap_or(name);
    let is_share = [Metric::Accuracy, Metric::Top5].iter().any(|metric| metric.name() == own);
    if is_share { format!("{} %", significant(value * 100.0)) } else { significant(value) }
}

/// Four significant digits: `3.680`, `0.01234`, `1.234e-7`.
pub fn significant(value: f64) -> String {
    let scientific = format!("{value:.3e}");
    let exponent = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok());
    match exponent {
        _ if value == 0.0 => "0".into(),
        Some(exponent @ -4..=3) => format!("{value:.*}", (3 - exponent) as usize),
        _ => scientific,
    }
}

/// A readable duration: `3 ms`, `12.3 s`.
fn time(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_penalties_and_metrics_have_names_and_fit_a_terminal() {
        let values = |list: &[(&str, f64)]| list.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        let mut epoch = Epoch {
            epoch: 1,
            seconds: 0.003,
            loss: 3.6797,
            penalty: 1.0021,
            metrics: values(&[("accuracy", 0.2417)]),
            validation_loss: Some(5.2194),
            validation: values(&[("accuracy", 0.13)]),
            ..Epoch::default()
        };
        let lines = |epoch: &Epoch| (training(epoch, 60), validation(epoch, 60));
        let (first, second) = lines(&epoch);
        assert_eq!(first, " 1/60  loss 3.680  penalty 1.002  accuracy 24.17 %  3 ms");
        assert_eq!(second.as_deref(), Some("       loss 5.219  accuracy 13.00 %"));
        epoch.metrics = values(&[("accuracy", 1.0), ("f1", 0.99996)]);
        let longest = lines(&epoch).0;
        assert_eq!(longest, " 1/60  loss 3.680  penalty 1.002  accuracy 100.0 %  f1 1.000  3 ms");
        // A line begins with a verb of 12 columns and a space.
        assert!(13 + longest.len() <= 80);
        let two = Epoch { metrics: values(&[("box/rmse", 12345.6), ("species/accuracy", 0.5)]), ..Epoch::default() };
        assert_eq!(lines(&two), (" 0/60  loss 0  box/rmse 1.235e4  species/accuracy 50.00 %  0 ms".to_string(), None));
    }

    #[test]
    fn numbers_have_four_digits() {
        let cases = [(0.0, "0"), (9.99996, "10.00"), (1234.56, "1235"), (0.00012346, "0.0001235"), (f64::NAN, "NaN")];
        for (value, text) in cases {
            assert_eq!(significant(value), text);
        }
        assert_eq!(significant(-2.0), "-2.000");
    }
}
