//! `X-Forwarded-Client-Cert` into what its one element that counts tells (Envoy's documentation, checklist §13).
//!
//! Envoy writes the URIs and DNS names of a certificate without quotes and as they stand there. So whoever chose such a name may
//! have written all that follows it: no element behind one counts.

use super::super::peer::{self, CertificateDigest};
use super::super::percent::hex_digit;
use super::{Error, Told, Written};

/// What one proxy says of the one before it.
#[derive(Clone, Copy, Debug, Default)]
struct Element<'a> {
    hash: Option<CertificateDigest>,
    certificate: Option<&'a [u8]>,
    has_chain: bool,
    has_subject: bool,
    /// It may have been written in a name of the element before it.
    is_doubtful: bool,
    /// A name stands in it that ends nobody knows where.
    is_open: bool,
}

/// A key and its value, or what follows a `;` within a name.
struct Piece<'a> {
    key: &'a [u8],
    value: Option<&'a [u8]>,
    is_quoted: bool,
    /// `;` or `,`, or nothing at the end.
    separator: Option<u8>,
}

const MAX_ELEMENTS: usize = 32;

/// The last element counts, or, if the relay itself is the certificate of that, which this proxy has then appended, the one
/// before it. Never the first because it is the first: that may be the client's own writing.
pub fn find(field: &[u8], relay: CertificateDigest) -> Result<Option<Told<'_>>, Error> {
    let (counts, _) = counting(field, relay)?;
    counts.map(Element::told).transpose()
}

/// Whether nothing stands before the element that counts: what does, nobody has vouched for.
pub fn begins_with_it(field: &[u8], relay: CertificateDigest) -> bool {
    counting(field, relay).is_ok_and(|(_, before)| before == 0)
}

/// The element that counts, and how many stand before it.
fn counting(field: &[u8], relay: CertificateDigest) -> Result<(Option<Element<'_>>, usize), Error> {
    let mut last = None;
    let mut rest = field;
    for before in 0..MAX_ELEMENTS {
        let is_doubtful = last.is_some_and(|last: Element<'_>| last.is_doubtful || last.is_open);
        let (element, more) = Element::read(rest, is_doubtful)?;
        let one_before = last.replace(element);
        let Some(more) = more else {
            let is_own = last.is_some_and(|last| last.hash == Some(relay));
            return Ok(if is_own { (one_before, before.saturating_sub(1)) } else { (last, before) });
        };
        rest = more;
    }
    Err(Error::TooLarge)
}

impl<'a> Element<'a> {
    /// One element, and what stands behind its comma.
    fn read(text: &'a [u8], is_doubtful: bool) -> Result<(Self, Option<&'a [u8]>), Error> {
        let mut element = Self { is_doubtful, ..Self::default() };
        let mut rest = text;
        loop {
            let (piece, more) = Piece::read(rest)?;
            element.take(&piece)?;
            match piece.separator {
                None => return Ok((element, None)),
                Some(b',') => return Ok((element, Some(more))),
                Some(_) => rest = more,
            }
        }
    }

    fn take(&mut self, piece: &Piece<'a>) -> Result<(), Error> {
        let Some(value) = piece.value else {
            return if self.is_open { Ok(()) } else { Err(Error::Malformed) };
        };
        // A blank before `Hash` would hide it from a reader who does not trim.
        if !self.is_open && !is_key(piece.key) {
            return Err(Error::Malformed);
        }
        let is = |key: &[u8]| piece.key.eq_ignore_ascii_case(key);
        // Envoy writes them before any name, so this one may stand in a name.
        if self.is_open && (is(b"hash") || is(b"cert")) {
            return Err(Error::Malformed);
        }
        let was_there = if is(b"hash") {
            self.hash.replace(digest(value).ok_or(Error::Malformed)?).is_some()
        } else if is(b"cert") {
            self.certificate.replace(value).is_some()
        } else if is(b"chain") {
            core::mem::replace(&mut self.has_chain, true)
        } else if is(b"subject") {
            self.is_open |= !piece.is_quoted;
            core::mem::replace(&mut self.has_subject, true)
        } else {
            // A proxy's own name is no client's choice.
            self.is_open |= !piece.is_quoted && !is(b"by");
            false
        };
        if was_there { Err(Error::Malformed) } else { Ok(()) }
    }

    fn told(self) -> Result<Told<'a>, Error> {
        match (self.hash, self.certificate) {
            _ if self.is_doubtful => Err(Error::Malformed),
            (digest, Some(text)) if text.contains(&b'%') => {
                Ok(Told::Certificate { written: Written::Pem(text), digest })
            }
            (_, Some(_)) => Err(Error::Certificate(peer::Error::NotPem)),
            (Some(digest), None) => Ok(Told::Digest(digest)),
            (None, None) => Err(Error::Malformed),
        }
    }
}

impl<'a> Piece<'a> {
    fn read(text: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let (key, rest) = split(text, |octet| matches!(octet, b'=' | b';' | b',' | b'"'));
        let Some((b'=', rest)) = rest.split_first() else {
            return Self { key, value: None, is_quoted: false, separator: None }.before(rest);
        };
        match rest.split_first() {
            Some((b'"', rest)) => {
                let (value, rest) = quoted(rest)?;
                Self { key, value: Some(value), is_quoted: true, separator: None }.before(rest)
            }
            _ => {
                let (value, rest) = split(rest, |octet| matches!(octet, b';' | b',' | b'"'));
                if !value.iter().all(|octet| octet.is_ascii_graphic() || *octet == b' ') {
                    return Err(Error::Malformed);
                }
                Self { key, value: Some(value), is_quoted: false, separator: None }.before(rest)
            }
        }
    }

    /// The same, with what divides it from what follows.
    fn before(self, rest: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        match rest.split_first() {
            None => Ok((self, rest)),
            Some((separator @ (b';' | b','), rest)) => Ok((Self { separator: Some(*separator), ..self }, rest)),
            Some(_) => Err(Error::Malformed),
        }
    }
}

fn is_key(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_alphanumeric)
}

fn split(text: &[u8], ends: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = text.iter().position(|octet| ends(*octet)).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or((text, &[]))
}

/// What stands before the closing quote, as it is written, and what stands behind it. A backslash before a quote escapes it;
/// where two stand there, some would read an escaped backslash and some an escaped quote.
fn quoted(text: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let mut backslashes = 0_usize;
    for (at, octet) in text.iter().enumerate() {
        match octet {
            b'\\' => backslashes += 1,
            b'"' if backslashes == 0 => {
                let (inside, rest) = text.split_at_checked(at).ok_or(Error::Malformed)?;
                return if begins_an_element(inside) {
                    Err(Error::Malformed)
                } else {
                    Ok((inside, rest.get(1..).unwrap_or_default()))
                };
            }
            b'"' if backslashes.is_multiple_of(2) => return Err(Error::Malformed),
            _ => backslashes = 0,
        }
    }
    Err(Error::Malformed)
}

/// Whether an element of a proxy begins within these quotes: a client that opened them before that proxy wrote, and has a quote in a
/// name, would have hidden it.
fn begins_an_element(inside: &[u8]) -> bool {
    inside.split(|octet| matches!(octet, b',' | b';')).skip(1).map(<[u8]>::trim_ascii_start).any(|piece| {
        let begins = |key: &[u8]| piece.get(..key.len()).is_some_and(|start| start.eq_ignore_ascii_case(key));
        begins(b"by=") || begins(b"hash=")
    })
}

/// 64 hexadecimal digits of either case.
fn digest(text: &[u8]) -> Option<CertificateDigest> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let mut digest = [0; 32];
    if pairs.len() != digest.len() {
        return None;
    }
    for (octet, [high, low]) in digest.iter_mut().zip(pairs) {
        *octet = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(CertificateDigest(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: [u8; 32] = [0xbb; 32];

    fn hash(octet: u8) -> String {
        format!("{octet:02x}").repeat(32)
    }

    fn of(octet: u8) -> Result<Option<Told<'static>>, Error> {
        Ok(Some(Told::Digest(CertificateDigest([octet; 32]))))
    }

    fn found(field: &str) -> Result<Option<Told<'_>>, Error> {
        find(field.as_bytes(), CertificateDigest(RELAY))
    }

    #[test]
    fn the_last_element_counts_or_the_one_before_what_this_proxy_appended() {
        let [a, b, own] = [0x0a, 0x0b, 0xbb].map(|octet| format!("By=spiffe://x/y;Hash={}", hash(octet)));
        for (field, expected) in [
            (a.clone(), of(0x0a)),
            (format!("{a},{b}"), of(0x0b)),
            (format!("{b},{a}"), of(0x0a)),
            (format!("{a},{own}"), of(0x0a)),
            (format!("{b},{a},{own}"), of(0x0a)),
            (own.clone(), Ok(None)),
            (format!("{own},{own}"), of(0xbb)),
            (format!("{own},{a}"), of(0x0a)),
        ] {
            assert_eq!(found(&field), expected, "{field}");
        }
    }

    /// Checklist A.10. Of its two hops the last may stand in a URI that the client chose, so neither is taken.
    #[test]
    fn the_examples_of_envoy_are_read_but_for_the_one_that_a_client_could_have_made() {
        let hash = "468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688";
        let names = "URI=http://testclient.lyft.com;DNS=lyft.com;DNS=www.lyft.com";
        let subject = "Subject=\"/C=US/ST=CA/L=San Francisco/OU=Lyft/CN=Test Client\"";
        let one = format!("By=http://frontend.lyft.com;Hash={hash};{subject};{names}");
        assert_eq!(found(&one), Ok(digest(hash.as_bytes()).map(Told::Digest)));
        let other = "9ba61d6425303443c0748a02dd8de688468ed33be74eee6556d90c0149c1309e";
        let two = format!(
            "By=http://frontend.lyft.com;Hash={hash};URI=http://testclient.lyft.com,\
             By=http://backend.lyft.com;Hash={other};URI=http://frontend.lyft.com"
        );
        assert_eq!(found(&two), Err(Error::Malformed));
    }

    #[test]
    fn what_envoy_writes_is_read() {
        let hash = hash(0x0a);
        for field in [
            format!("Hash={hash}"),
            format!("hash={hash}"),
            format!("HASH={}", hash.to_uppercase()),
            format!("Hash=\"{hash}\""),
            format!(
                "By=http://frontend.lyft.com;Hash={hash};Subject=\"/C=US/L=San Francisco/CN=Test Client\";URI=http://testclient.lyft.com"
            ),
            format!("By=spiffe://td/a;By=urn:x;Hash={hash};URI=urn:a;URI=urn:b;DNS=a.example;DNS=b.example"),
            format!("Hash={hash};URI="),
            format!("Hash={hash};Subject=\"\";URI="),
            format!("Hash={hash};Subject=\"OU=x,CN=cli\\,ent \\\"q\\\"/O=A\\;B=C\";DNS=a"),
            format!("Hash={hash};Subject=\"CN=a\\\\b\""),
            format!("Hash={hash};Chain=\"-----BEGIN%20CERTIFICATE-----%0A\""),
            format!("Hash={hash};URI=https://x.example/p?a=b;c=d"),
            format!("Hash={hash};URI=https://x.example/p;v1;;w"),
            format!("Hash={hash};Future=\"x\""),
        ] {
            assert_eq!(found(&field), of(0x0a), "{field}");
        }
        let pem = "-----BEGIN%20CERTIFICATE-----%0AMII%3D%0A-----END%20CERTIFICATE-----%0A";
        let digest = Some(CertificateDigest([0x0a; 32]));
        let written = Written::Pem(pem.as_bytes());
        assert_eq!(found(&format!("Cert={pem};Hash={hash}")), Ok(Some(Told::Certificate { written, digest })));
        assert_eq!(found(&format!("Hash={hash};cert=\"{pem}\"")), Ok(Some(Told::Certificate { written, digest })));
        assert_eq!(found(&format!("Cert=\"{pem}\"")), Ok(Some(Told::Certificate { written, digest: None })));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        let (hash, other) = (hash(0x0a), hash(0x0b));
        for field in [
            String::new(),
            ",".to_owned(),
            "Hash".to_owned(),
            "Hash=".to_owned(),
            "By=x".to_owned(),
            format!("Hash={}", &hash[1..]),
            format!("Hash={hash}0"),
            format!("Hash={}", &hash[2..]),
            format!("Hash={}", hash.replace('a', "g")),
            format!("Hash={};x", hash.replace("0a", "+a")),
            format!("Hash={hash};"),
            format!("Hash={hash},"),
            format!(",Hash={hash}"),
            format!(";Hash={hash}"),
            format!("Hash={hash}, Hash={hash}"),
            format!(" Hash={hash};Cert=%"),
            format!("Cert=%; Hash={hash}"),
            format!("Hash ={hash};Cert=%"),
            format!("Hash={hash}, Cert=%"),
            format!("Hash={hash};=x"),
            format!("Hash={hash};Sub ject=\"x\""),
            format!("Hash={hash};Hash={hash}"),
            format!("Hash={hash};hash={other}"),
            format!("Hash={hash};Cert=%;Cert=%"),
            format!("Hash={hash};Chain=a;Chain=a"),
            format!("Hash={hash};Subject=\"a\";SUBJECT=\"a\""),
            format!("Hash={hash};Subject=\"a"),
            format!("Hash={hash};Subject=\"a\\\""),
            format!("Hash={hash};Subject=\"a\"b"),
            format!("Hash={hash};Subject=\"a\\\\\";DNS=a"),
            format!("Hash={hash};Subject=\"a\\\\\"\""),
            format!("Hash={hash};Subject=a\"b\""),
            format!("Hash={hash};Su\"bject=\"a\""),
            format!("Hash={hash};URI=a\"b"),
            format!("Hash={hash};URI=a\u{1}b"),
            format!("Subject=\"CN=a\\\",Hash={hash}"),
        ] {
            assert_eq!(found(&field), Err(Error::Malformed), "{field}");
        }
        assert_eq!(
            found(&format!("Hash={hash};Cert=\"-----BEGIN CERTIFICATE----- MII -----END CERTIFICATE-----\"")),
            Err(Error::Certificate(peer::Error::NotPem))
        );
    }

    /// A client whose certificate names `https://x,Hash=…` would else be whom it wants.
    #[test]
    fn nobody_becomes_another_by_a_name_in_a_certificate() {
        let (thief, victim, own) = (hash(0x0a), hash(0x0b), hash(0xbb));
        for names in [
            format!("URI=https://x,Hash={victim}"),
            format!("URI=https://x;a=b,By=spiffe://x/y;Hash={victim}"),
            format!("URI=https://x,a=b,Hash={victim}"),
            format!("DNS=x,Hash={victim}"),
            format!("URI=https://x;Hash={victim}"),
            format!("URI=https://x;Subject=\"\";URI=a,Hash={victim}"),
            format!("Subject=\"CN=a\\\\\";URI=x\",Hash={victim}"),
            format!("Subject=a,Hash={victim}"),
        ] {
            for field in [format!("Hash={thief};{names}"), format!("Hash={thief};{names},Hash={own}")] {
                assert_eq!(found(&field), Err(Error::Malformed), "{field}");
            }
        }
        assert_eq!(found(&format!("Hash={thief};URI=\"https://x,y=z\"")), of(0x0a));
        assert_eq!(found(&format!("Hash={thief};URI=\"https://x,Hash={victim}\"")), Err(Error::Malformed), "see below");
        assert_eq!(found(&format!("Hash={thief};URI=\"https://x\",Hash={victim}")), of(0x0b), "another proxy");
        assert_eq!(found(&format!("Hash={thief};URI=https://x,Hash={own}")), of(0x0a), "appended by this one");
    }

    /// Every text of up to so many of these pieces.
    fn texts(pieces: &[&str], most: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut longest = all.clone();
        for _ in 0..most {
            longest =
                longest.iter().flat_map(|text| pieces.iter().map(move |piece| format!("{text}{piece}"))).collect();
            all.extend(longest.iter().cloned());
        }
        all
    }

    /// As RFC 2253 writes a value of a subject.
    fn in_subject(text: &str) -> String {
        let is_special = |sign: &char| matches!(sign, ',' | ';' | '"' | '\\' | '+' | '<' | '>');
        text.chars().flat_map(|sign| is_special(&sign).then_some('\\').into_iter().chain([sign])).collect()
    }

    #[test]
    fn whatever_stands_in_its_names_a_client_is_nobody_else() {
        let (thief, victim) = (hash(0x0a), format!("Hash={}", hash(0x0b)));
        let pieces = [",", ";", "\"", "\\", &victim, "Subject=", "URI=", "By=", "=", "x"];
        let (subjects, names) = (texts(&pieces, 2), texts(&pieces, 3));
        for subject in subjects.iter().map(|text| in_subject(text)) {
            // Whether Envoy escapes what is escaped already depends on its version.
            for subject in [subject.replace('"', "\\\""), subject] {
                for name in &names {
                    let alone = format!("Hash={thief};Subject=\"CN={subject}\";URI={name}");
                    for field in [format!("{alone},Hash={}", hash(0xbb)), alone] {
                        let told = found(&field);
                        assert!(told.is_err() || told == of(0x0a), "{field}: {told:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_quote_of_a_client_hides_what_the_relay_writes() {
        let [victim, thief] = [0x0a, 0x0b].map(hash);
        for begins in ["Hash=", "hash=", " By=spiffe://x/y;Hash=", "By=x;HASH="] {
            let field = format!("Hash={victim};Subject=\",{begins}{thief};URI=urn:a\"");
            assert_eq!(found(&field), Err(Error::Malformed), "{field}");
        }
        let honest = format!("Hash={victim};Subject=\"CN=a, O=b; c=d,hash,by\"");
        assert_eq!(found(&honest), of(0x0a));
    }

    #[test]
    fn elements_are_counted() {
        let element = format!("Hash={}", hash(0x0a));
        let of_elements = |count: usize| vec![element.as_str(); count].join(",");
        assert_eq!(found(&of_elements(MAX_ELEMENTS)), of(0x0a));
        assert_eq!(found(&of_elements(MAX_ELEMENTS + 1)), Err(Error::TooLarge));
    }
}
