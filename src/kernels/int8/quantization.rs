//! The numbers that a byte stands for.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How numbers are stored in unsigned bytes: a byte stands for `scale * (byte - zero_point)`. Zero is exact, as padding needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantization {
    pub scale: f32,
    pub zero_point: u8,
}

impl Quantization {
    /// For the numbers from `low` to `high`, and zero.
    pub fn of_range(low: f32, high: f32) -> Self {
        let (low, high) = (f64::from(low.min(0.0)), f64::from(high.max(0.0)));
        let scale = ((high - low) / 255.0) as f32;
        // Zeros only, or numbers that no f32 scale can tell apart.
        if !scale.is_normal() {
            return Quantization { scale: 1.0, zero_point: 0 };
        }
        Quantization { scale, zero_point: (-low / f64::from(scale)).round_ties_even().clamp(0.0, 255.0) as u8 }
    }

    /// Whether the scale is a positive number, neither infinite nor denormal.
    pub fn is_valid(self) -> bool {
        self.scale.is_normal() && self.scale > 0.0
    }

    /// The number that a byte stands for.
    pub fn number(self, byte: u8) -> f32 {
        self.scale * (f32::from(byte) - f32::from(self.zero_point))
    }

    /// The byte of a number, which is clamped to the range.
    pub fn byte(self, number: f64) -> u8 {
        (number / f64::from(self.scale) + f64::from(self.zero_point)).round_ties_even().clamp(0.0, 255.0) as u8
    }

    /// The lowest and the highest number.
    pub fn range(self) -> (f32, f32) {
        (self.number(0), self.number(255))
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u8 {:.3e}", self.scale)?;
        if self.zero_point > 0 { write!(f, " zero {}", self.zero_point) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_zero_exactly() {
        for (low, high) in [(-1.0, 1.0), (0.0, 6.0), (0.5, 2.0), (-3.0, -1.0), (-0.1, 7.3), (0.0, 0.0)] {
            let bytes = Quantization::of_range(low, high);
            assert!(bytes.is_valid());
            assert_eq!(bytes.number(bytes.byte(0.0)), 0.0, "{low} to {high}");
            for number in [low, high, (low + high) / 2.0] {
                let error = (bytes.number(bytes.byte(f64::from(number))) - number).abs();
                // The zero point is rounded too.
                assert!(error <= bytes.scale * 1.01, "{number} in {low} to {high}: {error}");
            }
        }
    }
}
