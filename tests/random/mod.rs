//! Reproducible random choices for tests that generate texts.

use netc::data::SeededRng;

/// A generator; the same seed gives the same choices.
pub struct RandomChoices(SeededRng);

impl RandomChoices {
    pub fn new(seed: u64) -> Self {
        Self(SeededRng::new([seed, 0, 0, 0]))
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0.below(end)
    }

    pub fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}
