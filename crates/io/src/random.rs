//! Chance: ports, ids, shuffles and jitter. Seeded in the simulator, from the operating system in the real world.

/// The world's source of randomness.
pub trait Random: Send + Sync {
    /// 64 uniform bits; unpredictable in the real world (DNS ids and ports depend on it).
    fn next(&self) -> u64;

    /// Uniform in `0..bound`; 0 when the bound is 0.
    fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // The high half of a 128-bit product: no modulo bias worth naming for bounds below 2^32.
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }
}
