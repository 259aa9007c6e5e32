//! The grammar as people use it, its errors with their columns, and print and parse as one.

use super::*;
use proptest::prelude::*;

/// A message with two recipients, one of them delivered.
struct Sample;

const NOW: Timestamp = Timestamp::from_secs(1_795_243_984);

impl Record for Sample {
    fn values(&self, field: Field, now: Timestamp) -> Vec<Scalar<'_>> {
        let texts =
            |list: &[&'static str]| list.iter().map(|t| Scalar::Text((*t).into())).collect();
        match field {
            Field::From => texts(&["Ann@Sender.example"]),
            Field::To => texts(&["bob@b.example", "eve@e.example"]),
            Field::Domain => texts(&["b.example", "e.example"]),
            Field::Status => texts(&["delivered", "queued"]),
            Field::Subject => texts(&["Invoice (March) \"final\""]),
            Field::Size => vec![Scalar::Size(1_500_000)],
            Field::Age => vec![Scalar::Duration(now.since(NOW.minus(Duration::from_secs(7200))))],
            Field::Received => vec![Scalar::Time(NOW.minus(Duration::from_secs(7200)))],
            Field::Attempts => vec![Scalar::Number(0), Scalar::Number(3)],
            Field::Held => vec![Scalar::Bool(false)],
            _ => Vec::new(),
        }
    }
}

#[test]
fn filters_select_as_they_read() {
    for (text, fits) in [
        ("from = ann@sender.example", true),
        ("to = bob@b.example", true),
        ("to = bob@b.example and status = queued", true),
        ("domain like *.example", true),
        ("domain like *.test", false),
        ("subject contains \"(march)\"", true),
        ("subject = \"Invoice (March) \\\"final\\\"\"", true),
        ("size > 1MB and size <= 1.5MB", true),
        ("size > 2 MB", false),
        ("age > 1h", true),
        ("age > 90 min and age < 1d", true),
        ("age > 3h or attempts >= 3", true),
        ("received < 2026-11-21", false),
        ("received >= 2026-11-21T04:53:04Z", true),
        ("received = 2026-11-21T05:53:04+01:00", true),
        ("held = no", true),
        ("not held = false", false),
        ("cause present", false),
        ("from present", true),
        ("cause = x", false),
        ("cause != x", true),
        ("to != bob@b.example", false),
        ("to != joe@b.example", true),
        ("not (from = x or from = y) and attempts = 0", true),
        ("from = x and from = y or to = bob@b.example", true),
        ("from = x and (from = y or to = bob@b.example)", false),
    ] {
        let filter = parse(text, MESSAGE).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(filter.fits(&Sample, NOW), fits, "{text}");
    }
}

#[test]
fn an_error_points_at_its_column() {
    for (text, expected) in [
        ("", "at column 1: expected a field such as `to`, `not` or `(`"),
        ("form = x", "at column 1: unknown field `form`; did you mean `from`?"),
        (
            "from ~ x",
            "at column 6: expected `=`, `!=`, `like`, `contains` or `present` after `from`",
        ),
        (
            "from > x",
            "at column 6: expected `=`, `!=`, `like`, `contains` or `present` after `from`",
        ),
        (
            "age contains 5",
            "at column 5: expected `=`, `!=`, `<`, `<=`, `>`, `>=` or `present` after `age`",
        ),
        ("from =", "at column 7: expected a value for `from`"),
        ("from = a b = c", "at column 10: expected `and`, `or` or the end"),
        ("(from = a", "at column 10: expected `and`, `or` or `)`"),
        ("from = a)", "at column 9: expected `and`, `or` or the end"),
        ("age > 5", "at column 7: `5` has no unit; write for example `5s`"),
        ("subject = ä or agee > 5s", "at column 16: unknown field `agee`; did you mean `age`?"),
        (
            "size > 3 pounds",
            "at column 8: unknown unit `pounds`; units are B, kB, KiB, MB, MiB, GB, GiB, TB and TiB",
        ),
        ("status = qeued", "at column 10: `qeued` is no status; did you mean `queued`?"),
        (
            "received > monday",
            "at column 12: `monday` is not a time; write 2026-11-21 or 2026-11-21T06:53:04Z",
        ),
        ("subject = \"x", "at column 11: the quoted text has no end"),
        ("subject = \"ä\" and from == b", "at column 24: write `=`, not `==`"),
        ("subject = a\\b", "at column 12: `\\\\` must stand in quotes"),
        ("attempts = many", "at column 12: `many` is not a whole number"),
        ("held = maybe", "at column 8: `maybe` is not `true` or `false`"),
    ] {
        assert_eq!(parse(text, MESSAGE).expect_err(text).to_string(), expected, "{text}");
    }
}

#[test]
fn nesting_and_length_are_bounded() {
    let deep = format!("{}from = a{}", "(".repeat(1000), ")".repeat(1000));
    assert!(parse(&deep, MESSAGE).unwrap_err().what.contains("32 levels"));
    let long = "not ".repeat(MAX_LENGTH);
    assert!(parse(&long, MESSAGE).unwrap_err().what.contains("at most 4096"));
}

#[test]
fn a_destination_has_other_fields() {
    assert!(parse("connections > 3 and status = retry", DESTINATION).is_ok());
    let error = parse("subject = x", DESTINATION).unwrap_err();
    assert!(
        error.what.starts_with("`subject` is not known here; fields are destination"),
        "{error}"
    );
}

#[test]
fn every_field_of_the_interface_is_there() {
    let documented = "id from to domain destination subject message_id size age received expires status \
                      cause owner wait_reason held priority source_ip source_user listener attempts last_error \
                      route";
    let names: Vec<_> = MESSAGE.iter().map(|f| f.name()).collect();
    assert_eq!(names, documented.split(' ').collect::<Vec<_>>());
}

fn test() -> impl Strategy<Value = Filter> {
    let field = proptest::sample::select(MESSAGE);
    (field, any::<u64>(), ".{0,12}", 0..8usize, any::<bool>()).prop_map(
        |(field, number, text, op, yes)| {
            let pick = |ops: &[Op]| ops[op % ops.len()];
            let order = [Op::Equal, Op::Differs, Op::Less, Op::AtMost, Op::More, Op::AtLeast];
            let (op, value) = match field.kind() {
                Kind::Text => {
                    (pick(&[Op::Equal, Op::Differs, Op::Like, Op::Contains]), Value::Text(text))
                }
                Kind::Word(words) => {
                    let words = words();
                    let word = words[usize::try_from(number).unwrap() % words.len()];
                    (pick(&[Op::Equal, Op::Differs]), Value::Text(word.to_owned()))
                }
                Kind::Number => (pick(&order), Value::Number(number)),
                Kind::Size => (pick(&order), Value::Size(number % crate::units::MAX_SIZE)),
                Kind::Duration => {
                    (pick(&order), Value::Duration(Duration::from_micros(number >> 13)))
                }
                Kind::Time => {
                    let millis = i64::try_from(number % 4_000_000_000_000).unwrap();
                    (pick(&order), Value::Time(Timestamp::from_micros(millis * 1000)))
                }
                Kind::Bool => (pick(&[Op::Equal, Op::Differs]), Value::Bool(yes)),
            };
            Filter::Test { field, op, value }
        },
    )
}

fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![test(), proptest::sample::select(MESSAGE).prop_map(Filter::Present)];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(|(a, b)| Filter::And(Box::new(a), Box::new(b))),
            pair.prop_map(|(a, b)| Filter::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|a| Filter::Not(Box::new(a))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_parsed_as_the_same(filter in filter()) {
        let text = filter.to_string();
        prop_assume!(text.len() <= MAX_LENGTH);
        prop_assert_eq!(parse(&text, MESSAGE), Ok(filter), "{}", text);
    }

    #[test]
    fn no_text_is_too_odd(text in ".{0,60}", words in proptest::collection::vec(
        proptest::sample::select(&["from", "=", "not", "(", ")", "and", "or", "age", "5", "min", "\"", "like"][..]), 0..20))
    {
        let _ = parse(&text, MESSAGE);
        let _ = parse(&words.join(" "), MESSAGE);
    }
}
