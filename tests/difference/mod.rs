//! How far computed numbers are from expected ones.

/// The largest difference of two lists, each divided by what `scale` gives for the expected number; infinite if one is not a
/// number, which `f64::max` would not see.
///
/// # Panics
/// If one list is longer.
#[track_caller]
pub fn difference<A: Into<f64>, B: Into<f64>>(
    found: impl IntoIterator<Item = A>,
    expected: impl IntoIterator<Item = B>,
    scale: impl Fn(f64) -> f64,
) -> f64 {
    let found: Vec<f64> = found.into_iter().map(Into::into).collect();
    let expected: Vec<f64> = expected.into_iter().map(Into::into).collect();
    assert_eq!(found.len(), expected.len(), "numbers found and expected");
    let errors = found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs() / scale(*expected));
    errors.fold(0.0, |most, error| if error.is_nan() { f64::INFINITY } else { most.max(error) })
}
