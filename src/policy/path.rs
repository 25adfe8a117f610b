//! A request target into segments that mean the same to everybody, or a refusal (checklist 24.8).

use crate::facts::percent;

/// A path in segments, each decoded once. A slash at the end makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub segments: Vec<String>,
    /// It holds `%2F`, an empty segment, `;` or octets that are not UTF-8, which services read in different ways: such a
    /// path matches no route.
    pub odd: bool,
}

/// A dot segment, a backslash, a control octet, a fragment, a broken escape, or no path at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

impl Path {
    /// Reads `:path`; the query is left out.
    pub fn read(target: &[u8]) -> Result<Self, Ambiguous> {
        if target.contains(&b'#') {
            return Err(Ambiguous);
        }
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let path = path.strip_prefix(b"/").ok_or(Ambiguous)?;
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let mut read = Self { segments: Vec::new(), odd: false };
        // A slash that stands alone after the one at the end was taken off is an empty segment.
        if path.is_empty() {
            read.odd = target.starts_with(b"//");
            return Ok(read);
        }
        for segment in path.split(|byte| *byte == b'/') {
            read.push(segment)?;
        }
        Ok(read)
    }

    fn push(&mut self, segment: &[u8]) -> Result<(), Ambiguous> {
        let decoded = percent::decode(segment).ok_or(Ambiguous)?;
        if matches!(decoded.as_slice(), b"." | b"..")
            || decoded.iter().any(|byte| *byte == b'\\' || byte.is_ascii_control())
        {
            return Err(Ambiguous);
        }
        self.odd |= decoded.is_empty() || decoded.iter().any(|byte| matches!(byte, b'/' | b';'));
        match String::from_utf8(decoded) {
            Ok(text) => self.segments.push(text),
            Err(_) => self.odd = true,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str) -> Result<(Vec<String>, bool), Ambiguous> {
        Path::read(target.as_bytes()).map(|path| (path.segments, path.odd))
    }

    #[test]
    fn equivalent_paths_are_one() {
        for target in ["/admin/x", "/admin/x/", "/%61dmin/%78", "/admin/x?y=/../", "/admin/x/?"] {
            assert_eq!(read(target), Ok((vec!["admin".into(), "x".into()], false)), "{target}");
        }
        assert_eq!(read("/"), Ok((vec![], false)));
        assert_eq!(read("/?x"), Ok((vec![], false)));
        assert_eq!(read("/a%20b/%C3%A9"), Ok((vec!["a b".into(), "é".into()], false)));
        assert_eq!(read("/%2561"), Ok((vec!["%61".into()], false)), "decoded once");
    }

    #[test]
    fn what_services_read_in_different_ways_matches_no_route() {
        for target in [
            "//admin",
            "/a//b",
            "//",
            "/a%2Fb",
            "/a%2f",
            "/admin;x=1",
            "/;/admin",
            "/..;/admin",
            "/a%3Bb",
            "/a//",
            "/%ff",
            "/%c0%af",
        ] {
            assert_eq!(read(target).map(|(_, odd)| odd), Ok(true), "{target}");
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
