//! Torn, damaged and shared caches.

use super::feature_cache::{CacheNote, FeatureCache, FeatureCacheError, Position, clear, list};
use crate::data::Table;
use crate::data::seeded_rng::SeededRng;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

const FLOATS: usize = 3;
const RECORD: usize = 36 + 4 * FLOATS;

fn front() -> String {
    blake3::hash(b"a front").to_hex().to_string()
}

fn key(sample: u32) -> [u8; 32] {
    *blake3::hash(&sample.to_le_bytes()).as_bytes()
}

fn row(sample: u32) -> [f32; FLOATS] {
    [sample as f32, -0.5 * sample as f32, f32::MIN_POSITIVE]
}

fn open(folder: &Path) -> FeatureCache {
    FeatureCache::open(folder, &front(), FLOATS).unwrap()
}

fn add(cache: &mut FeatureCache, samples: std::ops::Range<u32>) {
    for sample in samples {
        cache.append(&key(sample), &row(sample)).unwrap();
    }
}

/// The samples below 20 that have a row; each row is checked.
fn held(cache: &mut FeatureCache) -> Vec<u32> {
    let mut found = Vec::new();
    for sample in 0..20 {
        if let Some(position) = cache.get(&key(sample)) {
            let mut got = [f32::NAN; FLOATS];
            cache.read(position, &mut got).unwrap();
            assert_eq!(got, row(sample));
            found.push(sample);
        }
    }
    assert_eq!(found.len(), cache.len());
    found
}

/// A folder with a cache of four rows, and the file's bytes.
fn four() -> (TempDir, std::path::PathBuf, Vec<u8>) {
    let folder = TempDir::new().unwrap();
    let mut cache = open(folder.path());
    add(&mut cache, 0..4);
    cache.flush().unwrap();
    let path = cache.path().to_owned();
    drop(cache);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 64 + 4 * RECORD);
    (folder, path, bytes)
}

#[test]
fn rows_persist() {
    let (folder, path, bytes) = four();
    let mut cache = open(&folder.path().join("."));
    assert_eq!(held(&mut cache), [0, 1, 2, 3]);
    add(&mut cache, 2..6);
    assert_eq!((cache.len(), cache.bytes()), (6, (bytes.len() + 2 * RECORD) as u64));
    assert_eq!(cache.notes(), []);
    drop(cache);
    assert!(fs::read(path).unwrap().starts_with(&bytes), "records are only appended");
    assert_eq!(held(&mut open(folder.path())), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn torn_at_every_byte_of_the_last_record() {
    let (folder, path, bytes) = four();
    for length in bytes.len() - RECORD..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let mut cache = open(folder.path());
        assert_eq!(held(&mut cache), [0, 1, 2]);
        let torn = length + RECORD - bytes.len();
        let note = CacheNote::Dropped { records: 0, bytes: torn as u64 };
        assert_eq!(cache.notes(), if torn == 0 { vec![] } else { vec![note] });
        add(&mut cache, 3..4);
        drop(cache);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_flipped_bit_loses_only_its_record() {
    let (folder, path, bytes) = four();
    for at in 64..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, &changed).unwrap();
        let mut cache = open(folder.path());
        let lost = ((at - 64) / RECORD) as u32;
        assert_eq!(held(&mut cache), (0..4).filter(|&sample| sample != lost).collect::<Vec<_>>());
        add(&mut cache, 0..4);
        drop(cache);
        assert_eq!(held(&mut open(folder.path())), [0, 1, 2, 3]);
    }
    // A crash that kept the length of the file but lost its content.
    let mut zeros = bytes.clone();
    zeros.resize(bytes.len() + 5 * RECORD, 0);
    fs::write(&path, &zeros).unwrap();
    assert_eq!(held(&mut open(folder.path())), [0, 1, 2, 3]);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_damaged_header_is_set_aside() {
    let (folder, path, bytes) = four();
    for at in 0..64 {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, &changed).unwrap();
        let mut cache = open(folder.path());
        let [CacheNote::SetAside { to, .. }] = cache.notes() else { panic!("{at}: {:?}", cache.notes()) };
        assert_eq!(fs::read(to).unwrap(), changed);
        add(&mut cache, 0..4);
        drop(cache);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    for length in 1..64 {
        fs::write(&path, &bytes[..length]).unwrap();
        let cache = open(folder.path());
        assert!(matches!(cache.notes(), [CacheNote::SetAside { .. }]) && cache.is_empty());
    }
    drop(FeatureCache::open(folder.path(), &front(), FLOATS + 1).unwrap());
    let cache = FeatureCache::open(folder.path(), &front(), FLOATS).unwrap();
    let note = cache.notes()[0].to_string();
    assert!(note.starts_with("the header of the cache declares 4 values per row, but the front has 3; "), "{note}");
}

#[test]
fn arbitrary_bytes_do_not_panic() {
    let (folder, path, bytes) = four();
    let mut rng = SeededRng::new([0; 4]);
    let mut random = |below: usize| rng.below(below);
    for _ in 0..300 {
        let mut changed = bytes[..random(bytes.len() + 1)].to_vec();
        changed.extend((0..random(100)).map(|_| random(256) as u8));
        for _ in 0..random(4) {
            let at = random(changed.len().max(1));
            changed[at..].iter_mut().take(1).for_each(|byte| *byte = random(256) as u8);
        }
        fs::write(&path, &changed).unwrap();
        let mut cache = open(folder.path());
        held(&mut cache);
        add(&mut cache, 0..5);
        drop(cache);
        assert_eq!(held(&mut open(folder.path())), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn the_second_of_two_writers_keeps_its_rows_in_memory() {
    let (folder, path, bytes) = four();
    let mut first = open(folder.path());
    let mut second = open(folder.path());
    assert_eq!((first.notes(), second.notes()), (&[][..], &[CacheNote::InUse][..]));
    add(&mut first, 4..6);
    add(&mut second, 3..5);
    assert!(matches!(second.get(&key(4)), Some(Position::Memory(0))));
    assert_eq!((held(&mut first), held(&mut second)), (vec![0, 1, 2, 3, 4, 5], vec![0, 1, 2, 3, 4]));
    second.flush().unwrap();
    drop(second);
    drop(first);
    assert_eq!(fs::read(&path).unwrap().len(), bytes.len() + 2 * RECORD);
    assert_eq!(open(folder.path()).notes(), []);
}

#[test]
fn a_reader_ignores_a_record_that_is_being_written() {
    let (folder, path, bytes) = four();
    let first = open(folder.path());
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&[1; RECORD - 1]).unwrap();
    let mut second = open(folder.path());
    assert_eq!(held(&mut second), [0, 1, 2, 3]);
    assert_eq!(second.notes(), [CacheNote::InUse]);
    assert_eq!(fs::read(&path).unwrap().len(), bytes.len() + RECORD - 1);
    drop(first);
}

#[test]
fn an_unusable_folder_falls_back_to_memory() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let mut cache = open(&folder.path().join("file"));
    assert!(matches!(cache.notes(), [CacheNote::MemoryOnly { .. }]), "{:?}", cache.notes());
    add(&mut cache, 0..3);
    assert_eq!((held(&mut cache), cache.bytes()), (vec![0, 1, 2], 0));
    fs::create_dir(folder.path().join(format!("{}.features", front()))).unwrap();
    let mut cache = open(folder.path());
    assert!(matches!(cache.notes(), [CacheNote::MemoryOnly { .. }]));
    add(&mut cache, 0..3);
    assert_eq!(held(&mut cache), [0, 1, 2]);
}

#[test]
fn invalid_arguments() {
    let (folder, _, _) = four();
    let mut cache = open(folder.path());
    let mut short = [0.0; 2];
    assert!(matches!(cache.append(&key(9), &short), Err(FeatureCacheError::Row { found: 2, expected: 3 })));
    assert!(matches!(cache.read(Position::File(0), &mut short), Err(FeatureCacheError::Row { .. })));
    let mut row = [0.0; FLOATS];
    for position in [Position::File(4), Position::File(u64::MAX), Position::Memory(0), Position::Memory(usize::MAX)] {
        assert!(matches!(cache.read(position, &mut row), Err(FeatureCacheError::Position)));
    }
    for front in ["", "../../x", &front()[1..], &format!("{}0", front())] {
        assert!(matches!(FeatureCache::open(folder.path(), front, 3), Err(FeatureCacheError::Front(_))));
    }
    assert!(matches!(FeatureCache::open(folder.path(), &front(), 0), Err(FeatureCacheError::Floats { floats: 0 })));
}

#[test]
fn a_row_changed_on_disk_is_detected() {
    let (folder, path, mut bytes) = four();
    let mut cache = open(folder.path());
    bytes[64 + 40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = cache.read(Position::File(0), &mut [0.0; FLOATS]).unwrap_err();
    assert!(matches!(error, FeatureCacheError::Damaged { record: 0, .. }), "{error}");
    cache.read(Position::File(1), &mut [0.0; FLOATS]).unwrap();
}

#[test]
fn only_caches_are_listed_and_cleared() {
    let (folder, path, bytes) = four();
    let other = blake3::hash(b"another").to_hex().to_string();
    drop(FeatureCache::open(folder.path(), &other, 7).unwrap());
    for name in ["x.features", "notes.txt"] {
        fs::write(folder.path().join(name), "mine").unwrap();
    }
    fs::write(folder.path().join("copy.bin"), &bytes).unwrap();
    let caches = list(folder.path()).unwrap();
    assert_eq!(caches.len(), 2);
    let one = caches.iter().find(|cache| cache.path == path).unwrap();
    assert_eq!((one.front.as_str(), one.floats, one.rows, one.bytes), (&*front(), 3, 4, bytes.len() as u64));
    assert_eq!(clear(folder.path(), Some(&other)).unwrap().len(), 1);
    assert_eq!(clear(folder.path(), None).unwrap().len(), 1);
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["copy.bin", "notes.txt", "x.features"]);
    assert_eq!(list(&folder.path().join("gone")).unwrap(), []);
}

#[test]
fn large_tables_stay_in_the_file() {
    let (folder, _, _) = four();
    let mut cache = open(folder.path());
    let keys: Vec<[u8; 32]> = [3, 0, 3].map(key).to_vec();
    let small = cache.tables(&keys, &[1, 2], 36).unwrap();
    let large = cache.tables(&keys, &[1, 2], 35).unwrap();
    assert!(small.iter().all(Table::is_kept) && !large.iter().any(Table::is_kept));
    assert_eq!(small, large);
    assert_eq!(large[1].clone().into_values().unwrap(), [row(3), row(0), row(3)].map(|row| [row[1], row[2]]).concat());
    assert!(matches!(cache.tables(&[key(9)], &[3], 0), Err(FeatureCacheError::Position)));
    assert!(matches!(cache.tables(&keys, &[1], 0), Err(FeatureCacheError::Row { found: 1, expected: 3 })));
    // The lock is released with the cache, although the tables still exist.
    drop(cache);
    let mut again = open(folder.path());
    assert_eq!(again.notes(), []);
    add(&mut again, 4..5);
    assert_eq!(small, large);
}
