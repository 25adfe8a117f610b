//! `Client-Cert` into the base64 of a leaf (RFC 9440 §2.2: one Byte Sequence of RFC 9651, and nothing else).

use super::{Error, Told, Written};

/// The field of the certificates above the leaf. Nobody here follows a chain: it must be sound, and says nothing.
pub const CHAIN: &str = "client-cert-chain";

const MAX_CHAIN: usize = 32;

/// The certificate in `field`, beside which a chain may stand, and which never comes from the chain.
pub fn find<'a>(field: Option<&'a [u8]>, chain: Option<&[u8]>) -> Result<Option<Told<'a>>, Error> {
    if let Some(chain) = chain {
        chain_is_sound(chain)?;
    }
    match (field, chain) {
        (Some(field), _) => {
            let written = Written::Base64(byte_sequence(field).ok_or(Error::Malformed)?);
            Ok(Some(Told::Certificate { written, digest: None }))
        }
        (None, Some(_)) => Err(Error::Malformed),
        (None, None) => Ok(None),
    }
}

/// What stands between the colons. Whether it is base64 is seen where it is decoded.
pub fn byte_sequence(text: &[u8]) -> Option<&[u8]> {
    let inside = text.strip_prefix(b":")?.strip_suffix(b":")?;
    let is_sign = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=');
    (!inside.is_empty() && inside.iter().all(is_sign)).then_some(inside)
}

fn chain_is_sound(chain: &[u8]) -> Result<(), Error> {
    for (at, member) in chain.split(|octet| *octet == b',').enumerate() {
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

    #[test]
    fn only_one_byte_sequence_is_a_certificate() {
        let base64 = Written::Base64(b"AA+/8w==");
        let good = Ok(Some(Told::Certificate { written: base64, digest: None }));
        assert_eq!(find(Some(b":AA+/8w==:"), None), good);
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
            assert_eq!(find(Some(field.as_bytes()), None), Err(Error::Malformed), "{field:?}");
        }
    }

    #[test]
    fn a_chain_stands_beside_a_leaf_within_limits_and_gives_none() {
        let (leaf, chain) = (b":AAAA:".as_slice(), ":BBBB:, :CCCC:,:DDDD:");
        let good = find(Some(leaf), None);
        assert!(good.is_ok());
        assert_eq!(find(Some(leaf), Some(chain.as_bytes())), good);
        assert_eq!(find(None, Some(chain.as_bytes())), Err(Error::Malformed));
        let of = |count: usize| vec![":BBBB:"; count].join(", ");
        assert_eq!(find(Some(leaf), Some(of(MAX_CHAIN).as_bytes())), good);
        assert_eq!(find(Some(leaf), Some(of(100).as_bytes())), Err(Error::TooLarge));
        for chain in ["", ",", ":BBBB:,", ":BB BB:", ":BBBB", ":BBBB:;a"] {
            assert_eq!(find(Some(leaf), Some(chain.as_bytes())), Err(Error::Malformed), "{chain:?}");
        }
    }
}
