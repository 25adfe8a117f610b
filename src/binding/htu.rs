//! The URI that a proof names and the one that was asked for, in one spelling, so that octets can be compared (RFC 9449 §4.3,
//! RFC 3986 §6.2.2 and §6.2.3, checklist 7-N).

use crate::facts::percent::hex_digit;

/// A place that clients ask at, as the operator writes it: scheme and authority in their one spelling, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(String);

/// Why a text is not the origin of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAnOrigin {
    /// Not `https://` and a host.
    NotHttps,
    /// There is a path, a query or a fragment.
    MoreThanOrigin,
    /// A name and a password before the host.
    UserInfo,
    /// The host or the port holds something that none can hold; names beyond ASCII are written as A-labels.
    Host,
}

/// Scheme and authority, and a path that begins with a slash, each in its one spelling. Query and fragment are gone.
#[derive(Clone, PartialEq, Eq)]
pub struct Htu {
    origin: Vec<u8>,
    path: Vec<u8>,
}

impl Origin {
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        let (scheme, rest) = text.split_once("://").ok_or(NotAnOrigin::NotHttps)?;
        if !scheme.eq_ignore_ascii_case("https") || rest.is_empty() {
            return Err(NotAnOrigin::NotHttps);
        }
        if rest.contains(['/', '?', '#']) {
            return Err(NotAnOrigin::MoreThanOrigin);
        }
        if rest.contains('@') {
            return Err(NotAnOrigin::UserInfo);
        }
        let origin = origin(scheme.as_bytes(), rest.as_bytes()).ok_or(NotAnOrigin::Host)?;
        String::from_utf8(origin).map(Self).map_err(|_| NotAnOrigin::Host)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Htu {
    /// Reads `htu`; none where it is no absolute URI with an authority.
    pub fn parse(uri: &str) -> Option<Self> {
        if !uri.bytes().all(|octet| octet.is_ascii_graphic()) {
            return None;
        }
        let uri = without_query(uri.as_bytes());
        let scheme_ends = uri.windows(3).position(|three| three == b"://")?;
        let (scheme, rest) = uri.split_at_checked(scheme_ends)?;
        let rest = rest.get(3..)?;
        let authority_ends = rest.iter().position(|octet| *octet == b'/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(authority_ends)?;
        Some(Self { origin: origin(scheme, authority)?, path: normal_path(path)? })
    }

    /// What a client calls the target of a request at the origin of this proof, by the path as it was sent (`:path`, its query
    /// left out). Who may be called so is the operator's to say: `Host` is never asked.
    pub fn is(&self, origins: &[Origin], target: &[u8]) -> bool {
        let is_ours = origins.iter().any(|origin| origin.0.as_bytes() == self.origin);
        is_ours && normal_path(without_query(target)).is_some_and(|path| path == self.path)
    }

    /// Its octets: scheme, authority, path.
    pub fn octets(&self) -> impl Iterator<Item = &[u8]> {
        [self.origin.as_slice(), self.path.as_slice()].into_iter()
    }
}

fn without_query(uri: &[u8]) -> &[u8] {
    uri.split(|octet| matches!(octet, b'?' | b'#')).next().unwrap_or_default()
}

/// `scheme://host`, with the port where it is not that of the scheme.
fn origin(scheme: &[u8], authority: &[u8]) -> Option<Vec<u8>> {
    let scheme = scheme.to_ascii_lowercase();
    let usual: &[u8] = match scheme.as_slice() {
        b"https" => b"443",
        b"http" => b"80",
        _ => return None,
    };
    let (host, port) = split_port(authority)?;
    let mut origin = scheme;
    origin.extend(b"://");
    origin.extend(host.to_ascii_lowercase());
    if !port.is_empty() && port != usual {
        origin.push(b':');
        origin.extend(port);
    }
    Some(origin)
}

/// Host and port; the port is empty where there is none.
fn split_port(authority: &[u8]) -> Option<(&[u8], &[u8])> {
    let host_ends = match authority.first()? {
        b'[' => authority.iter().position(|octet| *octet == b']')? + 1,
        _ => authority.iter().position(|octet| *octet == b':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(host_ends)?;
    let port = match port.split_first() {
        None => port,
        Some((b':', port)) => port,
        Some(_) => return None,
    };
    let is_number = port.len() <= 5 && port.iter().all(u8::is_ascii_digit) && port.first() != Some(&b'0');
    (is_host(host) && is_number).then_some((host, port))
}

/// Letters, digits and the signs of names and addresses. Escapes are none of them: a name needs none.
fn is_host(host: &[u8]) -> bool {
    let name = |host: &[u8]| host.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-._~".contains(octet));
    let address = |host: &[u8]| host.iter().all(|octet| octet.is_ascii_hexdigit() || b":.".contains(octet));
    match host {
        [b'[', address_of_six @ .., b']'] => !address_of_six.is_empty() && address(address_of_six),
        _ => !host.is_empty() && name(host),
    }
}

/// A path in its one spelling: escapes of what needs none decoded, the others in capitals, dot segments gone, `/` for none.
/// None where an escape is broken, or where it does not begin with a slash.
fn normal_path(path: &[u8]) -> Option<Vec<u8>> {
    match path.first() {
        None => return Some(b"/".to_vec()),
        Some(b'/') => {}
        Some(_) => return None,
    }
    let path = normal_escapes(path)?;
    let mut normal: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = path.split(|octet| *octet == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." => {}
            b".." => normal.truncate(normal.iter().rposition(|octet| *octet == b'/').unwrap_or(0)),
            segment => {
                normal.push(b'/');
                normal.extend(segment);
                continue;
            }
        }
        if is_last {
            normal.push(b'/');
        }
    }
    Some(normal)
}

fn normal_escapes(path: &[u8]) -> Option<Vec<u8>> {
    let mut normal = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            normal.push(first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return None };
        let octet = hex_digit(*high)? << 4 | hex_digit(*low)?;
        rest = tail;
        match octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            true => normal.push(octet),
            false => normal.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
        }
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Vec<Origin> {
        ["https://api.example.com", "https://other.example:8443", "https://[2001:db8::1]"]
            .iter()
            .map(|text| Origin::parse(text).unwrap())
            .collect()
    }

    fn is(htu: &str, target: &str) -> bool {
        Htu::parse(htu).is_some_and(|htu| htu.is(&origins(), target.as_bytes()))
    }

    #[test]
    fn the_vectors_of_the_checklist_hold() {
        for (htu, same) in [
            ("https://api.example.com/a/c", true),
            ("HTTPS://API.example.COM:443/a/c", true),
            ("https://api.example.com/a/b/../c?x=1#f", true),
            ("https://api.example.com/%61/c", true),
            ("http://api.example.com/a/c", false),
            ("https://api.example.com:8443/a/c", false),
            ("https://api.example.com/a/c/", false),
            ("https://api.example.com/a%2Fc", false),
            ("https://api.example.com/A/c", false),
            ("//api.example.com/a/c", false),
            ("/a/c", false),
            ("https://u@api.example.com/a/c", false),
            ("https://api.example.com./a/c", false),
        ] {
            assert_eq!(is(htu, "/a/c"), same, "{htu}");
            assert_eq!(is(htu, "/a/c?y=2"), same, "{htu}, with a query");
        }
    }

    #[test]
    fn only_what_rfc_3986_calls_equal_is_equal() {
        for (path, target, same) in [
            ("", "/", true),
            ("/", "/", true),
            ("?x", "/", true),
            ("#x", "/?y", true),
            ("/~a", "/%7Ea", true),
            ("/%7ea", "/~a", true),
            ("/a%2fb", "/a%2Fb", true),
            ("/a%2Fb", "/a/b", false),
            ("/%C3%A9", "/%c3%a9", true),
            ("/a/./b", "/a/b", true),
            ("/a/.", "/a/", true),
            ("/a/b/..", "/a/", true),
            ("/../a", "/a", true),
            ("/%2E%2e/a", "/a", true),
            ("/..", "/", true),
            ("/a//b", "/a//b", true),
            ("/a//b", "/a/b", false),
            ("/a//../b", "/a/b", true),
            ("/...", "/...", true),
            ("/a;b", "/a;b", true),
            ("/a;b", "/a%3Bb", false),
            ("/a+b", "/a%20b", false),
            ("/a", "/a?", true),
            ("/a%", "/a%", false),
            ("/a%2", "/a%2", false),
            ("/a%zz", "/a%zz", false),
        ] {
            assert_eq!(is(&format!("https://api.example.com{path}"), target), same, "{path} {target}");
        }
    }

    #[test]
    fn what_is_no_absolute_uri_is_none() {
        for htu in [
            "",
            "api.example.com/a",
            "https:/api.example.com/a",
            "https:api.example.com/a",
            "https:///a",
            "https://:443/a",
            "https://api.example.com:port/a",
            "https://api.example.com:0443/a",
            "https://api.example.com:443443/a",
            "https://api.example.com:443:443/a",
            "https://api%2Eexample.com/a",
            "https://api.example.com\\@evil.example/a",
            "https://api.exam ple.com/a",
            "https://api.example.com/a b",
            "https://api.example.com/\u{e9}",
            "https://b\u{fc}cher.example/a",
            "https://api.example.com/a\n",
            "ftp://api.example.com/a",
            "https://[2001:db8::1/a",
            "https://[]/a",
            "https://[2001:db8::1]x/a",
            "https://a:b@api.example.com/a",
        ] {
            assert!(Htu::parse(htu).is_none(), "{htu:?}");
        }
    }

    #[test]
    fn ports_and_addresses_are_part_of_an_origin() {
        for (htu, same) in [
            ("https://other.example:8443/a", true),
            ("https://other.example/a", false),
            ("https://other.example:443/a", false),
            ("https://api.example.com:/a", true),
            ("https://[2001:DB8::1]:443/a", true),
            ("https://[2001:db8::2]/a", false),
            ("https://third.example/a", false),
        ] {
            assert_eq!(is(htu, "/a"), same, "{htu}");
        }
    }

    #[test]
    fn an_origin_is_https_and_a_host_and_no_more() {
        let read = |text| Origin::parse(text).map(|origin| origin.as_str().to_owned());
        assert_eq!(read("HTTPS://API.Bank.Example:443"), Ok("https://api.bank.example".into()));
        assert_eq!(read("https://api.bank.example:8443"), Ok("https://api.bank.example:8443".into()));
        for (text, why) in [
            ("api.bank.example", NotAnOrigin::NotHttps),
            ("http://api.bank.example", NotAnOrigin::NotHttps),
            ("https://", NotAnOrigin::NotHttps),
            ("https://api.bank.example/", NotAnOrigin::MoreThanOrigin),
            ("https://api.bank.example/v1", NotAnOrigin::MoreThanOrigin),
            ("https://api.bank.example?x", NotAnOrigin::MoreThanOrigin),
            ("https://api.bank.example#x", NotAnOrigin::MoreThanOrigin),
            ("https://ann@api.bank.example", NotAnOrigin::UserInfo),
            ("https://b\u{fc}cher.example", NotAnOrigin::Host),
            ("https://api.bank.example:x", NotAnOrigin::Host),
            ("https://*.bank.example", NotAnOrigin::Host),
            ("https://{tenant}.bank.example", NotAnOrigin::Host),
        ] {
            assert_eq!(read(text), Err(why), "{text}");
        }
    }
}
