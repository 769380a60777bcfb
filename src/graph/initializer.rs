//! Initialisers of parameters. Formulas and defaults are NeuPy's: He has variance gain / fan_in with gain 1 by default,
//! Xavier gain / (fan_in + fan_out).

use super::signature::argument::Default;
use super::{Argument, Value, ValueKind};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::fmt;

/// The distribution of a parameter's initial values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initializer {
    Constant(f64),
    Normal { mean: f64, std: f64 },
    Uniform { min: f64, max: f64 },
    HeNormal { gain: f64 },
    HeUniform { gain: f64 },
    XavierNormal { gain: f64 },
    XavierUniform { gain: f64 },
    Orthogonal { scale: f64 },
}

/// An argument of an initialiser.
const fn number(name: &'static str, default: f64, doc: &'static str) -> Argument {
    Argument { name, takes: "number", default: Default::Float(default), doc }
}

impl Initializer {
    /// The names in specs.
    pub const NAMES: [&'static str; 8] =
        ["Constant", "Normal", "Uniform", "HeNormal", "HeUniform", "XavierNormal", "XavierUniform", "Orthogonal"];

    /// The arguments of an initialiser, by its name.
    pub fn arguments(name: &str) -> Option<&'static [Argument]> {
        const GAIN: Argument = number("gain", 1.0, "the factor of the variance");
        Some(match name {
            "Constant" => const { &[number("value", 0.0, "the value")] },
            "Normal" => const { &[number("mean", 0.0, "the mean"), number("std", 0.01, "the standard deviation")] },
            "Uniform" => const { &[number("minval", 0.0, "the least value"), number("maxval", 1.0, "the greatest")] },
            "HeNormal" | "HeUniform" | "XavierNormal" | "XavierUniform" => const { &[GAIN] },
            "Orthogonal" => const { &[number("scale", 1.0, "the factor of the matrix")] },
            _ => return None,
        })
    }

    /// The call with its defaults and the distribution of an initialiser, by its name.
    pub fn doc(name: &str) -> Option<String> {
        let arguments: Vec<String> = Self::arguments(name)?.iter().map(Argument::signature).collect();
        let what = match name {
            "Constant" => "or the number alone",
            "Normal" => "a normal distribution",
            "Uniform" => "a uniform distribution",
            "HeNormal" => {
                "a normal distribution with the variance gain / fan_in (He et al., 2015); layers with a rectifier default to gain 2"
            }
            "HeUniform" => "a uniform distribution with the variance gain / fan_in (He et al., 2015)",
            "XavierNormal" => {
                "a normal distribution with the variance gain / (fan_in + fan_out) (Glorot and Bengio, 2010)"
            }
            "XavierUniform" => {
                "a uniform distribution with the variance gain / (fan_in + fan_out) (Glorot and Bengio, 2010)"
            }
            "Orthogonal" => "a matrix of orthonormal rows or columns (Saxe et al., 2013)",
            _ => return None,
        };
        Some(format!("{name}({}), {what}", arguments.join(", ")))
    }

    /// The name of an initialiser that is written `HeNormal` or `he_normal`.
    pub fn named(name: &str) -> Option<&'static str> {
        let folded: String = name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect();
        Self::NAMES.into_iter().find(|known| known.to_lowercase() == folded)
    }

    /// Reads `HeNormal(gain=2)`, `he_normal` or a number.
    pub fn from_value(value: &Value) -> Option<Initializer> {
        if let Some(number) = value.number() {
            return Some(Initializer::Constant(number));
        }
        let (name, arguments): (&str, &[_]) = match &value.kind {
            ValueKind::Construct { name, arguments } => (name, arguments),
            ValueKind::Word(name) => (name, &[]),
            _ => return None,
        };
        let name = Self::named(name)?;
        let known = Self::arguments(name)?;
        let mut numbers = [0.0; 2];
        for (number, argument) in numbers.iter_mut().zip(known) {
            if let Default::Float(default) = argument.default {
                *number = default;
            }
        }
        for (index, (name, value)) in arguments.iter().enumerate() {
            let position = match name {
                None => index,
                Some((name, _)) => known.iter().position(|argument| argument.name == name)?,
            };
            if position >= known.len() {
                return None;
            }
            numbers[position] = value.number()?;
        }
        let [a, b] = numbers;
        Some(match name {
            "Constant" => Initializer::Constant(a),
            "Normal" => Initializer::Normal { mean: a, std: b },
            "Uniform" => Initializer::Uniform { min: a, max: b },
            "HeNormal" => Initializer::HeNormal { gain: a },
            "HeUniform" => Initializer::HeUniform { gain: a },
            "XavierNormal" => Initializer::XavierNormal { gain: a },
            "XavierUniform" => Initializer::XavierUniform { gain: a },
            _ => Initializer::Orthogonal { scale: a },
        })
    }

    /// The initial values of a parameter, row-major. The random stream depends only on the seed and the parameter's path, so
    /// that adding a layer does not change the values of others.
    pub fn sample(&self, shape: &[usize], path: &str, seed: u64) -> Vec<f32> {
        let len: usize = shape.iter().product();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.update(path.as_bytes());
        let mut random = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
        let (fan_in, fan_out) = fans(shape);
        let mut normal = |mean: f64, std: f64| -> Vec<f32> {
            (0..len).map(|_| (mean + std * standard_normal(&mut random)) as f32).collect()
        };
        match *self {
            Initializer::Constant(value) => vec![value as f32; len],
            Initializer::Normal { mean, std } => normal(mean, std),
            Initializer::HeNormal { gain } => normal(0.0, (gain / fan_in).sqrt()),
            Initializer::XavierNormal { gain } => normal(0.0, (gain / (fan_in + fan_out)).sqrt()),
            Initializer::Uniform { min, max } => uniform(&mut random, len, min, max),
            Initializer::HeUniform { gain } => {
                let bound = (3.0 * gain / fan_in).sqrt();
                uniform(&mut random, len, -bound, bound)
            }
            Initializer::XavierUniform { gain } => {
                let bound = (3.0 * gain / (fan_in + fan_out)).sqrt();
                uniform(&mut random, len, -bound, bound)
            }
            Initializer::Orthogonal { scale } => {
                let columns = shape.last().copied().unwrap_or(1).max(1);
                orthogonal(&normal(0.0, 1.0), len / columns, columns, scale)
            }
        }
    }
}

/// The fans of a weight as NeuPy counts them: rows and columns of a matrix, and for a kernel its last two axes times its window.
fn fans(shape: &[usize]) -> (f64, f64) {
    match *shape {
        [] => (1.0, 1.0),
        [n] => (n as f64, 1.0),
        [ref window @ .., inputs, outputs] => {
            let window: usize = window.iter().product();
            ((window * inputs) as f64, (window * outputs) as f64)
        }
    }
}

/// A uniform f64 in [0, 1) from 53 random bits.
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A sample of the standard normal distribution (Box and Muller, 1958).
fn standard_normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - unit(random)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(random)).cos()
}

fn uniform(random: &mut ChaCha8Rng, len: usize, min: f64, max: f64) -> Vec<f32> {
    (0..len).map(|_| (min + (max - min) * unit(random)) as f32).collect()
}

/// Gram-Schmidt on the shorter side of a random matrix.
fn orthogonal(values: &[f32], rows: usize, columns: usize, scale: f64) -> Vec<f32> {
    let (count, length) = if rows <= columns { (rows, columns) } else { (columns, rows) };
    let at =
        |vector: usize, index: usize| if rows <= columns { vector * columns + index } else { index * columns + vector };
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    for vector in 0..count {
        let mut row: Vec<f64> = (0..length).map(|index| f64::from(values[at(vector, index)])).collect();
        for earlier in &basis {
            let dot: f64 = row.iter().zip(earlier).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(earlier).for_each(|(a, b)| *a -= dot * b);
        }
        let norm = row.iter().map(|a| a * a).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        row.iter_mut().for_each(|a| *a /= norm);
        basis.push(row);
    }
    let mut out = vec![0.0; values.len()];
    for (vector, row) in basis.iter().enumerate() {
        for (index, value) in row.iter().enumerate() {
            out[at(vector, index)] = (scale * value) as f32;
        }
    }
    out
}

impl fmt::Display for Initializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Initializer::Constant(value) => write!(f, "Constant({value})"),
            Initializer::Normal { mean, std } => write!(f, "Normal(mean={mean}, std={std})"),
            Initializer::Uniform { min, max } => write!(f, "Uniform(minval={min}, maxval={max})"),
            Initializer::HeNormal { gain } => write!(f, "HeNormal(gain={gain})"),
            Initializer::HeUniform { gain } => write!(f, "HeUniform(gain={gain})"),
            Initializer::XavierNormal { gain } => write!(f, "XavierNormal(gain={gain})"),
            Initializer::XavierUniform { gain } => write!(f, "XavierUniform(gain={gain})"),
            Initializer::Orthogonal { scale } => write!(f, "Orthogonal(scale={scale})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_path_and_seed_give_the_same_values() {
        let he = Initializer::HeNormal { gain: 2.0 };
        assert_eq!(he.sample(&[3, 3, 4, 8], "a/weight", 0), he.sample(&[3, 3, 4, 8], "a/weight", 0));
        assert_ne!(he.sample(&[3, 3, 4, 8], "a/weight", 0), he.sample(&[3, 3, 4, 8], "b/weight", 0));
        assert_ne!(he.sample(&[3, 3, 4, 8], "a/weight", 0), he.sample(&[3, 3, 4, 8], "a/weight", 1));
    }

    #[test]
    fn he_normal_has_neupys_variance() {
        let values = Initializer::HeNormal { gain: 2.0 }.sample(&[400, 300], "w", 7);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((variance * 400.0 / 2.0 - 1.0).abs() < 0.02, "{variance}");
    }

    #[test]
    fn orthogonal_rows_are_orthogonal() {
        let values = Initializer::Orthogonal { scale: 1.0 }.sample(&[3, 5], "w", 0);
        let dot = |a: usize, b: usize| (0..5).map(|i| values[a * 5 + i] * values[b * 5 + i]).sum::<f32>();
        assert!(dot(0, 1).abs() < 1e-6 && (dot(2, 2) - 1.0).abs() < 1e-6);
    }
}
