//! Turns base64url text into octets and back, as RFC 7515 §2 writes it: no padding, no line breaks, one text for each value.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD};
use std::fmt;

/// Why a text is not base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// An octet outside `A-Za-z0-9-_`: padding, white space, the other alphabet, anything else.
    Character,
    /// A length that no octets encode to, or not the length that was asked for.
    Length,
    /// The last character carries bits that belong to no octet (RFC 4648 §3.5); a second spelling of the same value.
    TrailingBits,
}

/// The octets of `text`, if it is their only spelling.
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
    let text = text.as_ref();
    URL_SAFE_NO_PAD.decode(text).map_err(|_| fault(text))
}

/// Why it is none; of two faults the same one, wherever in the text they lie.
fn fault(text: &[u8]) -> Error {
    match text {
        _ if !text.iter().all(is_in_alphabet) => Error::Character,
        _ if text.len() % 4 == 1 => Error::Length,
        _ => Error::TrailingBits,
    }
}

/// The 32 octets of a SHA-256 value or of a coordinate, which are 43 characters.
pub fn decode_32(text: impl AsRef<[u8]>) -> Result<[u8; 32], Error> {
    let text = text.as_ref();
    if text.len() != 43 {
        return Err(Error::Length);
    }
    decode(text)?.try_into().map_err(|_| Error::Length)
}

/// The octets of a text that somebody may have meant as base64url: either alphabet, with or without padding, trailing
/// bits and strange octets ignored. Only for recognising what a text looks like, never for what it says.
pub fn decode_leniently(text: impl AsRef<[u8]>) -> Vec<u8> {
    const LENIENT: GeneralPurpose =
        GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));
    let of_alphabet = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    let mut url: Vec<u8> = text.as_ref().iter().map(|&octet| in_url_alphabet(octet)).filter(of_alphabet).collect();
    // One character alone encodes no octet.
    if url.len() % 4 == 1 {
        url.pop();
    }
    LENIENT.decode(url).unwrap_or_default()
}

/// The base64url text of `octets`.
pub fn encode(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

fn is_in_alphabet(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')
}

fn in_url_alphabet(octet: u8) -> u8 {
    match octet {
        b'+' => b'-',
        b'/' => b'_',
        other => other,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => "a character is not of the base64url alphabet",
            Self::Length => "the base64url text has a wrong length",
            Self::TrailingBits => "the last base64url character has bits that belong to no octet",
        })
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::{Error, decode, decode_32, decode_leniently, encode};

    #[test]
    fn rfc_7515_appendix_c_is_read_and_written() {
        let octets = [3, 236, 255, 224, 193];
        assert_eq!(decode("A-z_4ME"), Ok(octets.to_vec()));
        assert_eq!(encode(octets), "A-z_4ME");
    }

    #[test]
    fn every_remainder_is_read() {
        let cases: [(&str, &[u8]); 6] =
            [("", b""), ("Zg", b"f"), ("Zm8", b"fo"), ("Zm9v", b"foo"), ("Zm9vYg", b"foob"), ("Zm9vYmFy", b"foobar")];
        for (text, octets) in cases {
            assert_eq!(decode(text).as_deref(), Ok(octets), "{text}");
            assert_eq!(encode(octets), text);
        }
    }

    #[test]
    fn anything_but_the_one_spelling_is_refused() {
        let cases: [(&[u8], Error); 20] = [
            (b"Zg==", Error::Character),
            (b"Zg=", Error::Character),
            (b"=", Error::Character),
            (b"Zm8=", Error::Character),
            (b"Zm9v=", Error::Character),
            (b"A+z/4ME", Error::Character),
            (b" Zm9v", Error::Character),
            (b"Zm9v ", Error::Character),
            (b"Zm\n9v", Error::Character),
            (b"Zm9v\r\n", Error::Character),
            (b"Zm9\0", Error::Character),
            (b"Zm9v\t", Error::Character),
            (b"Zm9.", Error::Character),
            (b"Zm9\xc3\xa9", Error::Character),
            (b"Zm9\xff", Error::Character),
            (b"Z", Error::Length),
            (b"Zm9vY", Error::Length),
            (b"Zh", Error::TrailingBits),
            (b"Zm9", Error::TrailingBits),
            (b"Zm-", Error::TrailingBits),
        ];
        for (text, error) in cases {
            assert_eq!(decode(text), Err(error), "{:?}", text.escape_ascii().to_string());
        }
    }

    #[test]
    fn only_one_of_sixteen_last_characters_spells_a_digest() {
        let good = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
        assert_eq!(decode_32(good).map(encode).as_deref(), Ok(good));
        let bad = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v1";
        assert_eq!(decode_32(bad), Err(Error::TrailingBits));
    }

    #[test]
    fn a_digest_of_another_length_is_refused() {
        assert_eq!(decode_32("A".repeat(43)), Ok([0; 32]));
        for length in [0, 42, 44, 86] {
            assert_eq!(decode_32("A".repeat(length)), Err(Error::Length), "{length}");
        }
    }

    #[test]
    fn the_example_of_rfc_8705_has_trailing_bits() {
        // RFC 8705 §3.1 ends in `2`, where only `0` would be the spelling of these 32 octets.
        assert_eq!(decode_32("bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"), Err(Error::TrailingBits));
        assert!(decode_32("bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg0").is_ok());
    }

    #[test]
    fn lenient_reading_sees_through_padding_alphabet_and_trailing_bits() {
        for text in ["eyJhIjoxfQ", "eyJhIjoxfQ==", "eyJhIjoxfR", "eyJh~Ijox=fQ", "eyJhIjoxfQxxx"] {
            assert_eq!(decode_leniently(text).get(..7).unwrap(), b"{\"a\":1}", "{text}");
        }
        assert_eq!(decode_leniently("A+z_4ME="), [3, 236, 255, 224, 193]);
    }
}
