//! A request target into segments that mean the same to everybody, or a refusal (checklist 24.8).

use std::borrow::Cow;

use crate::facts::percent;

/// A path in segments, each decoded once. A slash at the end makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    segments: Vec<Cow<'a, str>>,
    pub oddities: Oddities,
}

/// What services read in different ways. A path with one of these matches only routes that say so (`danger_allow_path`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// `%2F`
    pub encoded_slash: bool,
    /// `//`
    pub empty_segment: bool,
    /// `;`, encoded or not
    pub semicolon: bool,
    /// Octets that are not UTF-8. No route can say this.
    pub not_text: bool,
}

/// A dot segment, a backslash, a control octet, a fragment, a broken escape, or no path at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// So many segments have their place from the beginning.
const USUAL: usize = 8;

impl Oddities {
    /// Whether every oddity of `other` is one of these.
    pub fn include(&self, other: &Self) -> bool {
        let one = |ours: bool, theirs: bool| ours || !theirs;
        one(self.encoded_slash, other.encoded_slash)
            && one(self.empty_segment, other.empty_segment)
            && one(self.semicolon, other.semicolon)
            && one(self.not_text, other.not_text)
    }
}

impl<'a> Path<'a> {
    /// Reads `:path`; the query is left out.
    pub fn read(target: &'a [u8]) -> Result<Self, Ambiguous> {
        // One look at each octet; most paths need no other.
        let (mut length, mut is_plain) = (target.len(), true);
        for (at, byte) in target.iter().enumerate() {
            match byte {
                b'#' => return Err(Ambiguous),
                b'?' => length = length.min(at),
                b'%' | b';' | b'\\' => is_plain &= length <= at,
                _ => is_plain &= length <= at || byte.is_ascii_graphic(),
            }
        }
        let path = target.get(..length).unwrap_or_default();
        let path = path.strip_prefix(b"/").ok_or(Ambiguous)?;
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let mut read = Self { segments: Vec::with_capacity(USUAL), oddities: Oddities::default() };
        // A slash that stands alone after the one at the end was taken off is an empty segment.
        if path.is_empty() && !target.starts_with(b"//") {
            return Ok(read);
        }
        match core::str::from_utf8(path).ok().filter(|_| is_plain) {
            Some(path) => path.split('/').try_for_each(|segment| read.push_plain(segment))?,
            None => path.split(|byte| *byte == b'/').try_for_each(|segment| read.push(segment))?,
        }
        Ok(read)
    }

    pub fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        self.segments.iter().map(|segment| &**segment)
    }

    /// Takes a segment in which nothing has to be decoded or looked for.
    fn push_plain(&mut self, segment: &'a str) -> Result<(), Ambiguous> {
        if matches!(segment, "." | "..") {
            return Err(Ambiguous);
        }
        self.oddities.empty_segment |= segment.is_empty();
        self.segments.push(Cow::Borrowed(segment));
        Ok(())
    }

    fn push(&mut self, segment: &'a [u8]) -> Result<(), Ambiguous> {
        let decoded = percent::decode(segment).ok_or(Ambiguous)?;
        if decoded.split(|byte| *byte == b'/').any(is_dot)
            || decoded.iter().any(|byte| *byte == b'\\' || byte.is_ascii_control())
        {
            return Err(Ambiguous);
        }
        self.oddities.encoded_slash |= decoded.contains(&b'/');
        self.oddities.empty_segment |= decoded.is_empty();
        self.oddities.semicolon |= decoded.contains(&b';');
        let text = match decoded {
            Cow::Borrowed(octets) => core::str::from_utf8(octets).ok().map(Cow::Borrowed),
            Cow::Owned(octets) => String::from_utf8(octets).ok().map(Cow::Owned),
        };
        match text {
            Some(text) => self.segments.push(text),
            None => self.oddities.not_text = true,
        }
        Ok(())
    }
}

/// A dot segment, also to services that decode slashes or cut parameters off first.
fn is_dot(segment: &[u8]) -> bool {
    matches!(segment.split(|byte| *byte == b';').next(), Some(b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str) -> Result<(Vec<String>, Oddities), Ambiguous> {
        let path = Path::read(target.as_bytes())?;
        Ok((path.segments().map(str::to_owned).collect(), path.oddities))
    }

    #[test]
    fn equivalent_paths_are_one() {
        let plain = Oddities::default();
        for target in ["/admin/x", "/admin/x/", "/%61dmin/%78", "/admin/x?y=/../", "/admin/x/?"] {
            assert_eq!(read(target), Ok((vec!["admin".into(), "x".into()], plain)), "{target}");
        }
        assert_eq!(read("/"), Ok((vec![], plain)));
        assert_eq!(read("/?x"), Ok((vec![], plain)));
        assert_eq!(read("/a%20b/%C3%A9"), Ok((vec!["a b".into(), "é".into()], plain)));
        assert_eq!(read("/%2561"), Ok((vec!["%61".into()], plain)), "decoded once");
    }

    #[test]
    fn what_services_read_in_different_ways_is_told() {
        let slash = Oddities { encoded_slash: true, ..Oddities::default() };
        let empty = Oddities { empty_segment: true, ..Oddities::default() };
        let semicolon = Oddities { semicolon: true, ..Oddities::default() };
        let octets = Oddities { not_text: true, ..Oddities::default() };
        for (target, expected) in [
            ("//admin", empty),
            ("/a//b", empty),
            ("//", empty),
            ("/a//", empty),
            ("/a%2Fb", slash),
            ("/a%2f", slash),
            ("/admin;x=1", semicolon),
            ("/;/admin", semicolon),
            ("/.a;/admin", semicolon),
            ("/a%3Bb", semicolon),
            ("/%ff", octets),
            ("/%c0%af", octets),
            ("//a%2fb;c", Oddities { not_text: false, encoded_slash: true, empty_segment: true, semicolon: true }),
        ] {
            assert_eq!(read(target).map(|(_, oddities)| oddities), Ok(expected), "{target}");
        }
    }

    #[test]
    fn a_route_takes_the_oddities_that_it_names_and_no_others() {
        let slash = Oddities { encoded_slash: true, ..Oddities::default() };
        let both = Oddities { semicolon: true, ..slash };
        for (ours, theirs, expected) in [
            (slash, Oddities::default(), true),
            (slash, slash, true),
            (both, slash, true),
            (slash, both, false),
            (Oddities::default(), slash, false),
        ] {
            assert_eq!(ours.include(&theirs), expected, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn what_nobody_means_well_with_is_refused() {
        for target in [
            "/./admin",
            "/x/../admin",
            "/%2e%2e/admin",
            "/.%2E/admin",
            "/x/..",
            "/..;/admin",
            "/x/%2e%2e;a=b/admin",
            "/x%2f..%2fadmin",
            "/x%2f..",
            "/x/.",
            "/admin%5c",
            "/\\admin",
            "/admin%00",
            "/admin%0d%0a",
            "/admin%7f",
            "/a\tb",
            "/public#/admin",
            "/a?b#c",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%%61",
            "",
            "admin",
            "*",
            "?x",
            "https://x/admin",
        ] {
            assert_eq!(read(target), Err(Ambiguous), "{target}");
        }
    }
}
