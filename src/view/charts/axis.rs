//! Axes with ticks at round numbers.

/// A range of numbers with ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    pub low: f64,
    pub high: f64,
    /// The distance of ticks: 1, 2 or 5 times a power of ten.
    pub step: f64,
    /// The first tick, at or after `low`.
    first: f64,
}

impl Axis {
    /// The position of a value, from 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The values of the ticks.
    pub fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let Axis { high, step, first, .. } = *self;
        let count = ((high - first) / step + 1e-6).floor().max(0.0) as usize + 1;
        (0..count.min(100)).map(move |index| {
            let value = first + index as f64 * step;
            // Rounds 0.1 + 0.2 to 0.3.
            (value / step).round() * step
        })
    }
}

/// An axis for values from `low` to `high`, which are finite; it starts and ends at a tick. It starts at zero if that at most
/// doubles its length, and does not extend beyond `max`.
pub(crate) fn axis(low: f64, high: f64, max: Option<f64>) -> Axis {
    // Constant values need a margin.
    let margin = (high.abs().max(low.abs()) * 0.01).max(1e-9);
    let (mut low, mut high) =
        if high - low < margin { (low - 10.0 * margin, high + 10.0 * margin) } else { (low, high) };
    if low >= 0.0 && low < high - low {
        low = 0.0;
    }
    if let Some(max) = max
        && high > max
    {
        high = max;
    }
    let step = round_step((high - low) / 5.0);
    low = (low / step + 1e-6).floor() * step;
    high = (high / step - 1e-6).ceil() * step;
    if let Some(max) = max
        && high > max
    {
        high = max;
    }
    Axis { low, high, step, first: low }
}

/// An axis of epochs, with ticks at integers.
pub(crate) fn epochs_axis(first: u32, last: u32) -> Axis {
    let (low, high) = (f64::from(first), f64::from(last));
    if first >= last {
        return Axis { low: low - 0.9, high: low + 0.9, step: 1.0, first: low };
    }
    let step = round_step((high - low) / 8.0).max(1.0);
    let round = (low / step).ceil() * step;
    Axis { low, high, step, first: round }
}

/// The smallest of 1, 2 and 5 times a power of ten that is not less than `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powi(rough.log10().floor() as i32);
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ticks(axis: Axis) -> Vec<f64> {
        axis.ticks().collect()
    }

    #[test]
    fn a_single_value_is_in_the_middle() {
        let axis = axis(2.0, 2.0, None);
        assert!(axis.low < 1.9 && axis.high > 2.1, "{axis:?}");
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(axis(0.3, 2.2, None)), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(ticks(axis(0.31, 0.93, Some(1.0))), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(axis(0.9, 0.97, Some(1.0))).first(), Some(&0.9));
        assert_eq!(ticks(axis(-3.0, 9.0, None)), [-5.0, 0.0, 5.0, 10.0]);
        assert_eq!(ticks(epochs_axis(1, 10)), [2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(epochs_axis(1, 6)), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(ticks(epochs_axis(1, 100)), [20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(epochs_axis(1, 1)), [1.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn all_values_are_on_the_axis(low in -1e6..1e6, more in 0.0..1e6) {
            let axis = axis(low, low + more, None);
            prop_assert!(axis.share(low) >= -1e-9 && axis.share(low + more) <= 1.0 + 1e-9, "{:?}", axis);
            let ticks = ticks(axis);
            prop_assert!((2..=12).contains(&ticks.len()), "{:?}", ticks);
        }
    }
}
