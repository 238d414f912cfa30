//! One seed, split by name, so that adding a consumer of randomness moves no other consumer's
//! numbers.

use rand::SeedableRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The random generator used everywhere: seeded, portable, the same on every platform.
pub type Rng = rand_chacha::ChaCha8Rng;

/// A seed that is split by name.
///
/// ```
/// use hourglass_core::Seed;
/// let seed = Seed::new(42);
/// assert_eq!(seed.child("weights"), Seed::new(42).child("weights"));
/// assert_ne!(seed.child("weights"), seed.child("noise"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seed(u64);

impl Seed {
    /// A seed from the number in the pipeline file.
    pub fn new(value: u64) -> Self {
        Seed(value)
    }

    /// The number behind it.
    pub fn value(self) -> u64 {
        self.0
    }

    /// The seed of a named consumer: BLAKE3 over the parent and the name.
    pub fn child(self, name: &str) -> Seed {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0.to_le_bytes());
        hasher.update(name.as_bytes());
        finish(&hasher)
    }

    /// The seed of the `index`-th of many alike: repeats, epochs, steps, trees.
    pub fn nth(self, index: u64) -> Seed {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0.to_le_bytes());
        hasher.update(&index.to_le_bytes());
        finish(&hasher)
    }

    /// A generator that starts at this seed.
    pub fn rng(self) -> Rng {
        Rng::seed_from_u64(self.0)
    }
}

/// The first eight bytes of a hash, as a seed.
fn finish(hasher: &blake3::Hasher) -> Seed {
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Seed(u64::from_le_bytes(first))
}
