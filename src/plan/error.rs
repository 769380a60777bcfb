//! The error of an invalid plan.

/// An invalid plan: the step, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step `{step}`: {what}")]
pub struct PlanError {
    pub step: String,
    pub what: String,
    /// Whether the plan is valid but exceeds a limit.
    pub too_much: bool,
}

impl PlanError {
    pub(super) fn wrong(step: &str, what: impl Into<String>) -> Self {
        PlanError { step: step.into(), what: what.into(), too_much: false }
    }

    pub(super) fn too_much(step: &str, what: String) -> Self {
        PlanError { step: step.into(), what, too_much: true }
    }
}
