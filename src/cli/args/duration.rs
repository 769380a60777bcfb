//! Durations on the command line: `500us`, `2ms`, `1.5s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The longest one.
const MAX: Duration = Duration::from_secs(24 * 3600);
/// The units with their seconds.
const UNITS: [(&str, f64); 4] = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0)];

/// A duration, read as a number and a unit; 0 needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let seconds = match (number.parse::<f64>(), UNITS.iter().find(|(name, _)| *name == unit)) {
            (Ok(number), Some((_, seconds))) => Some(number * seconds),
            (Ok(0.0), None) if unit.is_empty() => Some(0.0),
            _ => None,
        };
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let fitting = duration.filter(|&duration| duration <= MAX);
        fitting.map(Time).ok_or_else(|| "expected a time, such as 500us, 2ms or 10s".into())
    }
}

impl fmt::Display for Time {
    /// In the largest unit that gives a whole number.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let micros = self.0.as_micros();
        match micros {
            _ if micros.is_multiple_of(1_000_000) => write!(formatter, "{}s", micros / 1_000_000),
            _ if micros.is_multiple_of(1000) => write!(formatter, "{}ms", micros / 1000),
            _ => write!(formatter, "{micros}us"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Time;
    use std::time::Duration;

    #[test]
    fn durations_have_units() {
        for (written, micros) in [("500us", 500), ("2ms", 2000), ("1.5s", 1_500_000), ("2min", 120_000_000), ("0", 0)] {
            let time = Time(Duration::from_micros(micros));
            assert_eq!(written.parse(), Ok(time), "{written}");
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        for wrong in ["", "2", "ms", "-1s", "1h", "2 ms", "1e3s", "99999999s", "1..2s", "nan s", "\u{b5}s"] {
            assert!(wrong.parse::<Time>().is_err(), "{wrong}");
        }
    }
}
