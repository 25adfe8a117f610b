//! What a PromQL expression asks for: metrics, labels and their values. As much of the language as the shipped expressions use.

use std::collections::{BTreeMap, BTreeSet};

/// One time series of a scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// A selector: a metric and what is asked of its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    pub metric: String,
    /// Label, operator, value.
    pub matchers: Vec<(String, String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expression {
    pub selectors: Vec<Selector>,
    /// The labels of every `by (…)`.
    pub grouped: BTreeSet<String>,
}

/// The samples of a text in Prometheus' exposition format.
pub fn scrape(text: &str) -> Vec<Sample> {
    let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples.map(|line| read_sample(line).unwrap_or_else(|| panic!("no sample: {line}"))).collect()
}

fn read_sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = read_matchers(labels.strip_suffix('}')?)?;
    let labels = labels.into_iter().map(|(label, _, value)| (label, value)).collect();
    Some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}

/// `a="x",b=~"y"`
fn read_matchers(text: &str) -> Option<Vec<(String, String, String)>> {
    let (mut rest, mut matchers) = (text.trim(), Vec::new());
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !is_word(letter))?;
        let (label, behind) = rest.split_at(end);
        let (operator, behind) = behind.trim_start().split_once('"')?;
        let (value, behind) = behind.split_once('"')?;
        matchers.push((label.to_owned(), operator.trim().to_owned(), value.to_owned()));
        rest = behind.trim_start().trim_start_matches(',').trim_start();
    }
    Some(matchers)
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

const KEYWORDS: [&str; 4] = ["by", "unless", "or", "offset"];

impl Expression {
    pub fn read(text: &str) -> Self {
        let (mut read, mut rest) = (Self::default(), text);
        while let Some(letter) = rest.chars().next() {
            if letter == '[' {
                rest = rest.split_once(']').expect("a range ends").1;
            } else if is_word(letter) {
                let (word, behind) = rest.split_at(rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()));
                rest = read.take(word, behind.trim_start());
            } else {
                rest = &rest[letter.len_utf8()..];
            }
        }
        read
    }

    /// Takes a word, and what belongs to it from what is behind it.
    fn take<'a>(&mut self, word: &str, behind: &'a str) -> &'a str {
        if word == "by" {
            let (labels, rest) = behind.trim_start_matches('(').split_once(')').expect("a list ends");
            self.grouped.extend(labels.split(',').map(|label| label.trim().to_owned()));
            return rest;
        }
        let is_function = behind.starts_with('(') || behind.starts_with("by ");
        if KEYWORDS.contains(&word) || word.starts_with(|letter: char| letter.is_ascii_digit()) || is_function {
            return behind;
        }
        let (matchers, rest) = match behind.strip_prefix('{') {
            Some(inside) => inside.split_once('}').expect("a selector ends"),
            None => ("", behind),
        };
        let matchers = read_matchers(matchers).unwrap_or_else(|| panic!("no matchers: {matchers}"));
        self.selectors.push(Selector { metric: word.to_owned(), matchers });
        rest
    }
}

#[test]
fn an_expression_tells_what_it_asks_for() {
    let read = Expression::read(
        r#"sum by (le, route) (rate(a_b{x="1", y=~"2|3"}[5m])) / ((c unless c offset 10m) or max(time() - (d > 0)))"#,
    );
    let of = |metric: &str| Selector { metric: metric.into(), matchers: vec![] };
    let word = str::to_owned;
    let first = Selector {
        metric: "a_b".into(),
        matchers: vec![(word("x"), word("="), word("1")), (word("y"), word("=~"), word("2|3"))],
    };
    assert_eq!(read.selectors, [first, of("c"), of("c"), of("d")]);
    assert_eq!(read.grouped, ["le".to_owned(), "route".to_owned()].into());
}

#[test]
fn a_scrape_is_read_sample_by_sample() {
    let samples = scrape("# TYPE a counter\na{x=\"1\",y=\"b c\"} 2\n\nb{} 1.5\nc 3\n");
    let labels = BTreeMap::from([("x".to_owned(), "1".to_owned()), ("y".to_owned(), "b c".to_owned())]);
    let plain = |name: &str, value| Sample { name: name.to_owned(), labels: BTreeMap::new(), value };
    assert_eq!(samples, [Sample { name: "a".into(), labels, value: 2.0 }, plain("b", 1.5), plain("c", 3.0)]);
}
