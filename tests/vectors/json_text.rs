//! JSONTestSuite through the reader of JSON, by the limits for tokens and by those for documents.

use std::collections::BTreeMap;

use holdfast::jose::json::{self, Limits, Problem, Value};

use super::vectors;

/// What becomes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Read,
    NotUtf8,
    ByteOrderMark,
    Syntax,
    EndsEarly,
    Trailing,
    Twice,
    TooDeep,
}
use Verdict::{ByteOrderMark, NotUtf8, Read, Syntax, TooDeep, Twice};

/// What the suite leaves to the reader. Numbers lose precision, never their magnitude; text is clean Unicode.
const LEFT_OPEN: [(&str, Verdict); 35] = [
    ("i_number_double_huge_neg_exp", Read),
    ("i_number_huge_exp", Syntax),
    ("i_number_neg_int_huge_exp", Syntax),
    ("i_number_pos_double_huge_exp", Syntax),
    ("i_number_real_neg_overflow", Syntax),
    ("i_number_real_pos_overflow", Syntax),
    ("i_number_real_underflow", Read),
    ("i_number_too_big_neg_int", Read),
    ("i_number_too_big_pos_int", Read),
    ("i_number_very_big_negative_int", Read),
    ("i_object_key_lone_2nd_surrogate", Syntax),
    ("i_string_1st_surrogate_but_2nd_missing", Syntax),
    ("i_string_1st_valid_surrogate_2nd_invalid", Syntax),
    ("i_string_UTF-16LE_with_BOM", NotUtf8),
    ("i_string_UTF-8_invalid_sequence", NotUtf8),
    ("i_string_UTF8_surrogate_U+D800", NotUtf8),
    ("i_string_incomplete_surrogate_and_escape_valid", Syntax),
    ("i_string_incomplete_surrogate_pair", Syntax),
    ("i_string_incomplete_surrogates_escape_valid", Syntax),
    ("i_string_invalid_lonely_surrogate", Syntax),
    ("i_string_invalid_surrogate", Syntax),
    ("i_string_invalid_utf-8", NotUtf8),
    ("i_string_inverted_surrogates_U+1D11E", Syntax),
    ("i_string_iso_latin_1", NotUtf8),
    ("i_string_lone_second_surrogate", Syntax),
    ("i_string_lone_utf8_continuation_byte", NotUtf8),
    ("i_string_not_in_unicode_range", NotUtf8),
    ("i_string_overlong_sequence_2_bytes", NotUtf8),
    ("i_string_overlong_sequence_6_bytes", NotUtf8),
    ("i_string_overlong_sequence_6_bytes_null", NotUtf8),
    ("i_string_truncated-utf-8", NotUtf8),
    ("i_string_utf16BE_no_BOM", NotUtf8),
    ("i_string_utf16LE_no_BOM", NotUtf8),
    ("i_structure_500_nested_arrays", TooDeep),
    ("i_structure_UTF-8_BOM_empty_object", ByteOrderMark),
];

/// What the suite calls JSON, and RFC 7493 §2.3 does not allow.
const JSON_AND_REFUSED: [(&str, Verdict); 2] =
    [("y_object_duplicated_key", Twice), ("y_object_duplicated_key_and_value", Twice)];

fn verdict(text: &[u8], limits: Limits) -> Verdict {
    match json::parse(text, limits).map_err(|error| error.what) {
        Ok(_) => Read,
        Err(Problem::NotUtf8) => NotUtf8,
        Err(Problem::ByteOrderMark) => ByteOrderMark,
        Err(Problem::Syntax(_)) => Syntax,
        Err(Problem::EndsEarly) => Verdict::EndsEarly,
        Err(Problem::Trailing) => Verdict::Trailing,
        Err(Problem::DuplicateName(_)) => Twice,
        Err(Problem::TooDeep { .. }) => TooDeep,
        Err(other) => panic!("no text of the suite is refused for this: {other}"),
    }
}

/// Name without ending, and text, of every file in a folder of the suite.
fn texts(folder: &str) -> Option<BTreeMap<String, Vec<u8>>> {
    let files = std::fs::read_dir(vectors(&format!("jsontestsuite/{folder}"))?).expect("a folder");
    let texts = files.map(|file| {
        let path = file.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read(&path).expect("a text"))
    });
    Some(texts.collect())
}

#[test]
fn every_text_of_the_suite_is_read_or_refused_as_it_says() {
    let Some(texts) = texts("test_parsing") else { return };
    let mut counts = BTreeMap::new();
    for (name, text) in &texts {
        let listed = LEFT_OPEN.iter().chain(&JSON_AND_REFUSED).find(|(listed, _)| listed == name);
        for limits in [Limits::TOKEN, Limits::DOCUMENT] {
            let verdict = verdict(text, limits);
            match (name.split('_').next(), listed) {
                (_, Some((_, expected))) => assert_eq!(verdict, *expected, "{name}"),
                (Some("y"), None) => assert_eq!(verdict, Read, "{name}"),
                (Some("n"), None) => assert_ne!(verdict, Read, "{name}"),
                (_, None) => panic!("{name} is {verdict:?}, and no table says what it is to be"),
            }
        }
        *counts.entry(&name[..1]).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("i", 35), ("n", 188), ("y", 95)]));
}

/// Texts that readers make different values of.
#[test]
fn what_others_read_in_different_ways_has_one_meaning_or_none() {
    let Some(texts) = texts("test_transform") else { return };
    let number = |value| Ok(Value::Array(vec![value]));
    let (integer, float) = (|value| number(Value::Integer(value)), |value| number(Value::Float(value)));
    let text = |text: &str| Value::String(text.to_owned());
    let normal_forms = |first: &str, second: &str| {
        let written = format!(r#"{{"\u00e9":"{first}","e\u0301":"{second}"}}"#);
        json::parse(written.as_bytes(), Limits::TOKEN).map_err(|error| panic!("{error}"))
    };
    let expected: BTreeMap<&str, Result<Value, Verdict>> = BTreeMap::from([
        ("number_-9223372036854775808", integer(i64::MIN)),
        ("number_-9223372036854775809", float(-9_223_372_036_854_775_808.0)),
        ("number_1.0", float(1.0)),
        ("number_1.000000000000000005", float(1.0)),
        ("number_1000000000000000", integer(1_000_000_000_000_000)),
        ("number_10000000000000000999", float(1e19)),
        ("number_1e-999", float(0.0)),
        ("number_1e6", float(1e6)),
        ("number_9223372036854775807", integer(i64::MAX)),
        ("number_9223372036854775808", float(9_223_372_036_854_775_808.0)),
        ("object_key_nfc_nfd", normal_forms("NFC", "NFD")),
        ("object_key_nfd_nfc", normal_forms("NFC", "NFD")),
        ("object_same_key_different_values", Err(Twice)),
        ("object_same_key_same_value", Err(Twice)),
        ("object_same_key_unclear_values", Err(Twice)),
        ("string_1_escaped_invalid_codepoint", Err(Syntax)),
        ("string_1_invalid_codepoint", Err(NotUtf8)),
        ("string_2_escaped_invalid_codepoints", Err(Syntax)),
        ("string_2_invalid_codepoints", Err(NotUtf8)),
        ("string_3_escaped_invalid_codepoints", Err(Syntax)),
        ("string_3_invalid_codepoints", Err(NotUtf8)),
        ("string_with_escaped_NULL", number(text("A\0B"))),
    ]);
    let read = |text: &[u8]| json::parse(text, Limits::TOKEN).map_err(|_| verdict(text, Limits::TOKEN));
    let seen: BTreeMap<&str, _> = texts.iter().map(|(name, text)| (name.as_str(), read(text))).collect();
    assert_eq!(seen, expected);
}
