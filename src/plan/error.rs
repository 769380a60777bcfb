//! The error of an invalid plan.

/// An invalid plan: the step, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step `{step}`: {what}")]
pub struct PlanError {
    pub step: String,
    pub what: String,
    /// Whether the plan is valid but exceeds a limit.
    pub exceeds_limit: bool,
}

impl PlanError {
    pub(super) fn wrong(step: &str, what: impl Into<String>) -> Self {
        PlanError { step: step.into(), what: what.into(), exceeds_limit: false }
    }

    pub(super) fn exceeds_limit(step: &str, what: String) -> Self {
        PlanError { step: step.into(), what, exceeds_limit: true }
    }
}
