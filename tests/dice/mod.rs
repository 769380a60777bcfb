//! Choices by chance, for tests that write texts.

/// The same choices from the same start.
pub struct Dice {
    pub state: u64,
}

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize % sides
    }

    pub fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.roll(words.len())]
    }
}
