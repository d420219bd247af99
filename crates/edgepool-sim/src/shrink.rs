//! Making a failing case small.

/// Returns a smaller case that fails as `start` does, by trying simpler ones as long as one of them
/// fails too.
///
/// `simpler` gives the cases to try instead of one, the boldest first; each must be simpler by some
/// measure that cannot decrease for ever. `fails` gives a case back if it fails in the same way,
/// perhaps with another seed; it is asked at most `tries` times.
///
/// # Examples
/// ```
/// use edgepool_sim::shrink;
///
/// // Which numbers make the sum exceed 100?
/// let simpler = |case: &Vec<u32>| {
///     let without = |at: usize| [&case[..at], &case[at + 1..]].concat();
///     (0..case.len()).map(without).collect()
/// };
/// let small = shrink(vec![3, 80, 1, 2, 30, 9], 1_000, simpler, |case| {
///     (case.iter().sum::<u32>() > 100).then_some(case)
/// });
/// assert_eq!(small, [80, 30]);
/// ```
pub fn shrink<T>(
    start: T,
    tries: u32,
    mut simpler: impl FnMut(&T) -> Vec<T>,
    mut fails: impl FnMut(T) -> Option<T>,
) -> T {
    let (mut smallest, mut left) = (start, tries);
    'simpler: loop {
        for candidate in simpler(&smallest) {
            if left == 0 {
                return smallest;
            }
            left -= 1;
            if let Some(failing) = fails(candidate) {
                smallest = failing;
                continue 'simpler;
            }
        }
        return smallest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::ptr_arg, reason = "it is called with cases, which are of this type")]
    fn fewer(case: &Vec<u32>) -> Vec<Vec<u32>> {
        (0..case.len()).map(|at| [&case[..at], &case[at + 1..]].concat()).collect()
    }

    #[test]
    fn finds_the_two_that_matter_among_many() {
        let start: Vec<u32> = (0..200).collect();
        let small = shrink(start, 10_000, fewer, |case| {
            (case.contains(&17) && case.contains(&170)).then_some(case)
        });
        assert_eq!(small, [17, 170]);
    }

    #[test]
    fn stops_when_its_tries_are_used_up_with_a_case_that_fails() {
        let mut asked = 0;
        let small = shrink((0..200).collect(), 50, fewer, |case| {
            asked += 1;
            case.contains(&3).then_some(case)
        });
        assert_eq!(asked, 50);
        assert!(small.contains(&3) && small.len() < 200);
    }

    #[test]
    fn a_case_with_nothing_simpler_stays() {
        assert_eq!(shrink(vec![1], 10, fewer, |case| (!case.is_empty()).then_some(case)), [1]);
    }
}
