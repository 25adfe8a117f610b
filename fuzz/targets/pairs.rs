//! The host's header pairs: what is read is written back to the same octets, and read from them once more.
#![no_main]

use holdfast::facts::peer::Peer;
use holdfast::facts::{Fields, Request, write_pairs};
use libfuzzer_sys::fuzz_target;

fn round(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let written = write_pairs(pairs);
    let read = Fields::from_pairs(written.clone()).expect("pairs");
    assert_eq!(read.iter().collect::<Vec<_>>(), pairs);
    written
}

fuzz_target!(|octets: &[u8]| {
    // As a list of pairs: a name and a value on each line.
    let line = |line: &'_ [u8]| line.iter().position(|octet| *octet == b':').unwrap_or(line.len());
    let lines: Vec<(&[u8], &[u8])> =
        octets.split(|octet| *octet == b'\n').map(|text| text.split_at(line(text))).collect();
    round(&lines);
    // As the host's own buffer.
    let Ok(fields) = Fields::from_pairs(octets.to_vec()) else { return };
    let pairs: Vec<(&[u8], &[u8])> = fields.iter().collect();
    let written = round(&pairs);
    // What stands where a NUL should, and what follows the last one, is not read.
    let same = written.iter().zip(octets).all(|(ours, theirs)| ours == theirs || *ours == 0);
    assert!(written.len() <= octets.len() && same);
    let request = Request::from_pairs(octets.to_vec(), Peer::Anonymous).expect("pairs");
    let first = |name: &[u8]| pairs.iter().find(|(other, _)| *other == name).map_or(&b""[..], |(_, value)| *value);
    assert_eq!(
        (request.method(), request.path(), request.authority()),
        (first(b":method"), first(b":path"), first(b":authority"))
    );
    for (name, _) in &pairs {
        let of_name = pairs.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count();
        assert_eq!(request.values(name).count(), of_name);
    }
});
