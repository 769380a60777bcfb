//! Both backends read the same values from every file, including those of h5py and those that each backend writes; malicious
//! files are refused with an error that names what is wrong.

use super::*;
use crate::element;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn open_all(path: &Path) -> impl Iterator<Item = (Backend, File)> {
    Backend::ALL.iter().map(move |backend| (*backend, File::open_with(path, *backend).unwrap()))
}

fn message<T>(result: Result<T, Hdf5Error>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

/// Written with h5py by `tests/data/hdf5/make.py`: 0, 1, 2, ... in every type, layout and chunk index.
#[test]
fn numbers_of_every_kind() {
    for name in ["numbers.earliest.h5", "numbers.latest.h5", "numbers.user_block.h5"] {
        for (backend, file) in open_all(&data("hdf5").join(name)) {
            let paths = file.datasets().unwrap();
            assert_eq!(paths.len(), 65);
            for path in paths {
                let dataset = file.dataset(&path).unwrap();
                let count: usize = dataset.shape().iter().product();
                let expected: Vec<f32> = (0..count).map(|value| value as f32).collect();
                assert_eq!(file.read(&dataset).unwrap(), expected, "{name} {path} by {backend:?}");
                let rows = dataset.rows() / 3..dataset.rows().saturating_sub(1);
                let part = &expected[rows.start * dataset.row_len()..rows.end.max(rows.start) * dataset.row_len()];
                assert_eq!(file.rows(&dataset, rows).unwrap(), part, "{name} {path} by {backend:?}");
            }
            let kind = |path| file.dataset(path).unwrap().element().kind();
            assert_eq!(kind("types/bool"), element::Kind::Bool);
            assert_eq!((kind("types/u4"), kind("types/f2")), (element::Kind::Unsigned, element::Kind::Float));
            assert_eq!(file.dataset("scalar").unwrap().shape(), [0usize; 0]);
            assert_eq!(file.dataset("/empty").unwrap().shape(), [0, 3]);
        }
    }
}

#[test]
fn attributes_of_every_kind() {
    for name in ["numbers.earliest.h5", "numbers.latest.h5", "numbers.user_block.h5"] {
        let file = File::open(&data("hdf5").join(name)).unwrap();
        let of = |name: &str| file.attribute("scalar", name).unwrap();
        let text = |text: &str| Some(Attribute::Text(text.to_owned()));
        let texts = |texts: &[&str]| Some(Attribute::Texts(texts.iter().map(|text| text.to_string()).collect()));
        assert_eq!(of("text"), text("größer"));
        assert_eq!(of("ascii"), text("plain"));
        assert_eq!(of("padded"), text("ab  "));
        assert_eq!(of("texts"), texts(&["one", "zwei", "größer"]));
        assert_eq!(of("fixed"), texts(&["ab", "cde"]));
        assert_eq!((of("empty"), of("null"), of("none")), (texts(&[]), texts(&[]), None));
        assert_eq!(of("number"), Some(Attribute::Numbers(vec![-7.0])));
        assert_eq!(of("numbers"), Some(Attribute::Numbers(vec![0.5, -1.0])));
        assert_eq!(of("yes"), Some(Attribute::Bool(true)));
        assert_eq!(file.attribute("/many", "attribute 11").unwrap(), text("value 11"));
        assert_eq!(file.attributes("many").unwrap().len(), 12);
        assert_eq!(file.members("many").unwrap().len(), 40);
        assert_eq!(message(file.attribute("nothing", "x")), "`nothing` is not in the file");
    }
}

/// libhdf5 is the reference for groups, links and shapes, and for the values.
#[cfg(feature = "hdf5")]
#[test]
fn the_library_finds_the_same_in_every_file() {
    fn walk(group: &hdf5::Group, prefix: &str, found: &mut Vec<(String, Vec<usize>)>) {
        for name in group.member_names().unwrap() {
            let path = format!("{prefix}{name}");
            match group.group(&name) {
                Ok(inner) => walk(&inner, &format!("{path}/"), found),
                Err(_) => found.push((path, group.dataset(&name).unwrap().shape())),
            }
        }
    }
    let mut files = 0;
    let mut folders = vec![data("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name == "bfloat16.h5" {
                // Refused by name: see tests/keras_models.rs.
            } else if name.starts_with("numbers.") || !path.parent().unwrap().ends_with("hdf5") && name.contains(".h") {
                let mut expected = Vec::new();
                let library = hdf5::File::open(&path).unwrap();
                walk(&library, "", &mut expected);
                expected.sort();
                let files_of: Vec<File> = open_all(&path).map(|(_, file)| file).collect();
                let found = |file: &File, name: &String| file.dataset(name).unwrap().shape().to_vec();
                let names = files_of[0].datasets().unwrap();
                let shapes: Vec<_> = names.iter().map(|name| (name.clone(), found(&files_of[0], name))).collect();
                assert_eq!(shapes, expected, "{}", path.display());
                for name in &names {
                    let bits = |file: &File| -> Vec<u32> {
                        let values = file.read(&file.dataset(name).unwrap()).unwrap();
                        values.into_iter().map(f32::to_bits).collect()
                    };
                    assert_eq!(bits(&files_of[0]), bits(&files_of[1]), "{} {name}", path.display());
                }
                files += 1;
            }
        }
    }
    assert!(files > 50, "{files}");
}

#[test]
fn links_and_data_outside_the_tree_are_refused() {
    for (_, file) in open_all(&data("hdf5/elsewhere.h5")) {
        let refusal = |path: &str| message(file.dataset(path));
        assert_eq!(refusal("soft"), "`/soft` is refused: it is a soft link, which can point anywhere");
        assert_eq!(message(file.kind("/soft/x")), refusal("soft"));
        assert_eq!(refusal("external"), "`/external` is refused: it is an external link, which points to another file");
        assert_eq!(refusal("virtual"), "`/virtual` is refused: it is a virtual dataset, which refers to other files");
        assert_eq!(refusal("group/up"), "`/group/up` is refused: it is a second link to the group `/`");
        assert_eq!(message(file.members("group/up/group")), refusal("group/up"));
        assert_eq!(message(file.datasets()), refusal("group/up"));
        assert_eq!(refusal("text"), "`/text` contains text where numbers are expected");
        assert_eq!(refusal("records"), "`/records` contains records (a compound type) where numbers are expected");
        assert_eq!(refusal("lzf"), "`/lzf` is refused: it is compressed by filter 32000 (lzf); only gzip is supported");
        assert_eq!(refusal("group"), "`group` is damaged: it is a group where a dataset is expected");
        // Two links to a dataset are two names for it.
        let values = |path: &str| file.read(&file.dataset(path).unwrap()).unwrap();
        assert_eq!((values("here"), values("twice")), (vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0], values("here")));
        assert_eq!(values("group/x"), [0.0, 1.0]);
    }
    for (_, file) in open_all(&data("hdf5/external_storage.h5")) {
        let refusal = message(file.dataset("x"));
        assert_eq!(refusal, "`/x` is refused: its bytes are in another file (external storage)");
    }
}

/// Thirty groups, each with two links to the next, have 2^29 paths.
#[test]
fn shared_groups_are_walked_once() {
    for (_, file) in open_all(&data("hdf5/shared_groups.h5")) {
        let refusal = message(file.datasets());
        assert_eq!(refusal, "`/z/n0` is refused: it is a second link to the group `/layers/m_0`");
        assert_eq!(message(file.kind("layers/m_0/a/b")), message(file.kind("layers/m_0/a")));
    }
}

/// A local heap that claims 2.7 GB, and an invalid index.
#[test]
fn a_damaged_group_is_named() {
    for backend in Backend::ALL {
        let refusal = message(File::open_with(&data("hdf5/damaged_heap.h5"), *backend));
        assert!(refusal.starts_with("`/average-pooling-4` is damaged: "), "{refusal}");
    }
}

#[test]
fn sizes_are_checked_before_reading() {
    for (_, file) in open_all(&data("hdf5/sizes.h5")) {
        let refusal = |path: &str| message(file.dataset(path));
        assert_eq!(refusal("unwritten"), "`/unwritten` is truncated: it declares 4000 bytes, of which the file has 0");
        assert!(refusal("sparse").starts_with("`/sparse` is too large: its shape is [1048576, 1048576]"));
        let bomb = "`/bomb` is too large: it declares 400000000 bytes in chunks of 400000, but stores 410";
        assert_eq!(refusal("bomb"), bomb);
        assert!(
            refusal("huge_chunk").starts_with("`/huge_chunk` is too large: its chunks have the shape [262144, 1024]")
        );
        let twice = File::open(&data("hdf5/packed_twice.h5")).unwrap();
        assert_eq!(message(twice.dataset("x")), "`/x` is refused: it is compressed twice by the same filter");
        assert!(refusal("overflow").starts_with("`/overflow` is too large: its shape is [46116860184"));
    }
}

/// The total size that the datasets of a file declare is limited, however many names they have.
#[test]
fn the_total_declared_size_is_limited() {
    use hdf5_writer::{DatasetBuilder, FILTER_DEFLATE, FilterDescription, Hdf5Builder, WriteOptions};
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("zeros.h5");
    let filter = FilterDescription { id: FILTER_DEFLATE, name: None, client_data: vec![9] };
    let zeros = DatasetBuilder::typed_data("zeros", [100_000u64], &[0f32; 100_000]).unwrap();
    let zeros = zeros.chunked([100_000u64]).filter(filter);
    let plan = Hdf5Builder::new().dataset(zeros).into_plan().unwrap();
    fs::write(&path, plan.encode(WriteOptions::default()).unwrap()).unwrap();
    let file = File::open(&path).unwrap();
    let times = fs::metadata(&path).unwrap().len() * MAX_EXPANSION / 400_000;
    let refusal: Vec<String> =
        (0..times + 2).map(|_| message(file.dataset("zeros"))).filter(|refusal| !refusal.is_empty()).collect();
    assert_eq!(refusal.len(), 2);
    assert!(refusal[0].starts_with("`/zeros` is too large: in total the datasets declare "), "{refusal:?}");
}

#[test]
fn numbers_in_other_formats() {
    for (_, file) in open_all(&data("hdf5/formats.h5")) {
        let dataset = file.dataset("bfloat16").unwrap();
        assert_eq!(dataset.element().kind(), element::Kind::Bfloat16);
        assert_eq!(file.read(&dataset).unwrap(), [0.0, 1.0, 2.0, 3.0]);
        let refusal = message(file.dataset("odd"));
        assert_eq!(refusal, "`/odd` contains numbers in an unusual format where numbers are expected");
    }
}

/// HDF5 2.2 loops forever over an object whose size wraps around with its header.
#[test]
fn heap_objects_of_impossible_size_are_refused() {
    let folder = TempDir::new().unwrap();
    let bytes = fs::read(data("hdf5/numbers.earliest.h5")).unwrap();
    let heap = bytes.windows(4).position(|bytes| bytes == b"GCOL").unwrap();
    for size in [5000, u64::MAX - 15, u64::MAX] {
        let mut damaged = bytes.clone();
        damaged[heap + 24..heap + 32].copy_from_slice(&size.to_le_bytes());
        let path = folder.path().join("damaged.h5");
        fs::write(&path, damaged).unwrap();
        for (_, file) in open_all(&path) {
            let refusal = message(file.attribute("many", "attribute 0"));
            assert!(
                refusal.starts_with("`attribute 'attribute 0' of many` is damaged: its global heap: "),
                "{refusal}"
            );
        }
    }
}

/// A list of 4000 references to one text of 20 KB.
#[cfg(feature = "hdf5")]
#[test]
fn references_to_one_text_are_counted() {
    use hdf5::types::VarLenAscii;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("texts.h5");
    let file = hdf5::File::with_options().with_fapl(|access| access.libver_earliest()).create(&path).unwrap();
    let mut texts = vec![VarLenAscii::from_ascii(&"x".repeat(20_000)).unwrap()];
    texts.resize(4000, VarLenAscii::from_ascii("y").unwrap());
    file.new_attr::<VarLenAscii>().shape([4000]).create("list").unwrap().write_raw(&texts).unwrap();
    file.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let short = |bytes: &[u8]| bytes[..4] == [1, 0, 0, 0];
    let first =
        (0..bytes.len() - 32).find(|at| bytes[*at..][..4] == 20_000u32.to_le_bytes() && short(&bytes[at + 16..]));
    let first = first.unwrap();
    for at in 1..4000 {
        bytes.copy_within(first..first + 16, first + 16 * at);
    }
    fs::write(&path, bytes).unwrap();
    for (_, file) in open_all(&path) {
        let refusal = message(file.attribute("/", "list"));
        assert!(refusal.starts_with("`attribute 'list' of /` is too large: "), "{refusal}");
    }
}

/// Files written by each backend are read by all.
#[test]
fn written_files_are_read_back() {
    let folder = TempDir::new().unwrap();
    let values = [0.5, -1.0, f32::MIN_POSITIVE, 3.25, -0.0, f32::INFINITY];
    for backend in Backend::ALL {
        let write = |name: &str| {
            let path = folder.path().join(name);
            let mut file = writer(&path, *backend).unwrap();
            file.group("a/b").unwrap();
            file.group("a").unwrap();
            file.group("c").unwrap();
            file.dataset("a/b/x", &[3, 1, 2], &values).unwrap();
            file.dataset("d/scalar", &[], &values[..1]).unwrap();
            file.dataset("empty", &[0, 3], &[]).unwrap();
            file.attribute("a/b", "text", Value::Text("größer")).unwrap();
            file.attribute("c", "ascii", Value::Ascii("tensorflow")).unwrap();
            file.attribute("/", "list", Value::Texts(&["one", "two"])).unwrap();
            file.attribute("/", "nothing", Value::Texts(&[])).unwrap();
            file.attribute("a/b/x", "yes", Value::Bool(true)).unwrap();
            file.attribute("a/b/x", "no", Value::Bool(false)).unwrap();
            assert!(message(file.attribute("c", "other", Value::Ascii("größer"))).contains("not ASCII"));
            assert!(matches!(file.dataset("a/b", &[2], &values[..2]), Err(Hdf5Error::Unwritable { .. })));
            assert!(matches!(file.group("a/b/x"), Err(Hdf5Error::Unwritable { .. })));
            file.finish().unwrap();
            path
        };
        let path = write("a.h5");
        for (reader, file) in open_all(&path) {
            let read = |path: &str| file.read(&file.dataset(path).unwrap()).unwrap();
            let of = |path: &str, name: &str| file.attribute(path, name).unwrap().unwrap();
            assert_eq!(file.datasets().unwrap(), ["a/b/x", "d/scalar", "empty"], "{backend:?} {reader:?}");
            assert_eq!(file.dataset("a/b/x").unwrap().shape(), [3, 1, 2]);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&read("a/b/x")), bits(&values));
            assert_eq!((read("d/scalar"), read("empty")), (vec![0.5], vec![]));
            assert_eq!(of("a/b", "text"), Attribute::Text("größer".into()));
            assert_eq!(of("c", "ascii"), Attribute::Text("tensorflow".into()));
            assert_eq!(of("/", "list"), Attribute::Texts(vec!["one".into(), "two".into()]));
            assert_eq!(of("/", "nothing"), Attribute::Texts(vec![]));
            assert_eq!((of("a/b/x", "yes"), of("a/b/x", "no")), (Attribute::Bool(true), Attribute::Bool(false)));
        }
        assert_eq!(fs::read(path).unwrap(), fs::read(write("b.h5")).unwrap(), "{backend:?}");
    }
}

/// Changed bytes and truncation never cause a panic.
#[test]
fn damaged_files_do_not_panic() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("damaged.h5");
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize % below
    };
    for name in ["numbers.earliest.h5", "numbers.latest.h5"] {
        let whole = fs::read(data("hdf5").join(name)).unwrap();
        for round in 0..150 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random(4) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            if round % 5 == 0 {
                bytes.truncate(random(whole.len()));
            }
            fs::write(&path, &bytes).unwrap();
            for backend in Backend::ALL {
                let Ok(file) = File::open_with(&path, *backend) else { continue };
                for name in file.datasets().unwrap_or_default() {
                    let _ = file.dataset(&name).and_then(|dataset| file.read(&dataset));
                }
                for name in file.attributes("scalar").unwrap_or_default() {
                    let _ = file.attribute("scalar", &name);
                }
            }
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let refusal = message(File::open(&path));
        assert_eq!(refusal, format!("`/` is truncated: it has {} of {} bytes", whole.len() - 1, whole.len()));
    }
}
