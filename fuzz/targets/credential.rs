//! The values of `Authorization`: what is taken from them is one token, and is found again where it is written anew.
#![no_main]

use holdfast::credential::Presented;
use holdfast::facts::peer::Peer;
use holdfast::facts::{Request, write_pairs};
use libfuzzer_sys::fuzz_target;

fn find(path: &[u8], values: &[&[u8]]) -> Option<String> {
    let mut pairs: Vec<(&str, &[u8])> = vec![(":path", path)];
    pairs.extend(values.iter().map(|value| ("Authorization", *value)));
    let request = Request::from_pairs(write_pairs(&pairs), Peer::Anonymous).expect("pairs");
    Presented::find(&request, false).and_then(Presented::token).ok().map(|token| token.as_str().to_owned())
}

// The path on the first line, a value on each of the others.
fuzz_target!(|octets: &[u8]| {
    let mut lines = octets.split(|octet| *octet == b'\n');
    let path = lines.next().unwrap_or_default();
    let values: Vec<&[u8]> = lines.collect();
    let Some(token) = find(path, &values) else { return };
    let [value] = values.as_slice() else { panic!("one of several was taken") };
    assert!(value.len() <= 8192 && value.ends_with(token.as_bytes()));
    assert!(value[..6].eq_ignore_ascii_case(b"bearer") && value[6] == b' ');
    assert!(!token.is_empty() && token.bytes().all(|octet| octet.is_ascii_graphic() && octet != b','));
    assert_eq!(find(b"/", &[format!("Bearer {token}").as_bytes()]).as_ref(), Some(&token));
    assert_eq!(find(b"/?access_token=x", &[value]), None);
    assert_eq!(find(path, &[value, value]), None);
});
