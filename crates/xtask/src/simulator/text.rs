//! Words and vectors that depend only on their seed and text.

const WORDS: [&str; 32] = [
    "pool", "lease", "slot", "queue", "edge", "river", "stone", "light", "paper", "garden",
    "north", "cloud", "bridge", "seven", "green", "quiet", "early", "copper", "window", "letter",
    "harbour", "orange", "winter", "signal", "thread", "silver", "market", "engine", "forest",
    "island", "mirror", "valley",
];

/// A splitmix64 generator.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Hashes text as FNV-1a does.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Picks the pieces of an answer, one a chunk; the first says who answers.
pub(crate) fn pieces(label: &str, seed: u64, prompt: &str, count: u32) -> Vec<String> {
    let mut random = Random::new(seed ^ hash(prompt));
    let mut word = || WORDS[(random.next() % WORDS.len() as u64) as usize];
    let first = format!("[{label}: this text is simulated]");
    std::iter::once(first).chain((1..count).map(|_| format!(" {}", word()))).collect()
}

/// Counts the words of a text: the simulator's tokens.
pub(crate) fn tokens(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// Makes the unit vector of a text: the sum of its words' vectors, so texts that share words are
/// near each other.
pub(crate) fn embed(text: &str, dimensions: usize) -> Vec<f32> {
    let lower = text.to_lowercase();
    let mut sum = vec![0f64; dimensions];
    for word in std::iter::once(lower.as_str()).chain(lower.split_whitespace()) {
        let mut random = Random::new(hash(word));
        for x in &mut sum {
            *x += random.next() as f64 / u64::MAX as f64 - 0.5;
        }
    }
    let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    sum.iter().map(|x| (x / length) as f32).collect()
}
