//! Datasets from folders, lists and arrays, and their splits.

use super::dataset::{ArraySource, Dataset, DatasetError, Policy, Samples};
use super::photo_paths::tests::{JPEG, tree};
use super::split::split;
use super::table::Table;
use super::targets::{Coding, Targets, TargetsError};
use crate::data::arrays::array_file;
use ndarray::{ArrayD, IxDyn, array};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn photos(dataset: &Dataset, root: &Path) -> Vec<String> {
    let Samples::Photos(paths) = &dataset.samples else { panic!("photos are expected") };
    let name = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    paths.iter().map(name).collect()
}

fn csv(list: &str, policy: Policy) -> (TempDir, Result<Dataset, String>) {
    let root = tree(&["owl/1.jpg", "kite.jpg", "x y.jpg", "notes.txt=words"]);
    let path = root.path().join("list.csv");
    fs::write(&path, list).unwrap();
    let read = Dataset::csv(&path, policy);
    let result = read.map_err(|error| error.to_string().replace(&format!("{}/", root.path().display()), ""));
    (root, result)
}

#[test]
fn folders_are_classes() {
    let root = tree(&["owl/2.jpg", "owl/1.jpg", "kite/1.jpg", "LICENSE=text", "kite/notes.txt=words"]);
    let dataset = Dataset::images(root.path(), Policy::Refuse).unwrap();
    assert_eq!(photos(&dataset, root.path()), ["kite/1.jpg", "owl/1.jpg", "owl/2.jpg"]);
    assert_eq!(dataset.targets, Targets::Classes(vec![0, 1, 1]));
    assert_eq!(dataset.classes.as_deref().unwrap(), ["kite", "owl"]);
    assert_eq!(dataset.class_counts().unwrap(), [1, 2]);
    assert_eq!(dataset.skipped.len(), 2);
}

#[test]
fn files_with_the_extension_of_a_picture_that_are_not_pictures() {
    let root = tree(&["owl/1.jpg", "owl/2.jpg=<html>", "owl/3.PNG=", "notes.txt=words"]);
    let error = Dataset::images(root.path(), Policy::Refuse).unwrap_err().to_string();
    let error = error.replace(&format!("{}/", root.path().display()), "");
    assert_eq!(
        error,
        "2 files cannot be used:\n  owl/2.jpg: a web page, not a photo\n  owl/3.PNG: an empty file, not a photo"
    );
    let dataset = Dataset::images(root.path(), Policy::Skip).unwrap();
    assert_eq!((dataset.len(), dataset.skipped.len()), (1, 3));
}

#[test]
fn lists_with_and_without_a_header() {
    for list in [
        "owl/1.jpg,owl\nkite.jpg,kite\nx y.jpg,owl\n",
        "\u{feff}path,label\r\nowl/1.jpg, owl\r\n\r\nkite.jpg,kite\r\n\"x y.jpg\",owl",
        "label,split,Image\nowl,a,owl/1.jpg\nkite,a,kite.jpg\nowl,b,x y.jpg\n",
    ] {
        let (root, dataset) = csv(list, Policy::Refuse);
        let dataset = dataset.unwrap();
        assert_eq!(photos(&dataset, root.path()), ["owl/1.jpg", "kite.jpg", "x y.jpg"], "{list}");
        assert_eq!(dataset.targets, Targets::Classes(vec![1, 0, 1]));
        assert_eq!(dataset.classes.unwrap(), ["kite", "owl"]);
    }
}

#[test]
fn labels_may_be_numbers() {
    let (_root, dataset) = csv("owl/1.jpg,3\nkite.jpg,0\n", Policy::Refuse);
    let dataset = dataset.unwrap();
    assert_eq!((&dataset.targets, &dataset.classes), (&Targets::Classes(vec![3, 0]), &None));
    assert_eq!(dataset.class_counts().unwrap(), [1, 0, 0, 1]);
    for (list, expected) in [
        ("owl/1.jpg,0.5\nkite.jpg,2\n", array![[0.5], [2.0]].into_dyn()),
        ("file,x,y\nowl/1.jpg,1,-2\nkite.jpg,3,4\n", array![[1.0, -2.0], [3.0, 4.0]].into_dyn()),
    ] {
        let dataset = csv(list, Policy::Refuse).1.unwrap();
        assert_eq!((dataset.class_counts(), dataset.targets), (None, Targets::Values(Table::of_array(expected))));
    }
}

/// Names of classes are lines of `labels.txt`, and are printed.
#[test]
fn classes_have_no_control_characters_in_their_names() {
    let (_root, error) = csv("owl/1.jpg,\"o\nwl\"\n", Policy::Refuse);
    let error = error.unwrap_err();
    assert!(error.ends_with(r"the label `o\nwl` contains a control character"), "{error}");
    let long = "x".repeat(5000);
    let (_root, error) = csv(&format!("{long},owl\n"), Policy::Refuse);
    assert!(error.unwrap_err().ends_with("the path has 5000 bytes"));
}

#[test]
fn every_bad_row_is_named() {
    let list = "owl/1.jpg,owl\ngone.jpg,owl\n\nnotes.txt,owl\nkite.jpg\nkite.jpg,\n,owl\nkite.jpg,kite\n";
    let (root, error) = csv(list, Policy::Refuse);
    insta::assert_snapshot!(
        error.unwrap_err().replace(root.path().to_str().unwrap(), "FOLDER"),
        @r"
    list.csv:2: there is no file `gone.jpg`; paths start at the folder of the list, FOLDER
    list.csv:4: `notes.txt` cannot be used: text, not a photo
    list.csv:5: 1 column instead of 2: a path and a label, separated by a comma
    list.csv:6: the label is empty
    list.csv:7: the path is empty
    "
    );
    let (root, dataset) = csv(list, Policy::Skip);
    let dataset = dataset.unwrap();
    assert_eq!(photos(&dataset, root.path()), ["owl/1.jpg", "kite.jpg"]);
    assert_eq!(dataset.skipped.len(), 5);
    let mixed = csv("owl/1.jpg,1,2\nkite.jpg,3,x\n", Policy::Refuse).1.unwrap_err();
    assert_eq!(mixed, "list.csv:2: `x` is not a number; a row has one label, or only numbers, after the path");
}

#[test]
fn invalid_lists() {
    for (list, expected) in [
        ("", "list.csv: it has no rows; each row is a photo and its label: `owl/1.jpg,owl`"),
        ("path\nowl/1.jpg\n", "list.csv: its header has only a column of paths; expected `path,label`"),
        ("owl/1.jpg;owl\n", "list.csv:1: columns are separated by commas, not semicolons: `owl/1.jpg,owl`"),
        ("owl/1.jpg\n", "list.csv:1: 1 column instead of 2: a path and a label, separated by a comma"),
    ] {
        assert_eq!(csv(list, Policy::Skip).1.unwrap_err(), expected);
    }
    let root = TempDir::new().unwrap();
    let error = Dataset::csv(&root.path().join("gone.csv"), Policy::Refuse).unwrap_err().to_string();
    assert!(error.ends_with("gone.csv cannot be read: there is no such file"), "{error}");
    let path = root.path().join("bytes.csv");
    fs::write(&path, b"a,b\n\xff\xfe,x\n").unwrap();
    let error = Dataset::csv(&path, Policy::Refuse).unwrap_err().to_string();
    assert!(error.contains("bytes.csv:2: not UTF-8 text"), "{error}");
}

fn source(root: &TempDir, name: &str, array: ArrayD<f32>) -> ArraySource {
    let path = root.path().join(name);
    array_file::write(&path, &[("x", array.view())]).unwrap();
    ArraySource { path, name: None }
}

#[test]
fn arrays_with_every_kind_of_target() {
    let root = TempDir::new().unwrap();
    let x = source(&root, "x.npy", ArrayD::from_shape_fn(IxDyn(&[3, 2, 2]), |at| at[0] as f32));
    let of = |name: &str, y: ArrayD<f32>| Dataset::arrays(&[x.clone(), x.clone()], &source(&root, name, y)).unwrap();
    let flat = of("a.npy", array![2.0, 0.0, 1.0].into_dyn());
    assert_eq!(flat.targets, Targets::Classes(vec![2, 0, 1]));
    assert_eq!(of("b.h5", array![[2.0], [0.0], [1.0]].into_dyn()), flat);
    let one_hot = array![[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]].into_dyn();
    let hot = of("c.npy", one_hot.clone());
    assert_eq!(hot.targets.classes().unwrap(), [2, 0, 1]);
    assert_eq!(hot.class_counts().unwrap(), [1, 1, 1, 0]);
    let numbers = |targets: &Targets, outputs| targets.clone().into_numbers(outputs);
    assert_eq!(numbers(&flat.targets, 4), Ok(Targets::Values(Table::of_array(one_hot))));
    assert_eq!(numbers(&flat.targets, 1), Ok(Targets::column(vec![2.0, 0.0, 1.0])));
    assert_eq!(numbers(&flat.targets, 2), Err(TargetsError::ClassRange { sample: 0, class: 2, outputs: 2 }));
    assert_eq!(hot.targets.check(&[3]), Err(TargetsError::Width { found: 4, outputs: 3 }));
    let real = of("d.npy", array![0.5, -1.0, 2.0].into_dyn());
    assert_eq!(real.targets, Targets::column(vec![0.5, -1.0, 2.0]));
    let Samples::Arrays(taken) = real.take(&[2, 0]).samples else { panic!("arrays are expected") };
    assert_eq!((taken.len(), taken[0].len(), taken[0].sizes()), (2, 2, &[2, 2][..]));
    assert_eq!(taken[0].clone().into_values().unwrap(), [2.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    assert_ne!(real.digest(0).unwrap(), real.digest(1).unwrap());
    assert_eq!(real.digest(2).unwrap(), real.take(&[2]).digest(0).unwrap());
}

#[test]
fn targets_of_pixels() {
    let root = TempDir::new().unwrap();
    let x = source(&root, "x.npy", ArrayD::zeros(IxDyn(&[2, 4])));
    let of = |name: &str, y: ArrayD<f32>| {
        Dataset::arrays(std::slice::from_ref(&x), &source(&root, name, y)).unwrap().targets
    };
    let row = |targets: &Targets, sample, coding, outputs| {
        let mut row = vec![9.0; outputs];
        targets.row(sample, coding, &mut row).unwrap();
        row
    };
    let indices = of("a.npy", array![[[0.0, 1.0, 2.0]], [[2.0, 2.0, 0.0]]].into_dyn());
    assert!(indices.check(&[1, 3, 3]).is_ok() && indices.has_pixel_classes(&[1, 3, 3]));
    // The channel dimension may be omitted if it is 1.
    assert!(indices.check(&[1, 3, 1]).is_ok() && !indices.has_pixel_classes(&[1, 3, 1]));
    let plain = Coding::of(&[1, 3, 3]);
    assert_eq!(row(&indices, 1, plain, 9), [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    let signs = Coding { no: -1.0, ..Coding::of(&[1, 3, 1]) };
    assert_eq!(row(&indices, 0, signs, 3), [-1.0, 1.0, 2.0]);
    assert_eq!(row(&Targets::Classes(vec![1, 0]), 1, signs, 1), [-1.0]);
    assert_eq!(row(&Targets::Classes(vec![1, 0]), 0, Coding { no: -1.0, width: 3 }, 3), [-1.0, 1.0, -1.0]);
    let refusal = |sizes: &[usize]| indices.check(sizes).unwrap_err().to_string();
    assert_eq!(refusal(&[1, 2, 3]), "the targets have the shape (n, 1, 3), but the output of the net is (n, 1, 2, 3)");
    assert_eq!(refusal(&[9]), "the targets have the shape (n, 1, 3), but the output of the net is (n, 9)");
    let classes = Targets::Classes(vec![0, 1]).check(&[4, 4, 2]).unwrap_err().to_string();
    assert_eq!(classes, "the targets have one class per sample, but the net predicts one for each of 16 pixels");
}

#[test]
fn arrays_that_do_not_fit() {
    let root = TempDir::new().unwrap();
    let of = |x: ArrayD<f32>, y: ArrayD<f32>| {
        let error = Dataset::arrays(&[source(&root, "x.npy", x)], &source(&root, "y.npy", y)).unwrap_err();
        error.to_string().replace(&format!("{}/", root.path().display()), "")
    };
    let rows = |count: usize| ArrayD::zeros(IxDyn(&[count, 2]));
    assert_eq!(of(rows(3), rows(4)), "y.npy has 4 rows, but x.npy has 3; row i of both must be sample i");
    assert_eq!(of(rows(0), rows(2)), "x.npy contains no samples: its shape is [0, 2]");
    assert!(of(ArrayD::zeros(IxDyn(&[])), rows(1)).ends_with("this one is a scalar"));
    let nan = ArrayD::from_elem(IxDyn(&[1, 2]), f32::NAN);
    assert_eq!(of(nan, rows(1)), "x.npy: row 0 contains a value that is not finite");
}

#[test]
fn unusable_samples_are_removed() {
    let root = tree(&["a/1.jpg", "a/2.jpg", "b/3.jpg"]);
    let dataset = Dataset::images(root.path(), Policy::Skip).unwrap();
    let bad = [(1, "truncated".to_owned())];
    let error = dataset.clone().without(&bad, Policy::Refuse).unwrap_err().to_string();
    assert!(error.starts_with("a file cannot be used:\n") && error.ends_with("2.jpg: truncated"), "{error}");
    let rest = dataset.clone().without(&bad, Policy::Skip).unwrap();
    assert_eq!(photos(&rest, root.path()), ["a/1.jpg", "b/3.jpg"]);
    assert_eq!((rest.skipped.len(), rest.targets), (1, Targets::Classes(vec![0, 1])));
    let all: Vec<_> = (0..3).map(|index| (index, String::new())).collect();
    assert!(matches!(dataset.without(&all, Policy::Skip), Err(DatasetError::Nothing)));
}

#[test]
fn digests_are_of_the_bytes() {
    let root = tree(&["a/1.jpg"]);
    let dataset = Dataset::images(root.path(), Policy::Refuse).unwrap();
    assert_eq!(dataset.digest(0).unwrap(), *blake3::hash(JPEG).as_bytes());
    fs::remove_file(root.path().join("a/1.jpg")).unwrap();
    assert!(matches!(dataset.digest(0), Err(DatasetError::Io { .. })));
}

/// A dataset of these classes, whose rows contain their index.
fn of_classes(classes: Vec<usize>) -> Dataset {
    let rows = ArrayD::from_shape_fn(IxDyn(&[classes.len(), 1]), |at| at[0] as f32);
    let samples = Samples::Arrays(vec![Table::of_array(rows)]);
    Dataset { samples, targets: Targets::Classes(classes), classes: None, further: Vec::new(), skipped: Vec::new() }
}

fn rows(dataset: &Dataset) -> Vec<usize> {
    let Samples::Arrays(arrays) = &dataset.samples else { panic!("arrays are expected") };
    arrays[0].clone().into_values().unwrap().into_iter().map(|row| row as usize).collect()
}

#[test]
fn splits_are_checked() {
    let dataset = of_classes(vec![0, 1, 0, 1]);
    for share in [0.0, 1.0, -0.1, f64::NAN] {
        assert!(matches!(split(&dataset, share, 0), Err(DatasetError::Share(_))));
    }
    assert!(matches!(split(&of_classes(vec![0, 1, 2]), 0.5, 0), Err(DatasetError::NoValidation { .. })));
    let values = of_classes((0..10).collect()).with_values(1).unwrap();
    let (training, validation) = split(&values, 0.3, 0).unwrap();
    assert_eq!((training.len(), validation.len()), (7, 3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn splits_are_stratified_and_complete(
        classes in proptest::collection::vec(0usize..6, 1..200), share in 0.01..0.99, seed: u64
    ) {
        let dataset = of_classes(classes.clone());
        let Ok((training, validation)) = split(&dataset, share, seed) else {
            let splittable = dataset.class_counts().unwrap().iter().any(|&count| count > 1);
            prop_assert!(!splittable || ((share * classes.len() as f64).round() as usize) == 0);
            return Ok(());
        };
        let mut all: Vec<usize> = rows(&training).into_iter().chain(rows(&validation)).collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..classes.len()).collect::<Vec<_>>());
        let (whole, set_aside) = (dataset.class_counts().unwrap(), validation.class_counts().unwrap());
        for (class, &count) in whole.iter().enumerate() {
            let aside = set_aside.get(class).copied().unwrap_or(0);
            prop_assert!(count == 0 || aside < count);
            prop_assert!((aside as f64 - share * count as f64).abs() < 1.0 || aside + 1 == count);
        }
        prop_assert_eq!(split(&dataset, share, seed).unwrap(), (training, validation));
    }
}
