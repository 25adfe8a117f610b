//! The certificates that relays have told, by the octets in which they did: each is decoded, hashed and parsed once.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::super::peer::{CertificateDigest, Error, Leaf, PeerCertificate, Source};
use super::{Told, Written};

/// What a worker has read. Whoever shows a relay many certificates takes no place of those that come without one: these are
/// remembered apart. Full, it forgets those that it has known longest.
#[derive(Debug, Default)]
pub struct Readings {
    known: HashMap<Rc<[u8]>, Reading>,
    /// The same certificates by their digests.
    leaves: HashMap<CertificateDigest, Rc<Leaf>>,
    /// In the order in which they were read.
    order: VecDeque<Rc<[u8]>>,
    bytes: usize,
}

/// A certificate, whoever told it.
#[derive(Clone, Debug)]
struct Reading {
    /// The form in which these octets are it; in another they are none.
    is_pem: bool,
    digest: CertificateDigest,
    leaf: Rc<Leaf>,
}

const MAX_READINGS: usize = 4096;
const MAX_BYTES: usize = 8 * 1024 * 1024;

impl Readings {
    /// The certificate that a relay tells. What the relay writes as its digest has to be that, each time.
    pub fn certificate(&mut self, told: Told<'_>, source: Source) -> Result<PeerCertificate, Error> {
        let (written, digest) = match told {
            Told::Digest(digest) => return Ok(PeerCertificate { digest, leaf: None, source }),
            Told::Certificate { written, digest } => (written, digest),
        };
        let octets = written.octets();
        if let Some(known) = self.known.get(octets).filter(|known| known.is_pem == written.is_pem()) {
            return known.told_by(source, digest);
        }
        let reading = Reading::of(&written)?;
        let certificate = reading.told_by(source, digest)?;
        self.remember(octets, reading);
        Ok(certificate)
    }

    fn remember(&mut self, octets: &[u8], reading: Reading) {
        while self.known.len() >= MAX_READINGS || self.bytes >= MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            let Some(gone) = self.known.remove(&oldest) else { continue };
            self.leaves.remove(&gone.digest);
            self.bytes = self.bytes.saturating_sub(size(&oldest, &gone));
        }
        self.bytes += size(octets, &reading);
        let octets: Rc<[u8]> = octets.into();
        self.order.push_back(Rc::clone(&octets));
        self.leaves.insert(reading.digest, Rc::clone(&reading.leaf));
        self.known.insert(octets, reading);
    }

    /// What stands in the certificate of this digest, if some relay has told it.
    pub fn leaf(&self, digest: CertificateDigest) -> Option<Rc<Leaf>> {
        self.leaves.get(&digest).cloned()
    }

    /// How many it knows.
    pub fn count(&self) -> usize {
        self.known.len()
    }
}

impl Reading {
    fn of(written: &Written<'_>) -> Result<Self, Error> {
        let der = written.der()?;
        let leaf = Rc::new(Leaf::from_der(&der)?);
        Ok(Self { is_pem: written.is_pem(), digest: CertificateDigest::of(&der), leaf })
    }

    fn told_by(&self, source: Source, digest: Option<CertificateDigest>) -> Result<PeerCertificate, Error> {
        if digest.is_some_and(|digest| digest != self.digest) {
            return Err(Error::OtherDigest);
        }
        Ok(PeerCertificate { digest: self.digest, leaf: Some(Rc::clone(&self.leaf)), source })
    }
}

fn size(octets: &[u8], reading: &Reading) -> usize {
    octets.len() + reading.leaf.size()
}

#[cfg(test)]
mod tests {
    use super::super::super::peer::RelayId;
    use super::super::super::peer::tests::PEM;
    use super::*;

    const SOURCE: Source = Source::Relay(RelayId(3));

    fn blanks() -> String {
        PEM.replace('\n', " ")
    }

    fn told(text: &str, digest: Option<CertificateDigest>) -> Told<'_> {
        Told::Certificate { written: Written::Pem(text.as_bytes()), digest }
    }

    #[test]
    fn a_certificate_is_read_once_and_its_digest_compared_each_time() {
        let (mut readings, text) = (Readings::default(), blanks());
        let first = readings.certificate(told(&text, None), SOURCE).unwrap();
        let [digest, other] = [first.digest, CertificateDigest([0; 32])];
        let again = readings.certificate(told(&text, Some(digest)), Source::Relay(RelayId(4))).unwrap();
        assert!(Rc::ptr_eq(first.leaf.as_ref().unwrap(), again.leaf.as_ref().unwrap()));
        assert_eq!(
            (first.source, again.source),
            (SOURCE, Source::Relay(RelayId(4))),
            "whose word it is, is not remembered"
        );
        assert_eq!(readings.certificate(told(&text, Some(other)), SOURCE), Err(Error::OtherDigest));
        assert_eq!(readings.count(), 1);
        let mut empty = Readings::default();
        assert_eq!(empty.certificate(told(&text, Some(other)), SOURCE), Err(Error::OtherDigest));
        assert_eq!(empty.count(), 0);
    }

    #[test]
    fn a_digest_alone_is_no_leaf_though_that_is_known() {
        let (mut readings, text) = (Readings::default(), blanks());
        let digest = readings.certificate(told(&text, None), SOURCE).unwrap().digest;
        let alone = readings.certificate(Told::Digest(digest), SOURCE).unwrap();
        assert_eq!(alone, PeerCertificate { digest, leaf: None, source: SOURCE });
        assert!(readings.leaf(digest).is_some());
        assert!(readings.leaf(CertificateDigest([0; 32])).is_none());
    }

    #[test]
    fn what_was_read_in_one_form_is_not_known_in_another() {
        let base64 = PEM.lines().filter(|line| !line.starts_with('-')).collect::<String>();
        let written = |written| Told::Certificate { written, digest: None };
        let mut readings = Readings::default();
        assert!(readings.certificate(written(Written::Base64(base64.as_bytes())), SOURCE).is_ok());
        let as_pem = readings.certificate(written(Written::Pem(base64.as_bytes())), SOURCE);
        assert_eq!((as_pem, readings.count()), (Err(Error::NotPem), 1));
    }

    #[test]
    fn what_can_not_be_read_is_not_remembered() {
        let mut readings = Readings::default();
        let long = format!("-----BEGIN CERTIFICATE----- {}", "A".repeat(20_000));
        for (text, error) in [
            ("x".to_owned(), Error::NotPem),
            (blanks().replace("MIIB", "MIIC"), Error::NotX509),
            (blanks().replace("MIIB", &"MIIB".repeat(3_000)), Error::TooLarge),
            (long, Error::TooLarge),
        ] {
            assert_eq!(readings.certificate(told(&text, None), SOURCE), Err(error), "{text:.60}");
        }
        assert_eq!((readings.count(), readings.bytes), (0, 0));
    }

    #[test]
    fn full_it_forgets_what_it_has_known_longest_and_nothing_else() {
        let (mut readings, text) = (Readings::default(), blanks());
        let any = Reading { is_pem: true, digest: CertificateDigest([0; 32]), leaf: Rc::default() };
        for number in 0..MAX_READINGS {
            let digest =
                CertificateDigest(core::array::from_fn(|at| number.to_le_bytes().get(at).map_or(1, |octet| *octet)));
            readings.remember(&number.to_le_bytes(), Reading { digest, ..any.clone() });
        }
        let held = readings.bytes;
        readings.certificate(told(&text, None), SOURCE).unwrap();
        assert_eq!((readings.count(), readings.leaves.len()), (MAX_READINGS, MAX_READINGS));
        assert!(readings.bytes > held);
        assert!(readings.known.contains_key(text.as_bytes()));
        assert!(!readings.known.contains_key(0_usize.to_le_bytes().as_slice()));
        assert!(readings.known.contains_key(1_usize.to_le_bytes().as_slice()));
        readings.bytes = MAX_BYTES + held;
        readings.remember(b"another", any);
        assert!(readings.bytes < MAX_BYTES, "octets are bounded too");
    }
}
