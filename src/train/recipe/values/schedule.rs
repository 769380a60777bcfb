//! `schedule = …`: learning rate schedules. Updates are counted from 0, as in NeuPy.

use super::choice::{Choice, argument, called, read};
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::graph::signature::definition::Default;
use crate::graph::{Argument, Arguments, Value, ValueKind};

/// How the learning rate changes over the updates: each part maps the rate that the parts before it give.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule(pub Vec<SchedulePart>);

/// One part of a schedule: maps the rate v at update t.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SchedulePart {
    /// v / (1 + t / freq)
    Step { freq: f64 },
    /// v * rate^(t / freq), the exponent rounded down with `staircase`
    Exponential { freq: f64, rate: f64, staircase: bool },
    /// (v - min_rate) * (1 - t / updates)^power + min_rate; t is at most `updates`, or with `cycle`
    /// `updates` is the next multiple
    Polynomial { updates: f64, min_rate: f64, power: f64, cycle: bool },
    /// min_rate + (v - min_rate) * (1 + cos(pi t / updates)) / 2; `None` for the updates of the run
    Cosine { updates: Option<f64>, min_rate: f64 },
    /// v * min((t + 1) / updates, 1)
    WarmUp { updates: f64 },
    /// v * factor^r, r counting how often the loss has not improved by `min_delta` for `patience` epochs
    Plateau { factor: f64, patience: usize, min_rate: f64, min_delta: f64 },
}

impl Schedule {
    /// The learning rate of update `t` of `total`, after this number of reductions on a plateau.
    pub fn rate(&self, initial: f64, t: u64, total: u64, reductions: u32) -> f64 {
        let t = t as f64;
        self.0.iter().fold(initial, |v, part| match *part {
            SchedulePart::Step { freq } => v / (1.0 + t / freq),
            SchedulePart::Exponential { freq, rate, staircase } => {
                let exponent = if staircase { (t / freq).floor() } else { t / freq };
                v * rate.powf(exponent)
            }
            SchedulePart::Polynomial { updates, min_rate, power, cycle } => {
                let (t, updates) = match cycle {
                    true => (t, updates * (t / updates).ceil().max(1.0)),
                    false => (t.min(updates), updates),
                };
                (v - min_rate) * (1.0 - t / updates).powf(power) + min_rate
            }
            SchedulePart::Cosine { updates, min_rate } => {
                let share = (t / updates.unwrap_or(total as f64).max(1.0)).min(1.0);
                min_rate + (v - min_rate) * (1.0 + (std::f64::consts::PI * share).cos()) / 2.0
            }
            SchedulePart::WarmUp { updates } => v * ((t + 1.0) / updates).min(1.0),
            SchedulePart::Plateau { factor, min_rate, .. } => (v * factor.powi(reductions as i32)).max(min_rate.min(v)),
        })
    }

    /// The patience in epochs and the minimum improvement of `reduce_on_plateau`, if the schedule has it.
    pub fn plateau(&self) -> Option<(usize, f64)> {
        self.0.iter().find_map(|part| match part {
            SchedulePart::Plateau { patience, min_delta, .. } => Some((*patience, *min_delta)),
            _ => None,
        })
    }
}

const REDUCTION_FREQ: Argument =
    argument("reduction_freq", "number of updates", Default::Int(100), "updates for one reduction of the rate");
const MINSTEP: Argument = argument("minstep", "number", Default::Float(0.001), "the final rate");

fn count(arguments: &Arguments, name: &str) -> Result<f64, Diagnostic> {
    Ok(arguments.integer(name, 1)? as f64)
}

fn rate(arguments: &Arguments, name: &str) -> Result<f64, Diagnostic> {
    arguments.number_within(name, 0.0, 1e6)
}

/// Every schedule.
pub static SCHEDULES: &[Choice<SchedulePart>] = &[
    Choice {
        name: "step_decay",
        summary: "step / (1 + t / reduction_freq), t counting updates",
        arguments: &[REDUCTION_FREQ],
        build: |arguments| Ok(SchedulePart::Step { freq: count(arguments, "reduction_freq")? }),
    },
    Choice {
        name: "exponential_decay",
        summary: "step * reduction_rate ^ (t / reduction_freq)",
        arguments: &[
            REDUCTION_FREQ,
            argument("reduction_rate", "number from 0 to 1", Default::Float(0.96), "the factor of one reduction"),
            argument(
                "staircase",
                "`true` or `false`",
                Default::Bool(false),
                "reduces in steps: rounds the exponent down",
            ),
        ],
        build: |arguments| {
            Ok(SchedulePart::Exponential {
                freq: count(arguments, "reduction_freq")?,
                rate: arguments.number_within("reduction_rate", 0.0, 1.0)?,
                staircase: arguments.boolean("staircase")?,
            })
        },
    },
    Choice {
        name: "polynomial_decay",
        summary: "(step - minstep) * (1 - t / decay_iter) ^ power + minstep",
        arguments: &[
            argument("decay_iter", "number of updates", Default::Required, "updates until the rate is minstep"),
            MINSTEP,
            argument("power", "number", Default::Float(1.0), "1 is a straight line"),
            argument("cycle", "`true` or `false`", Default::Bool(false), "starts again after decay_iter updates"),
        ],
        build: |arguments| {
            Ok(SchedulePart::Polynomial {
                updates: count(arguments, "decay_iter")?,
                min_rate: rate(arguments, "minstep")?,
                power: arguments.number_within("power", 0.0, 100.0)?,
                cycle: arguments.boolean("cycle")?,
            })
        },
    },
    Choice {
        name: "cosine_decay",
        summary: "minstep + (step - minstep) * (1 + cos(pi t / decay_iter)) / 2 (Loshchilov and Hutter, 2017)",
        arguments: &[
            argument(
                "decay_iter",
                "number of updates",
                Default::Absent("all updates of the run"),
                "updates until the rate is minstep",
            ),
            argument("minstep", "number", Default::Float(0.0), "the final rate"),
        ],
        build: |arguments| {
            let updates = arguments.given("decay_iter").map(|_| count(arguments, "decay_iter")).transpose()?;
            Ok(SchedulePart::Cosine { updates, min_rate: rate(arguments, "minstep")? })
        },
    },
    Choice {
        name: "warm_up",
        summary: "raises the rate linearly over the first updates (Goyal et al., 2017)",
        arguments: &[argument("updates", "number of updates", Default::Int(100), "updates until the full rate")],
        build: |arguments| Ok(SchedulePart::WarmUp { updates: count(arguments, "updates")? }),
    },
    Choice {
        name: "reduce_on_plateau",
        summary: "multiplies the rate by factor when the loss (on the validation data, if there is any) has not improved for some epochs",
        arguments: &[
            argument("factor", "number from 0 to 1", Default::Float(0.1), "the factor of one reduction"),
            argument("patience", "number of epochs", Default::Int(10), "epochs to wait for a better loss"),
            argument("minstep", "number", Default::Float(0.0), "the minimum rate"),
            argument(
                "min_delta",
                "number",
                Default::Float(1e-4),
                "the minimum decrease of the loss that counts as better",
            ),
        ],
        build: |arguments| {
            Ok(SchedulePart::Plateau {
                factor: arguments.number_within("factor", 0.0, 1.0)?,
                patience: arguments.integer("patience", 1)?,
                min_rate: rate(arguments, "minstep")?,
                min_delta: rate(arguments, "min_delta")?,
            })
        },
    },
];

/// Reads `schedule = …`: one schedule, or a list of them that multiply.
///
/// # Errors
/// A value that is no schedule.
pub fn of(value: &Value) -> Result<Schedule, Diagnostics> {
    let mut errors = Diagnostics::default();
    let mut parts = Vec::new();
    let list = match &value.kind {
        ValueKind::List(list) => list.as_slice(),
        _ => std::slice::from_ref(value),
    };
    for part in list {
        match read("schedule", SCHEDULES, part) {
            Ok(part) => parts.push(part),
            Err(more) => errors.extend(more),
        }
    }
    errors.or_errors(Schedule(parts)).map(|(schedule, _)| schedule)
}

/// Reads NeuPy's form `step=step_decay(0.1, reduction_freq=100)`: the first argument is the initial rate.
///
/// # Errors
/// A value that is no schedule, or has no rate.
pub fn with_value(value: &Value) -> Result<(f64, Schedule), Diagnostic> {
    let wrong = || {
        Diagnostic::new(Code::RecipeValue, "`step` takes a number, or a schedule with a number first")
            .at(value.span, format!("this is `{value}`"))
            .help("`step=step_decay(0.1, reduction_freq=100)`, or `step=0.1` and an entry `schedule`")
    };
    let Some((name, mut given)) = called(value) else { return Err(wrong()) };
    let named = given.iter().position(|(name, _)| name.as_ref().is_some_and(|(name, _)| name == "initial_value"));
    let position = named.or_else(|| given.iter().position(|(name, _)| name.is_none())).ok_or_else(wrong)?;
    let (_, first) = given.remove(position);
    let step = first.number().ok_or_else(wrong)?;
    let kind = ValueKind::Construct { name: name.to_string(), arguments: given };
    let without_rate = Value { kind, span: value.span };
    let schedule = of(&without_rate).map_err(|errors| errors.iter().next().cloned().unwrap_or_else(wrong))?;
    Ok((step, schedule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(part: SchedulePart, at: [u64; 3]) -> [f64; 3] {
        at.map(|t| Schedule(vec![part]).rate(0.1, t, 200, 0))
    }

    #[test]
    fn schedules_follow_their_formulas() {
        let near = |found: [f64; 3], expected: [f64; 3]| {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
            }
        };
        near(rates(SchedulePart::Step { freq: 100.0 }, [0, 100, 200]), [0.1, 0.05, 0.1 / 3.0]);
        let exponential = |staircase| SchedulePart::Exponential { freq: 100.0, rate: 0.5, staircase };
        near(rates(exponential(false), [0, 100, 150]), [0.1, 0.05, 0.1 * 0.5f64.powf(1.5)]);
        near(rates(exponential(true), [99, 100, 199]), [0.1, 0.05, 0.05]);
        let polynomial = |cycle| SchedulePart::Polynomial { updates: 100.0, min_rate: 0.02, power: 1.0, cycle };
        near(rates(polynomial(false), [0, 50, 400]), [0.1, 0.06, 0.02]);
        near(rates(polynomial(true), [0, 100, 150]), [0.1, 0.02, 0.04]);
        near(rates(SchedulePart::Cosine { updates: None, min_rate: 0.0 }, [0, 100, 200]), [0.1, 0.05, 0.0]);
        near(rates(SchedulePart::WarmUp { updates: 10.0 }, [0, 4, 50]), [0.01, 0.05, 0.1]);
        let plateau = SchedulePart::Plateau { factor: 0.5, patience: 2, min_rate: 0.03, min_delta: 0.0 };
        let reduced = [0, 1, 2].map(|count| Schedule(vec![plateau]).rate(0.1, 7, 10, count));
        near(reduced, [0.1, 0.05, 0.03]);
    }

    #[test]
    fn parts_multiply() {
        let schedule = Schedule(vec![SchedulePart::Step { freq: 1.0 }, SchedulePart::WarmUp { updates: 4.0 }]);
        assert!((schedule.rate(0.8, 1, 10, 0) - 0.2).abs() < 1e-12);
    }
}
