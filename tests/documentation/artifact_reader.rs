use serde_json::Value;

/// Reads an artifact: its manifest and its constants.
pub fn read(bytes: &[u8]) -> Result<(Value, Vec<f32>), &'static str> {
    let head = bytes.first_chunk::<64>().ok_or("it ends within its header")?;
    let short = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let long = |at: usize| u64::from(short(at)) | u64::from(short(at + 4)) << 32;
    if head[..8] != *b"NETC\x00\x1a\x01\n" {
        return Err("it is not an artifact");
    }
    if short(8) != 9 {
        return Err("it has another version of the format");
    }
    if short(12) != crc32fast::hash(&head[16..]) {
        return Err("the checksum of its header is wrong");
    }
    let [length, offset, size] = [16, 24, 32].map(|at| usize::try_from(long(at)).unwrap_or(usize::MAX));
    let is_whole = offset.is_multiple_of(1 << 14) && offset.checked_add(size) == Some(bytes.len());
    let manifest = bytes.get(64..64usize.saturating_add(length)).filter(|_| is_whole).ok_or("its sizes are wrong")?;
    if short(40) != crc32fast::hash(manifest) {
        return Err("the checksum of its manifest is wrong");
    }
    let manifest: Value = serde_json::from_slice(manifest).map_err(|_| "its manifest is not JSON")?;
    let constants = &bytes[offset..];
    let blocks = constants.chunks(1 << 22).map(|block| Value::from(crc32fast::hash(block)));
    if manifest["blocks"] != blocks.collect::<Value>() {
        return Err("a checksum of its constants is wrong");
    }
    let floats = constants.chunks_exact(4).map(|float| f32::from_le_bytes([float[0], float[1], float[2], float[3]]));
    Ok((manifest, floats.collect()))
}
