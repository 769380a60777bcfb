//! Counter-based random numbers: Philox 4x32-10, whose n-th block is a function of n and the key alone (Salmon, Moraes, Dror
//! and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011).

/// The key of the random numbers that a layer draws in one update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomKey {
    pub seed: u64,
    /// Number of completed updates.
    pub update: u64,
    pub layer: u32,
}

/// Blocks computed together, one per SIMD lane.
const LANES: usize = 8;
/// Words of the blocks computed together.
pub(crate) const GROUP_WORDS: usize = 4 * LANES;

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const KEY_STEPS: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// `N` blocks of four words, `counter[word][block]`.
#[inline(always)]
fn blocks<const N: usize>(mut counter: [[u32; N]; 4], mut key: [u32; 2]) -> [[u32; N]; 4] {
    for _ in 0..ROUNDS {
        let before = counter;
        for i in 0..N {
            let first = u64::from(MULTIPLIERS[0]) * u64::from(before[0][i]);
            let second = u64::from(MULTIPLIERS[1]) * u64::from(before[2][i]);
            counter[0][i] = (second >> 32) as u32 ^ before[1][i] ^ key[0];
            counter[1][i] = second as u32;
            counter[2][i] = (first >> 32) as u32 ^ before[3][i] ^ key[1];
            counter[3][i] = first as u32;
        }
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    counter
}

#[inline(always)]
fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// The random words of one image: word i is a function of the key, the image and i alone.
#[derive(Clone, Copy)]
pub(crate) struct Stream {
    key: [u32; 2],
    image: [u32; 2],
}

impl Stream {
    pub fn new(key: RandomKey, image: usize) -> Self {
        // A `RandomKey` has more bits than a Philox key: it is encrypted as a counter, and the block is the key.
        let [low, high] = halves(key.update);
        let words = blocks([[low], [high], [key.layer], [0]], halves(key.seed));
        Self { key: [words[0][0], words[1][0]], image: halves(image as u64) }
    }

    /// Words `group * GROUP_WORDS ..` in order: the first word of every block, then the second of every block, and so on.
    #[inline(always)]
    pub fn group(self, group: u64) -> [[u32; LANES]; 4] {
        let mut counter = [[0; LANES], [0; LANES], [self.image[0]; LANES], [self.image[1]; LANES]];
        let block = |lane: usize| halves(group * LANES as u64 + lane as u64);
        counter[0] = std::array::from_fn(|lane| block(lane)[0]);
        counter[1] = std::array::from_fn(|lane| block(lane)[1]);
        blocks(counter, self.key)
    }

    /// Calls `body(values, words, index of the first value's word)` for every group of words that `values` use; the first
    /// value uses word `first`.
    #[inline(always)]
    pub fn for_groups(
        self,
        first: usize,
        values: &mut [f32],
        mut body: impl FnMut(&mut [f32], &[[u32; LANES]; 4], usize),
    ) {
        let mut offset = 0;
        while offset < values.len() {
            let skip = (first + offset) % GROUP_WORDS;
            let count = (GROUP_WORDS - skip).min(values.len() - offset);
            let words = self.group(((first + offset) / GROUP_WORDS) as u64);
            body(&mut values[offset..offset + count], &words, skip);
            offset += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of Random123, the authors' library.
    #[test]
    fn known_answers() {
        let block = |counter: [u32; 4], key| blocks(counter.map(|word| [word]), key).map(|[word]| word);
        assert_eq!(block([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(block([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(block(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn streams_depend_on_every_field_of_the_key() {
        let key = RandomKey { seed: 1, update: 2, layer: 3 };
        let first = |key, image| Stream::new(key, image).group(0);
        let all = [
            first(key, 0),
            first(key, 1),
            first(RandomKey { seed: 2, ..key }, 0),
            first(RandomKey { seed: 1 << 40, ..key }, 0),
            first(RandomKey { update: 3, ..key }, 0),
            first(RandomKey { update: 1 << 40, ..key }, 0),
            first(RandomKey { layer: 4, ..key }, 0),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
        assert_eq!(Stream::new(key, 5).group(7), Stream::new(key, 5).group(7));
        assert_ne!(Stream::new(key, 5).group(7), Stream::new(key, 5).group(8));
    }
}
