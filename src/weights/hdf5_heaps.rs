//! The heaps in which an HDF5 file keeps its texts, looked at before HDF5 itself reads them.

use super::store::MAX_ITEMS;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};

/// The most bytes of texts that are read: names of layers, a model's description.
pub(super) const MAX_TEXT_BYTES: usize = 64 << 20;

/// Checks the global heaps, in which HDF5 keeps texts, wherever they are: HDF5 2.2 goes round for ever over an object
/// whose size is so large that it wraps.
pub fn check_heaps(mut file: &fs::File, length: u64) -> io::Result<()> {
    const MARK: &[u8] = b"GCOL\x01\0\0\0";
    let bad = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    let mut heaps = Vec::new();
    // The end of each piece is kept before the next one: a mark may lie across.
    let (mut piece, mut start) = (Vec::new(), 0);
    while file.take(1 << 20).read_to_end(&mut piece)? > 0 {
        let mut at = 0;
        while let Some(found) = piece[at..].iter().position(|byte| *byte == MARK[0]) {
            at += found;
            if piece[at..].starts_with(MARK) {
                heaps.push(start + at as u64);
            }
            if heaps.len() > MAX_ITEMS {
                return bad("it has too many heaps of texts");
            }
            at += 1;
        }
        let kept = piece.len().min(MARK.len() - 1);
        start += (piece.len() - kept) as u64;
        piece.drain(..piece.len() - kept);
    }
    let mut total = 0;
    for at in heaps {
        let mut header = [0; 16];
        file.seek(SeekFrom::Start(at))?;
        if file.take(16).read(&mut header)? < 16 {
            continue;
        }
        let size = number_at(&header, 8);
        // HDF5 itself refuses a heap that goes beyond the end of the file.
        if size < 16 || at.checked_add(size).is_none_or(|end| end > length) {
            continue;
        }
        // Heaps do not overlap.
        total += size;
        if size > MAX_TEXT_BYTES as u64 || total > length {
            return bad("its heap of texts is too large");
        }
        let mut objects = Vec::new();
        file.take(size - 16).read_to_end(&mut objects)?;
        let mut rest = &objects[..];
        while rest.len() >= 16 {
            let (free, size) = (rest[..2] == [0, 0], number_at(rest, 8));
            let need =
                if free { Some(size) } else { size.checked_next_multiple_of(8).and_then(|size| size.checked_add(16)) };
            match need.and_then(|need| usize::try_from(need).ok()).filter(|need| *need > 0) {
                Some(need) if need <= rest.len() => rest = &rest[need..],
                _ => return bad("an object in its heap of texts has an impossible size"),
            }
        }
    }
    Ok(())
}

fn number_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
