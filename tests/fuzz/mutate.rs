//! Random mutations of bytes: for files in general, and for text with numbers.

use crate::random::RandomChoices;

/// Boundary values of arithmetic.
const NUMBERS: [&[u8]; 14] = [
    b"0",
    b"1",
    b"2",
    b"3",
    b"7",
    b"64",
    b"255",
    b"256",
    b"65535",
    b"65536",
    b"2147483648",
    b"4294967296",
    b"9223372036854775807",
    b"18446744073709551615",
];

/// Applies some mutations to a seed; inserted pieces come from itself, the other seeds and the target's words.
pub fn mutate(random: &mut RandomChoices, seeds: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    // Most mutations are in the first bytes, since headers matter most.
    let reach = match random.below(3) {
        0 => bytes.len(),
        _ => bytes.len().min(1 << 10),
    };
    for _ in 0..1 + random.below(4) {
        change(random, &mut bytes, reach, seeds, words);
    }
    bytes
}

fn change(random: &mut RandomChoices, bytes: &mut Vec<u8>, reach: usize, seeds: &[Vec<u8>], words: &[&[u8]]) {
    if bytes.is_empty() {
        bytes.push(0);
    }
    let at = random.below(reach.clamp(1, bytes.len()));
    let longest = 1 << random.below(8);
    let length = (1 + random.below(longest)).min(bytes.len() - at);
    match random.below(10) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.below(256) as u8,
        2 => _ = bytes.drain(at..at + length),
        3 => {
            let piece = bytes[at..at + length].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        4 => {
            let other = &seeds[random.below(seeds.len())];
            if !other.is_empty() {
                let from = random.below(other.len());
                let piece = other[from..other.len().min(from + length)].to_vec();
                bytes.splice(at..at + length, piece);
            }
        }
        5 | 6 => {
            let word = words[random.below(words.len())];
            let over = if random.below(2) == 0 { 0 } else { word.len().min(bytes.len() - at) };
            bytes.splice(at..at + over, word.iter().copied());
        }
        7 | 8 => {
            // Replaces the next number.
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            if let Some(begin) = bytes[at..].iter().position(is_digit).map(|offset| at + offset) {
                let digits = bytes[begin..].iter().take_while(|byte| is_digit(byte)).count();
                let number = NUMBERS[random.below(NUMBERS.len())];
                bytes.splice(begin..begin + digits, number.iter().copied());
            }
        }
        _ => {
            // A binary number of four or eight bytes.
            let value = [0, 1, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 1 << 63, u64::MAX - 15, u64::MAX][random.below(8)];
            let width = [4, 8][random.below(2)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
    }
}
