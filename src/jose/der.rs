//! Turns public keys and signatures into the DER that libraries outside of JOSE take: `SubjectPublicKeyInfo` (RFC 5280 §4.1 with
//! RFC 3279 §2.3.1, RFC 5480 §2 and RFC 8410 §4) and `Ecdsa-Sig-Value` (RFC 3279 §2.2.3).

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// `rsaEncryption`, with NULL.
const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0];
/// `id-ecPublicKey` of `secp256r1`.
const P256: &[u8] =
    &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// `id-ecPublicKey` of `secp384r1`.
const P384: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 5, 0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];

pub fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    key(RSA, &element(SEQUENCE, &[&integer(modulus), &integer(exponent)]))
}

/// Of an uncompressed point (SEC 1 §2.3.3).
pub fn p256_key(point: &[u8]) -> Vec<u8> {
    key(P256, point)
}

/// Of an uncompressed point (SEC 1 §2.3.3).
pub fn p384_key(point: &[u8]) -> Vec<u8> {
    key(P384, point)
}

pub fn ed25519_key(point: &[u8]) -> Vec<u8> {
    key(ED25519, point)
}

pub fn ecdsa_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&integer(r), &integer(s)])
}

fn key(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    const NO_UNUSED_BITS: &[u8] = &[0];
    element(SEQUENCE, &[&element(SEQUENCE, &[algorithm]), &element(BIT_STRING, &[NO_UNUSED_BITS, key])])
}

/// Of a number that is not negative: what begins with a bit of one would be.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    let shortest = number.get(zeros..).unwrap_or_default();
    let sign: &[u8] = if shortest.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[sign, shortest])
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let octets = length.to_be_bytes();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let shortest = octets.get(zeros..).unwrap_or_default();
    let mut element = Vec::with_capacity(length + 4);
    element.push(tag);
    // From 128 on, the length of the length stands before it.
    if length >= 0x80 {
        element.push(0x80 | shortest.iter().fold(0, |count, _| count + 1));
    }
    if length == 0 {
        element.push(0)
    } else {
        element.extend_from_slice(shortest)
    }
    parts.iter().for_each(|part| element.extend_from_slice(part));
    element
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::FromDer as _;
    use x509_parser::public_key::PublicKey;
    use x509_parser::x509::SubjectPublicKeyInfo;

    #[test]
    fn an_rsa_key_is_read_back() {
        for modulus in [[0xff; 256].to_vec(), [0x7f; 300].to_vec(), [0x80; 1024].to_vec()] {
            let der = rsa_key(&modulus, &[1, 0, 1]);
            let (rest, key) = SubjectPublicKeyInfo::from_der(&der).unwrap();
            assert!(rest.is_empty());
            assert_eq!(key.algorithm.algorithm.to_id_string(), "1.2.840.113549.1.1.1");
            let Ok(PublicKey::RSA(key)) = key.parsed() else { panic!("an RSA key") };
            let sign: &[u8] = if modulus[0] >= 0x80 { &[0] } else { &[] };
            assert_eq!((key.modulus, key.exponent), (&[sign, &modulus].concat()[..], &[1, 0, 1][..]));
        }
    }

    #[test]
    fn the_key_of_rfc_8410_is_that_of_its_appendix() {
        // RFC 8410 §10.1.
        let point = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        assert_eq!(hex(&ed25519_key(&octets(point))), format!("302a300506032b6570032100{point}"));
    }

    #[test]
    fn keys_of_curves_name_their_curve() {
        let p256 = p256_key(&[4; 65]);
        assert_eq!(hex(&p256[..26]), "3059301306072a8648ce3d020106082a8648ce3d030107034200");
        let p384 = p384_key(&[4; 97]);
        assert_eq!(hex(&p384[..23]), "3076301006072a8648ce3d020106052b81040022036200");
        assert_eq!((p256.len(), p384.len()), (91, 120));
    }

    #[test]
    fn the_numbers_of_a_signature_are_positive_and_short() {
        let table: [(&[u8], &[u8], &str); 4] = [
            (&[1], &[2], "3006020101020102"),
            (&[0, 0, 0x7f], &[0, 0x80], "300702017f02020080"),
            (&[0xff, 0], &[0, 0, 0], "3008020300ff00020100"),
            (&[], &[0x80], "300702010002020080"),
        ];
        for (r, s, der) in table {
            assert_eq!(hex(&ecdsa_signature(r, s)), der);
        }
        let long = ecdsa_signature(&[0xff; 48], &[0x7f; 100]);
        assert_eq!(hex(&long[..6]), "308199023100");
        let long = ecdsa_signature(&[0xff; 300], &[0x7f; 1]);
        assert_eq!(hex(&long[..9]), "308201340282012d00");
    }

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }
}
