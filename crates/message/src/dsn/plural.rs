//! Which form of a text a number takes: the plural rules of Unicode CLDR, for whole numbers, as data.
//!
//! `n % 10 = 2..4 and n % 100 != 12..14`; `or` binds less than `and`; `i` is the same as `n`.

/// The most conditions of one rule.
const MAX_CONDITIONS: usize = 20;

/// A rule: alternatives of conditions that hold together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rule(Vec<Vec<Condition>>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Condition {
    modulus: Option<u64>,
    negated: bool,
    ranges: Vec<(u64, u64)>,
}

impl Rule {
    /// Reads a rule; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let all: Result<Vec<Vec<_>>, _> = text
            .split(" or ")
            .map(|group| group.split(" and ").map(Condition::parse).collect())
            .collect();
        let all = all?;
        if all.iter().map(Vec::len).sum::<usize>() > MAX_CONDITIONS {
            return Err(format!("a rule has at most {MAX_CONDITIONS} conditions"));
        }
        Ok(Self(all))
    }

    pub(super) fn holds(&self, n: u64) -> bool {
        self.0.iter().any(|group| group.iter().all(|condition| condition.holds(n)))
    }
}

impl Condition {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is no plural rule such as `n % 10 = 2..4`", text.trim());
        let (left, right) = text.split_once('=').ok_or_else(wrong)?;
        let (left, negated) = match left.strip_suffix('!') {
            Some(left) => (left, true),
            None => (left, false),
        };
        let (name, modulus) = match left.split_once('%') {
            Some((name, modulus)) => (name, Some(number(modulus).ok_or_else(wrong)?)),
            None => (left, None),
        };
        if !matches!(name.trim(), "n" | "i") || modulus == Some(0) {
            return Err(wrong());
        }
        let ranges: Option<Vec<_>> = right.split(',').map(range).collect();
        let ranges = ranges.ok_or_else(wrong)?;
        if let Some((from, to)) = ranges.iter().find(|(from, to)| from > to) {
            return Err(format!("`{from}..{to}` holds no number; write the smaller one first"));
        }
        Ok(Self { modulus, negated, ranges })
    }

    fn holds(&self, n: u64) -> bool {
        let n = self.modulus.map_or(n, |modulus| n % modulus);
        self.ranges.iter().any(|&(from, to)| (from..=to).contains(&n)) != self.negated
    }
}

fn range(text: &str) -> Option<(u64, u64)> {
    match text.split_once("..") {
        Some((from, to)) => Some((number(from)?, number(to)?)),
        None => number(text).map(|n| (n, n)),
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_real_languages() {
        let polish_few = "n % 10 = 2..4 and n % 100 != 12..14";
        let french_one = "i = 0,1";
        let latvian_zero = "n % 10 = 0 or n % 100 = 11..19";
        for (rule, holding) in [
            ("n = 1", &[1][..]),
            (polish_few, &[2, 3, 4, 22, 23, 24]),
            (french_one, &[0, 1]),
            (latvian_zero, &[0, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]),
        ] {
            let rule = Rule::parse(rule).expect("valid");
            let found: Vec<u64> = (0..25).filter(|&n| rule.holds(n)).collect();
            assert_eq!(found, holding);
        }
        for wrong in ["", "n", "x = 1", "n % 0 = 1", "n = a", "n > 1", "n = 1 and"] {
            assert!(Rule::parse(wrong).is_err(), "{wrong}");
        }
        let reversed = Rule::parse("n % 10 = 2..4 and n = 5..2").expect_err("it never holds");
        assert_eq!(reversed, "`5..2` holds no number; write the smaller one first");
        assert!(Rule::parse(&["n = 1"; 21].join(" or ")).is_err());
    }
}
