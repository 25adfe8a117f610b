//! Percent-encoded octets, decoded once (RFC 3986 §2.1).

use std::borrow::Cow;

/// The octets, those of the text itself where it has no escape; none where one is broken.
pub fn decode(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.contains(&b'%') {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            decoded.push(first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return None };
        decoded.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
        rest = tail;
    }
    Some(Cow::Owned(decoded))
}

/// The value of a hexadecimal digit of either case.
pub fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once_and_broken_ones_are_none() {
        assert_eq!(decode(b"a%2Fb%2f%2525%00").as_deref(), Some(&b"a/b/%25\0"[..]));
        assert!(matches!(decode(b"a+b"), Some(Cow::Borrowed(b"a+b"))));
        for broken in [&b"%"[..], b"%2", b"%zz", b"%2%61", b"%+1"] {
            assert_eq!(decode(broken), None, "{broken:?}");
        }
    }
}
