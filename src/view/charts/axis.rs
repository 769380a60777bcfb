//! Axes with round ticks.

/// A stretch of numbers with ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    pub low: f64,
    pub high: f64,
    /// From tick to tick: 1, 2 or 5 times a power of ten.
    pub step: f64,
    /// The first tick, at or after `low`.
    first: f64,
}

impl Axis {
    /// Where a value lies, from 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The round numbers from low to high.
    pub fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let Axis { high, step, first, .. } = *self;
        let count = ((high - first) / step + 1e-6).floor().max(0.0) as usize + 1;
        (0..count.min(100)).map(move |index| {
            let value = first + index as f64 * step;
            // 0.1 + 0.2 is to read 0.3.
            (value / step).round() * step
        })
    }
}

/// An axis that holds all values from `low` to `high`, which are finite, from tick to tick. It begins at zero where that
/// costs at most as much room again, and ends at `most` where the values do not go further.
pub(crate) fn axis(low: f64, high: f64, most: Option<f64>) -> Axis {
    // Values that are all the same still need some room around them.
    let room = (high.abs().max(low.abs()) * 0.01).max(1e-9);
    let (mut low, mut high) = if high - low < room { (low - 10.0 * room, high + 10.0 * room) } else { (low, high) };
    if low >= 0.0 && low < high - low {
        low = 0.0;
    }
    if let Some(most) = most
        && high > most
    {
        high = most;
    }
    let step = round_step((high - low) / 5.0);
    low = (low / step + 1e-6).floor() * step;
    high = (high / step - 1e-6).ceil() * step;
    if let Some(most) = most
        && high > most
    {
        high = most;
    }
    Axis { low, high, step, first: low }
}

/// An axis of epochs, whose ticks are whole numbers.
pub(crate) fn epochs_axis(first: u32, last: u32) -> Axis {
    let (low, high) = (f64::from(first), f64::from(last));
    if first >= last {
        return Axis { low: low - 0.9, high: low + 0.9, step: 1.0, first: low };
    }
    let step = round_step((high - low) / 8.0).max(1.0);
    let round = (low / step).ceil() * step;
    Axis { low, high, step, first: round }
}

/// The nearest of 1, 2 and 5 times a power of ten that is not smaller.
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
    fn a_single_value_stands_in_the_middle() {
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
        fn all_values_have_a_place(low in -1e6..1e6, more in 0.0..1e6) {
            let axis = axis(low, low + more, None);
            prop_assert!(axis.share(low) >= -1e-9 && axis.share(low + more) <= 1.0 + 1e-9, "{:?}", axis);
            let ticks = ticks(axis);
            prop_assert!((2..=12).contains(&ticks.len()), "{:?}", ticks);
        }
    }
}
