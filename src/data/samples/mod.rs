//! Datasets: photos or arrays, targets, and the names of the classes.

pub mod csv_list;
pub mod dataset;
#[cfg(test)]
mod dataset_tests;
pub mod labels;
pub mod photo_paths;
pub mod split;
pub mod table;
pub mod targets;
