//! `Client-Cert` into the base64 of a leaf (RFC 9440 §2.2: one Byte Sequence of RFC 9651, and nothing else).

use super::{Error, MAX_FIELD, Told, Written};

/// The field of the certificates above the leaf. Nobody here follows a chain: it must be sound, and says nothing.
pub const CHAIN: &str = "client-cert-chain";

const MAX_CHAIN: usize = 32;

/// The certificate in `field`, beside which a chain may stand, in one field or in several (§2.3), and which never comes from
/// the chain.
pub fn find<'a>(
    field: Option<&'a [u8]>,
    chain: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<Option<Told<'a>>, Error> {
    chain_is_sound(chain.clone())?;
    match (field, chain.count()) {
        (Some(field), _) => {
            let written = Written::Base64(byte_sequence(field).ok_or(Error::Malformed)?);
            Ok(Some(Told::Certificate { written, digest: None }))
        }
        (None, 0) => Ok(None),
        (None, _) => Err(Error::Malformed),
    }
}

/// What stands between the colons. Whether it is base64 is seen where it is decoded.
pub fn byte_sequence(text: &[u8]) -> Option<&[u8]> {
    let inside = text.strip_prefix(b":")?.strip_suffix(b":")?;
    let is_sign = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=');
    (!inside.is_empty() && inside.iter().all(is_sign)).then_some(inside)
}

fn chain_is_sound<'a>(chain: impl Iterator<Item = &'a [u8]> + Clone) -> Result<(), Error> {
    if chain.clone().map(<[u8]>::len).sum::<usize>() > MAX_FIELD {
        return Err(Error::TooLarge);
    }
    for (at, member) in chain.flat_map(|field| field.split(|octet| *octet == b',')).enumerate() {
        if at == MAX_CHAIN {
            return Err(Error::TooLarge);
        }
        byte_sequence(member.trim_ascii()).ok_or(Error::Malformed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(field: Option<&'a str>, chain: &'a [&'a str]) -> Result<Option<Told<'a>>, Error> {
        find(field.map(str::as_bytes), chain.iter().map(|field| field.as_bytes()))
    }

    #[test]
    fn only_one_byte_sequence_is_a_certificate() {
        let base64 = Written::Base64(b"AA+/8w==");
        let good = Ok(Some(Told::Certificate { written: base64, digest: None }));
        assert_eq!(found(Some(":AA+/8w==:"), &[]), good);
        for field in [
            "",
            ":",
            "::",
            "AA+/8w==",
            ":AA+/8w==",
            "AA+/8w==:",
            ": AA+/8w==:",
            ":AA+/ 8w==:",
            " :AA+/8w==:",
            ":AA+/8w==:;a=1",
            ":AA+/8w==:, :AA+/8w==:",
            ":AA+/8w==::AA+/8w==:",
            ":AA-_8w==:",
            "\"AA+/8w==\"",
            ":AA+/8w==:\n",
        ] {
            assert_eq!(found(Some(field), &[]), Err(Error::Malformed), "{field:?}");
        }
    }

    #[test]
    fn a_chain_stands_beside_a_leaf_within_limits_and_gives_none() {
        let leaf = Some(":AAAA:");
        let good = found(leaf, &[]);
        assert!(matches!(good, Ok(Some(_))));
        assert_eq!(found(None, &[]), Ok(None));
        let of = |count: usize| vec![":BBBB:"; count].join(", ");
        let (most, half, more) = (of(MAX_CHAIN), of(MAX_CHAIN / 2), of(100));
        for chain in [vec![":BBBB:, :CCCC:,:DDDD:"], vec![":BBBB:", ":CCCC:,:DDDD:"], vec![&most], vec![&half, &half]] {
            assert_eq!(found(leaf, &chain), good, "{chain:?}");
            assert_eq!(found(None, &chain), Err(Error::Malformed), "{chain:?}");
        }
        let long = format!(":{}:", "A".repeat(MAX_FIELD / 2));
        for chain in [vec![more.as_str()], vec![&most, ":BBBB:"], vec![&long, &long]] {
            assert_eq!(found(leaf, &chain), Err(Error::TooLarge));
        }
        for chain in ["", ",", ":BBBB:,", ":BB BB:", ":BBBB", ":BBBB:;a"] {
            assert_eq!(found(leaf, &[chain]), Err(Error::Malformed), "{chain:?}");
        }
    }
}
