//! The one pattern language of hosts, paths, SPIFFE IDs and DNS names (`configuration.md` §1, rule 5).
//!
//! A piece is text, `*` for one piece, `{name}` for one piece with a name, or `**` for any number of pieces at the open end.
//! A wildcard is a whole piece.

use core::fmt;
use core::str::Split;
use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::jose::json::{self, Pointer};

use super::operand::Reference;
use super::truth::Truth;

/// What one piece stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    Text(String),
    /// `*`
    Any,
    /// `{name}`, or in a SPIFFE ID also `{/pointer}`; the braces taken off.
    Named(String),
}

/// Pieces from the closed end on, and whether any number may follow (`**`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pieces {
    pub pieces: Vec<Piece>,
    pub open: bool,
}

/// A path: pieces between slashes, `**` last. Text is compared with decoded segments; a slash at the end means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(pub Pieces);

/// A host: pieces between dots in lower case, `**` first; kept from the right to the left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern(pub Pieces);

/// A DNS name in a certificate: as a host, without names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPattern(pub Pieces);

/// A SPIFFE ID: one trust domain, and a path of pieces of which the last may be `**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiffePattern {
    trust_domain: String,
    pub path: Pieces,
    /// What the named pieces stand for, in their order.
    pub references: Vec<Reference>,
}

/// What is wrong with a pattern, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A path begins with a slash.
    NoSlash,
    /// Nothing between two separators, or nothing at all.
    EmptyPiece,
    /// `**` stands anywhere but at the open end.
    OpenInside,
    /// A wildcard or a name that is only part of a piece.
    PartOfPiece(String),
    /// A name that is no name: letters, digits and `_`.
    Name(String),
    /// The same name twice.
    NameTwice(String),
    /// A name where none can be bound.
    NameNotHere(String),
    /// An octet that can't stand in it, or has to be written decoded.
    Octet(char),
    /// Not `spiffe://trust.domain/path`.
    NotSpiffe,
    /// `{/…}` that is no JSON pointer.
    Pointer(json::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash => f.write_str("a path begins with a slash"),
            Self::EmptyPiece => f.write_str("has an empty piece"),
            Self::OpenInside => {
                f.write_str("** stands for any number of pieces at the open end only (last in a path, first in a host)")
            }
            Self::PartOfPiece(piece) => {
                write!(f, "{piece:?}: a wildcard is a whole piece; write * or {{name}} for all of it")
            }
            Self::Name(name) => write!(f, "{{{name}}} is not a name; write letters, digits and _"),
            Self::NameTwice(name) => {
                write!(f, "{{{name}}} stands in it twice; one request would bind it to two things")
            }
            Self::NameNotHere(name) => write!(f, "{{{name}}} can't be bound here; write *"),
            Self::Octet(octet) => {
                write!(f, "{octet:?} can't stand in it; write segments decoded, without query and fragment")
            }
            Self::NotSpiffe => f.write_str("is not a SPIFFE ID; write spiffe://trust.domain/path"),
            Self::Pointer(error) => error.fmt(f),
        }
    }
}

impl Pieces {
    fn parse<'a>(texts: impl Iterator<Item = &'a str>, named: bool) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut open = false;
        for text in texts {
            if open {
                return Err(Error::OpenInside);
            }
            match text {
                "" => return Err(Error::EmptyPiece),
                "**" => open = true,
                _ => pieces.push(Piece::parse(text, named)?),
            }
        }
        let parsed = Self { pieces, open };
        let names: Vec<&str> = parsed.names().collect();
        match names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|other| other == *name)) {
            Some((_, name)) => Err(Error::NameTwice((*name).to_owned())),
            None => Ok(parsed),
        }
    }

    /// The same pieces, of which only these names bind anything.
    pub fn binding_only(&self, names: &BTreeSet<&str>) -> Self {
        let piece = |piece: &Piece| match piece {
            Piece::Named(name) if !names.contains(name.as_str()) => Piece::Any,
            piece => piece.clone(),
        };
        Self { pieces: self.pieces.iter().map(piece).collect(), open: self.open }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Named(name) => Some(name.as_str()),
            Piece::Text(_) | Piece::Any => None,
        })
    }

    /// Whether everything that `other` takes is taken by this one.
    pub fn covers(&self, other: &Self) -> bool {
        if other.pieces.len() < self.pieces.len()
            || (!self.open && (other.open || other.pieces.len() != self.pieces.len()))
        {
            return false;
        }
        self.pieces.iter().zip(&other.pieces).all(|(ours, theirs)| match ours {
            Piece::Any | Piece::Named(_) => true,
            Piece::Text(_) => ours == theirs,
        })
    }

    /// Whether something is taken by both.
    pub fn shares_with(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.pieces.len(), other.pieces.len());
        let reach = (ours <= theirs || other.open) && (theirs <= ours || self.open);
        let agree = |(ours, theirs): (&Piece, &Piece)| match (ours, theirs) {
            (Piece::Text(ours), Piece::Text(theirs)) => ours == theirs,
            _ => true,
        };
        reach && self.pieces.iter().zip(&other.pieces).all(agree)
    }

    /// Compares with the pieces of a name, binding names in their order; what it bound means nothing where it does not take
    /// them. A wildcard stands for something: only `**` takes an empty piece.
    pub fn take<'a, 'f>(
        &'a self,
        found: impl IntoIterator<Item = &'f str>,
        mut bind: impl FnMut(&'a str, &'f str),
    ) -> bool {
        let mut found = found.into_iter();
        let mut takes = |piece: &'a Piece, found: &'f str| match piece {
            Piece::Text(text) => text == found,
            Piece::Any => !found.is_empty(),
            Piece::Named(name) => {
                bind(name, found);
                !found.is_empty()
            }
        };
        self.pieces.iter().all(|piece| found.next().is_some_and(|found| takes(piece, found)))
            && (self.open || found.next().is_none())
    }
}

impl Piece {
    fn parse(text: &str, named: bool) -> Result<Self, Error> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            return match name {
                _ if !named => Err(Error::NameNotHere(name.to_owned())),
                _ if is_name(name) => Ok(Self::Named(name.to_owned())),
                _ => Err(Error::Name(name.to_owned())),
            };
        }
        if text.contains(['*', '{', '}']) {
            return Err(Error::PartOfPiece(text.to_owned()));
        }
        Ok(Self::Text(text.to_owned()))
    }
}

/// Letters, digits and `_`.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl PathPattern {
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some(octet) =
            text.chars().find(|octet| octet.is_control() || matches!(octet, '%' | '?' | '#' | '\\' | ';'))
        {
            return Err(Error::Octet(octet));
        }
        let rest = text.strip_prefix('/').ok_or(Error::NoSlash)?;
        if rest.is_empty() {
            return Ok(Self(Pieces { pieces: Vec::new(), open: false }));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // Such a segment is refused in every request, so a pattern with it would never match.
        if rest.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(Error::Octet('.'));
        }
        // A segment `{/x}` would be cut in two; the error then speaks of a part.
        Pieces::parse(rest.split('/'), true).map(Self)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    pub fn covers(&self, other: &Self) -> bool {
        self.0.covers(&other.0)
    }
}

impl PathPattern {
    /// Whether it is `/**`.
    pub fn takes_all(&self) -> bool {
        self.0.open && self.0.pieces.is_empty()
    }
}

impl HostPattern {
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse_host(text, true).map(Self)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    pub fn covers(&self, other: &Self) -> bool {
        self.0.covers(&other.0)
    }

    /// Whether it is `**`.
    pub fn takes_all(&self) -> bool {
        self.0.open && self.0.pieces.is_empty()
    }
}

impl DnsPattern {
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse_host(text, false).map(Self)
    }

    /// Whether a DNS name of a certificate matches. One with `*` in it names many hosts and none, so it never permits; one
    /// that is no name can't be compared.
    pub fn matches(&self, name: &str) -> Truth {
        let lower = lower_case(name);
        let pieces = lower.strip_suffix('.').unwrap_or(&lower).rsplit('.');
        if !pieces.clone().all(|piece| piece == "*" || is_label(piece)) {
            return Truth::Unknown;
        }
        let matches = Truth::from(self.0.take(pieces.clone(), |_, _| ()));
        if pieces.into_iter().any(|piece| piece == "*") { matches.never_true() } else { matches }
    }
}

fn parse_host(text: &str, named: bool) -> Result<Pieces, Error> {
    // An IPv6 address is one piece: it has no dots that part it.
    if let Some(address) = ip_address(text) {
        return Ok(Pieces { pieces: vec![Piece::Text(address)], open: false });
    }
    let allowed = |octet: char| octet.is_ascii_alphanumeric() || matches!(octet, '-' | '.' | '_' | '*' | '{' | '}');
    if let Some(octet) = text.chars().find(|octet| !allowed(*octet)) {
        return Err(Error::Octet(octet));
    }
    let mut pieces = Pieces::parse(text.rsplit('.'), named)?;
    for piece in &mut pieces.pieces {
        if let Piece::Text(text) = piece {
            text.make_ascii_lowercase();
        }
    }
    Ok(pieces)
}

/// The text itself where it has no capital letter.
pub fn lower_case(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    }
}

/// A label of a host name as it is found in practice: letters, digits, `-` and `_`.
pub fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// An IPv6 address in brackets, in its one spelling (RFC 5952).
pub fn ip_address(text: &str) -> Option<String> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    inside.parse::<core::net::Ipv6Addr>().ok().map(|address| format!("[{address}]"))
}

impl SpiffePattern {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let rest = text.strip_prefix("spiffe://").ok_or(Error::NotSpiffe)?;
        let (trust_domain, path) = rest.split_once('/').ok_or(Error::NotSpiffe)?;
        if !is_trust_domain(trust_domain) {
            return Err(Error::NotSpiffe);
        }
        let (mut pieces, mut references) = (Vec::new(), Vec::new());
        let mut open = false;
        for segment in split_spiffe(path) {
            match segment.strip_prefix("{/").and_then(|rest| rest.strip_suffix('}')) {
                _ if open => return Err(Error::OpenInside),
                Some(rest) => {
                    let pointer = format!("/{rest}");
                    references.push(Reference::Claim(Pointer::parse(&pointer).map_err(Error::Pointer)?));
                    pieces.push(Piece::Named(pointer));
                }
                None if segment == "**" => open = true,
                None if segment.is_empty() => return Err(Error::EmptyPiece),
                None => {
                    let piece = spiffe_piece(segment)?;
                    if let Piece::Named(name) = &piece {
                        references.push(Reference::Captured(name.clone()));
                    }
                    pieces.push(piece);
                }
            }
        }
        Ok(Self { trust_domain: trust_domain.to_owned(), path: Pieces { pieces, open }, references })
    }

    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }
}

fn spiffe_piece(segment: &str) -> Result<Piece, Error> {
    let piece = Piece::parse(segment, true)?;
    match &piece {
        Piece::Text(text) if !is_spiffe_segment(text) => Err(Error::NotSpiffe),
        _ => Ok(piece),
    }
}

/// Slashes part segments, but not inside braces.
fn split_spiffe(path: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    path.split(move |octet| {
        match octet {
            '{' => inside = true,
            '}' => inside = false,
            _ => {}
        }
        octet == '/' && !inside
    })
}

/// Whether a URI means to be a SPIFFE ID.
pub fn is_spiffe(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("spiffe"))
}

/// The trust domain of a SPIFFE ID and the segments of its path (checklist 22.6), none where the text is not one.
pub fn split_id(id: &str) -> Option<(Cow<'_, str>, Split<'_, char>)> {
    const LONGEST: usize = 2048;
    let (scheme, rest) = id.split_once("://")?;
    let (trust_domain, path) = rest.split_once('/')?;
    let trust_domain = lower_case(trust_domain);
    let segments = path.split('/');
    let sound = scheme.eq_ignore_ascii_case("spiffe")
        && id.len() <= LONGEST
        && is_trust_domain(&trust_domain)
        && segments.clone().all(is_spiffe_segment);
    sound.then_some((trust_domain, segments))
}

/// `a-z`, digits, `.`, `_`, `-`; 255 octets at most.
pub fn is_trust_domain(text: &str) -> bool {
    const LONGEST: usize = 255;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(allowed)
}

fn is_spiffe_segment(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && !matches!(text, "." | "..") && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, path: &str) -> bool {
        let segments = path.split('/').skip(1).filter(|segment| !segment.is_empty());
        PathPattern::parse(pattern).unwrap().0.take(segments, |_, _| ())
    }

    #[test]
    fn a_path_is_compared_piece_by_piece() {
        for (pattern, takes_these, not_these) in [
            ("/", ["/", "/"].as_slice(), ["/a"].as_slice()),
            ("/a/b", &["/a/b"], &["/a", "/a/b/c", "/A/b", "/a/bc", "/b/a"]),
            ("/a/b/", &["/a/b"], &["/a"]),
            ("/a/*", &["/a/b", "/a/*"], &["/a", "/a/b/c"]),
            ("/*/b", &["/x/b"], &["/b", "/x/y/b"]),
            ("/a/{x}/c", &["/a/b/c"], &["/a/c", "/a/b/d"]),
            ("/a/**", &["/a", "/a/b", "/a/b/c"], &["/", "/ab"]),
            ("/**", &["/", "/a/b"], &[]),
            ("/a b/é", &["/a b/é"], &["/a%20b/é"]),
            ("/feed.v1.Quotes/Subscribe", &["/feed.v1.Quotes/Subscribe"], &["/feed.v1.Quotes/subscribe"]),
        ] {
            assert!(takes_these.iter().all(|path| takes(pattern, path)), "{pattern}");
            assert!(!not_these.iter().any(|path| takes(pattern, path)), "{pattern}");
        }
    }

    #[test]
    fn a_path_that_could_never_match_or_means_two_things_is_no_pattern() {
        let part = |text: &str| Error::PartOfPiece(text.to_owned());
        for (text, error) in [
            ("", Error::NoSlash),
            ("a", Error::NoSlash),
            ("**", Error::NoSlash),
            ("//", Error::EmptyPiece),
            ("//a", Error::EmptyPiece),
            ("/a//b", Error::EmptyPiece),
            ("/a//", Error::EmptyPiece),
            ("/**/a", Error::OpenInside),
            ("/**/**", Error::OpenInside),
            ("/a*", part("a*")),
            ("/***", part("***")),
            ("/{a}b", part("{a}b")),
            ("/{a", part("{a")),
            ("/a}", part("a}")),
            ("/{/sub}", part("{")),
            ("/{}", Error::Name(String::new())),
            ("/{a-b}", Error::Name("a-b".into())),
            ("/{a}/{a}", Error::NameTwice("a".into())),
            ("/a%20b", Error::Octet('%')),
            ("/a?b", Error::Octet('?')),
            ("/a#b", Error::Octet('#')),
            ("/a;b", Error::Octet(';')),
            ("/a\\b", Error::Octet('\\')),
            ("/a\0", Error::Octet('\0')),
            ("/./a", Error::Octet('.')),
            ("/a/..", Error::Octet('.')),
        ] {
            assert_eq!(PathPattern::parse(text), Err(error), "{text}");
        }
        assert!(PathPattern::parse("/a.b/...").is_ok(), "dots inside a piece are text");
    }

    #[test]
    fn patterns_share_what_both_take() {
        let dns = |text: &str| DnsPattern::parse(text).unwrap().0;
        for (one, other, expected) in [
            ("a.example", "a.example", true),
            ("a.example", "b.example", false),
            ("*.example", "a.example", true),
            ("*.example", "a.b.example", false),
            ("**.example", "a.b.example", true),
            ("**.example", "example", true),
            ("**.b.example", "example", false),
            ("**.b.example", "*.*.example", true),
            ("a.*.example", "*.b.example", true),
            ("**", "a", true),
        ] {
            assert_eq!(dns(one).shares_with(&dns(other)), expected, "{one} {other}");
            assert_eq!(dns(other).shares_with(&dns(one)), expected, "{other} {one}");
        }
    }

    #[test]
    fn a_dns_name_is_compared_from_the_right_without_case_and_itself_never_a_pattern() {
        for (pattern, name, expected) in [
            ("api.example", "api.example", Truth::True),
            ("API.example", "Api.Example", Truth::True),
            ("*.example", "api.example", Truth::True),
            ("*.example", "example", Truth::False),
            ("*.example", "a.b.example", Truth::False),
            ("**.example", "a.b.example", Truth::True),
            ("**.example", "example", Truth::True),
            ("**.example", "badexample", Truth::False),
            ("api.example", "api.example.evil", Truth::False),
            ("*.example", "*.example", Truth::Unknown),
            ("**", "*.example", Truth::Unknown),
            ("a.example", "*.example", Truth::False),
            ("*.example", ".example", Truth::Unknown),
            ("*.example", "a\0b.example", Truth::Unknown),
            ("*.example", "a..example", Truth::Unknown),
            ("api.example", "api.example.", Truth::True),
        ] {
            assert_eq!(DnsPattern::parse(pattern).unwrap().matches(name), expected, "{pattern} {name}");
        }
        assert_eq!(DnsPattern::parse("{tenant}.example"), Err(Error::NameNotHere("tenant".into())));
        for (text, error) in [
            ("", Error::EmptyPiece),
            ("a..b", Error::EmptyPiece),
            ("a.example.", Error::EmptyPiece),
            ("api.**", Error::OpenInside),
            ("a*.example", Error::PartOfPiece("a*".into())),
            ("a.example:443", Error::Octet(':')),
            ("https://a.example", Error::Octet(':')),
            ("a example", Error::Octet(' ')),
            ("münchen.example", Error::Octet('ü')),
        ] {
            assert_eq!(HostPattern::parse(text), Err(error.clone()), "{text}");
            assert_eq!(DnsPattern::parse(text), Err(error), "{text}");
        }
        assert!(HostPattern::parse("{tenant}.example").is_ok());
    }

    #[test]
    fn a_pattern_covers_another_where_it_takes_all_that_the_other_takes() {
        for (ours, theirs, expected) in [
            ("/**", "/", true),
            ("/**", "/a/{b}/**", true),
            ("/a/**", "/a", true),
            ("/a/**", "/a/**", true),
            ("/a/*/**", "/a/**", false),
            ("/a/**", "/**", false),
            ("/a/*", "/a/b", true),
            ("/a/{x}", "/a/*", true),
            ("/a/*", "/a/{x}", true),
            ("/a/b", "/a/*", false),
            ("/a/*", "/a/**", false),
            ("/a/*", "/a/b/c", false),
            ("/a/**", "/b/c", false),
            ("/a", "/A", false),
        ] {
            let [left, right] = [ours, theirs].map(|text| PathPattern::parse(text).unwrap());
            assert_eq!(left.covers(&right), expected, "{ours} {theirs}");
        }
        for (ours, theirs, expected) in [
            ("**.example", "a.example", true),
            ("**.example", "example", true),
            ("*.example", "a.b.example", false),
            ("**", "[::1]", true),
        ] {
            let [left, right] = [ours, theirs].map(|text| HostPattern::parse(text).unwrap());
            assert_eq!(left.covers(&right), expected, "{ours} {theirs}");
        }
    }

    /// Checklist A.14.
    #[test]
    fn a_spiffe_id_is_one_trust_domain_and_a_path_of_sound_segments() {
        for (id, trust_domain, path) in [
            ("spiffe://staging.example.com/payments/mysql", "staging.example.com", ["payments", "mysql"].as_slice()),
            (
                "spiffe://k8s-west.example.com/ns/staging/sa/default",
                "k8s-west.example.com",
                &["ns", "staging", "sa", "default"],
            ),
            ("SPIFFE://Example.ORG/X", "example.org", &["X"]),
            ("spiffe://a_b-1/x.y", "a_b-1", &["x.y"]),
        ] {
            let (found, segments) = split_id(id).unwrap();
            assert_eq!((&*found, segments.collect::<Vec<_>>()), (trust_domain, path.to_vec()), "{id}");
        }
        let longest = format!("spiffe://e/{}", "a".repeat(2048 - 11));
        assert!(split_id(&longest).is_some());
        assert!(split_id(&format!("spiffe://{}/x", "a".repeat(255))).is_some());
        for id in [
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://example.org:8080/x",
            "spiffe://u@example.org/x",
            "spiffe://example.org/a//b",
            "spiffe://example.org/a/../b",
            "spiffe://example.org/./b",
            "spiffe://example.org/a/",
            "spiffe://example.org/a%2Fb",
            "spiffe://example.org/x?y",
            "spiffe://example.org/x#z",
            "https://example.org/x",
            "spiffe:///x",
            "spiffe:/example.org/x",
            "spiffe://example.org/é",
            "spiffe://exämple.org/x",
            "spiffe://example.org/a b",
            " spiffe://e/x",
            "",
            &format!("{longest}a"),
            &format!("spiffe://{}/x", "a".repeat(256)),
        ] {
            assert!(split_id(id).is_none(), "{id}");
        }
    }

    #[test]
    fn a_spiffe_pattern_stays_inside_its_trust_domain_and_takes_whole_segments() {
        let takes = |pattern: &str, id: &str| {
            let (trust_domain, segments) = split_id(id).unwrap();
            let pattern = SpiffePattern::parse(pattern).unwrap();
            pattern.trust_domain() == trust_domain && pattern.path.take(segments, |_, _| ())
        };
        for (pattern, id, expected) in [
            ("spiffe://e/ns/*/sa/reporting", "spiffe://e/ns/a/sa/reporting", true),
            ("spiffe://e/ns/*/sa/reporting", "spiffe://e/ns/a/b/sa/reporting", false),
            ("spiffe://e/ns/a/**", "spiffe://e/ns/a", true),
            ("spiffe://e/ns/a/**", "spiffe://e/ns/a/sa/x", true),
            ("spiffe://e/ns/a/**", "spiffe://e/ns/ab/sa/x", false),
            ("spiffe://e/**", "spiffe://f/x", false),
            ("spiffe://e/X", "spiffe://e/x", false),
            ("spiffe://e/{/ns}/x", "spiffe://e/any/x", true),
        ] {
            assert_eq!(takes(pattern, id), expected, "{pattern} {id}");
        }
        for (text, error) in [
            ("https://e/x", Error::NotSpiffe),
            ("spiffe://e", Error::NotSpiffe),
            ("spiffe:///x", Error::NotSpiffe),
            ("spiffe://*/x", Error::NotSpiffe),
            ("spiffe://E/x", Error::NotSpiffe),
            ("spiffe://e:80/x", Error::NotSpiffe),
            ("spiffe://e/a%2fb", Error::NotSpiffe),
            ("spiffe://e/..", Error::NotSpiffe),
            ("spiffe://e/", Error::EmptyPiece),
            ("spiffe://e/a/", Error::EmptyPiece),
            ("spiffe://e/**/a", Error::OpenInside),
            ("spiffe://e/a*", Error::PartOfPiece("a*".into())),
            ("spiffe://e/a{b}", Error::PartOfPiece("a{b}".into())),
            ("spiffe://e/{/a", Error::PartOfPiece("{/a".into())),
        ] {
            assert_eq!(SpiffePattern::parse(text), Err(error), "{text}");
        }
        assert!(matches!(SpiffePattern::parse("spiffe://e/{/a~2}"), Err(Error::Pointer(_))));
    }
}
