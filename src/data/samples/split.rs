//! Splitting data into training and validation sets.

use super::dataset::{Dataset, DatasetError};
use crate::data::seeded_rng::SeededRng;

/// The purpose of the random numbers here.
const PURPOSE: u64 = u64::from_le_bytes(*b"split\0\0\0");

/// Splits `dataset` into a training set and a validation set with `share` of the samples, deterministically.
///
/// If the targets are classes, the split is stratified (with rounding that keeps the total), and at least one sample of each
/// class stays in training; otherwise the samples are drawn from all. Both sets keep the order of the data.
///
/// # Errors
/// If `share` is not between 0 and 1, or the validation set would be empty.
pub fn split(dataset: &Dataset, share: f64, seed: u64) -> Result<(Dataset, Dataset), DatasetError> {
    if !(share > 0.0 && share < 1.0) {
        return Err(DatasetError::Share(share));
    }
    let mut rng = SeededRng::new([PURPOSE, seed, 0, 0]);
    let mut groups: Vec<Vec<usize>> = match dataset.targets.classes() {
        Some(classes) => {
            let mut groups = vec![Vec::new(); classes.iter().max().map_or(0, |highest| highest + 1)];
            classes.iter().enumerate().for_each(|(index, &class)| groups[class].push(index));
            groups.retain(|group| !group.is_empty());
            groups
        }
        None => vec![(0..dataset.len()).collect()],
    };
    let (counts, classes) = (quotas(&groups, share, &mut rng), groups.len());
    let mut validation: Vec<usize> = Vec::new();
    for (group, count) in groups.iter_mut().zip(counts) {
        rng.shuffle(group);
        validation.extend(&group[..count]);
    }
    if validation.is_empty() {
        return Err(DatasetError::NoValidation { share, samples: dataset.len(), classes });
    }
    validation.sort_unstable();
    let training: Vec<usize> = (0..dataset.len()).filter(|index| validation.binary_search(index).is_err()).collect();
    Ok((dataset.take(&training), dataset.take(&validation)))
}

/// The number of validation samples of each group: its share, rounded by the largest remainder method (Hamilton's method; ties
/// are broken at random), so that the sum is the share of all.
fn quotas(groups: &[Vec<usize>], share: f64, rng: &mut SeededRng) -> Vec<usize> {
    let exact = |group: &Vec<usize>| share * group.len() as f64;
    let mut counts: Vec<usize> =
        groups.iter().map(|group| (exact(group) as usize).min(group.len().saturating_sub(1))).collect();
    let all: usize = groups.iter().map(Vec::len).sum();
    let missing = ((share * all as f64).round() as usize).saturating_sub(counts.iter().sum());
    let mut order: Vec<usize> = (0..groups.len()).filter(|&group| counts[group] + 1 < groups[group].len()).collect();
    rng.shuffle(&mut order);
    let lost = |group: usize| exact(&groups[group]) - counts[group] as f64;
    order.sort_by(|&a, &b| lost(b).total_cmp(&lost(a)));
    order.truncate(missing);
    order.into_iter().for_each(|group| counts[group] += 1);
    counts
}
