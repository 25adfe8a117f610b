//! A relay's field in each form: what it tells once it tells again, and nobody becomes another by a name in a certificate.
#![no_main]

use holdfast::facts::peer::{CertificateDigest, Peer, RelayId, Source};
use holdfast::facts::relay::{Format, Readings, Told, pem, xfcc};
use holdfast::facts::{Request, write_pairs};
use holdfast::jose::base64url;
use libfuzzer_sys::fuzz_target;

const RELAY: CertificateDigest = CertificateDigest([0xbb; 32]);
const SOURCE: Source = Source::Relay(RelayId(0));

fn escaped(der: &[u8]) -> String {
    let mut text = base64url::encode(der).replace('-', "%2B").replace('_', "%2F");
    text += ["", "%3D%3D", "%3D"][der.len() % 3];
    format!("-----BEGIN%20CERTIFICATE-----%0A{text}%0A-----END%20CERTIFICATE-----%0A")
}

fuzz_target!(|octets: &[u8]| {
    let fields = [(b"x".as_slice(), octets)];
    let request = Request::from_pairs(write_pairs(&fields), Peer::Anonymous).expect("pairs");
    for format in [Format::Xfcc, Format::ClientCert, Format::Pem] {
        let Ok(Some(told)) = format.find(&request, "x", RELAY) else { continue };
        let mut readings = Readings::default();
        let first = readings.certificate(told, SOURCE);
        assert_eq!(readings.certificate(told, SOURCE), first);
        if let (Ok(first), Told::Certificate { digest: Some(digest), .. } | Told::Digest(digest)) = (first, told) {
            assert_eq!(first.digest, digest);
        }
    }
    if let Ok(der) = pem::to_der(octets) {
        assert_eq!(pem::to_der(escaped(&der).as_bytes()), Ok(der));
    }
    // Whoever chose the name may have chosen all that follows it.
    let thief = CertificateDigest([0x0a; 32]);
    for begin in [format!("Hash={thief};URI="), format!("Hash={thief};Subject=\"\";DNS=")] {
        let field = [begin.as_bytes(), octets].concat();
        let Ok(told) = xfcc::find(&field, RELAY) else { continue };
        // A certificate beside it has to be of that digest.
        assert!(
            matches!(told, Some(Told::Digest(digest) | Told::Certificate { digest: Some(digest), .. }) if digest == thief)
        );
    }
});
