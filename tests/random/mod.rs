//! Reproducible random choices for tests that generate texts.

/// A generator; the same seed gives the same choices.
pub struct RandomChoices {
    pub state: u64,
}

impl RandomChoices {
    pub fn below(&mut self, sides: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize % sides
    }

    pub fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}
