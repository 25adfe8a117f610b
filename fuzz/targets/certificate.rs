//! A leaf certificate, DER or the proxy's PEM: both spellings mean the same, and a digest is that of one certificate alone.
#![no_main]

use holdfast::facts::peer::{CertificateDigest, Error, Leaf};
use holdfast::jose::base64url;
use holdfast::time::UnixTime;
use libfuzzer_sys::fuzz_target;

fn pem(der: &[u8]) -> String {
    let mut text = base64url::encode(der).replace('-', "+").replace('_', "/");
    text += ["", "", "==", "="][text.len() % 4];
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fuzz_target!(|octets: &[u8]| {
    if let Some(digest) = CertificateDigest::from_hex(octets) {
        assert_eq!(digest.to_string().as_bytes(), octets);
    }
    let other = CertificateDigest([7; 32]);
    assert!(Leaf::from_pem(octets, other).is_err());
    let digest = CertificateDigest::of(octets);
    let read = Leaf::from_der(octets);
    let text = pem(octets);
    assert_eq!(Leaf::from_pem(text.as_bytes(), digest), read);
    let Ok(leaf) = read else { return };
    let encoded: String = text.bytes().map(|octet| format!("%{octet:02X}")).collect();
    assert_eq!(Leaf::from_pem(encoded.as_bytes(), digest).as_ref(), Ok(&leaf));
    assert_eq!(Leaf::from_pem(text.as_bytes(), other), Err(Error::OtherDigest));
    for moment in [leaf.not_before, leaf.not_after] {
        if let Ok(now) = u64::try_from(moment) {
            assert_eq!(leaf.lasts_at(UnixTime::new(now)), leaf.not_before <= leaf.not_after);
        }
    }
    assert!(!leaf.lasts_at(UnixTime::new(u64::MAX)));
});
