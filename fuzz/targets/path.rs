//! A request target: in segments it means the same however it is written, and takes the same route.
#![no_main]

use holdfast::config;
use holdfast::facts::peer::Peer;
use holdfast::facts::{Request, write_pairs};
use holdfast::policy::Policy;
use holdfast::policy::path::{Oddities, Path};
use libfuzzer_sys::fuzz_target;

const CONFIGURATION: &str = r#"{"routes": [
    {"name": "admin", "methods": ["GET"], "path": "/admin/**", "allow": "public"},
    {"name": "tenant", "host": "{tenant}.saas.example", "methods": ["GET"], "path": "/t/{a}", "allow": "public"},
    {"name": "slash", "methods": ["GET"], "path": "/files/*", "danger_allow_path": ["encoded_slash"], "allow": "public"},
    {"name": "one", "methods": ["GET"], "path": "/{x}/end", "allow": "public"},
    {"name": "rest", "methods": ["GET"], "path": "/**", "allow": "public"}
]}"#;

fn policy() -> Policy {
    match config::load(CONFIGURATION.as_bytes(), &|_| None) {
        Ok(compiled) => compiled.settings.policy,
        Err(mistakes) => panic!("{mistakes}"),
    }
}

thread_local!(static POLICY: Policy = policy());

fn route(host: &[u8], target: &[u8]) -> Option<String> {
    let pairs: [(&str, &[u8]); 3] = [(":method", b"GET"), (":authority", host), (":path", target)];
    let request = Request::from_pairs(write_pairs(&pairs), Peer::Anonymous).expect("pairs");
    POLICY.with(|policy| policy.route(&request).ok().map(|matched| matched.route().name.clone()))
}

// The host on the first line, the target on the others.
fuzz_target!(|octets: &[u8]| {
    let at = octets.iter().position(|octet| *octet == b'\n').unwrap_or(0);
    let (host, target) = (&octets[..at], octets.get(at + 1..).unwrap_or_default());
    let taken = route(host, target);
    let Ok(path) = Path::read(target) else {
        assert_eq!(taken, None);
        return;
    };
    if path.oddities.not_text {
        assert_eq!(taken, None);
        return;
    }
    for segment in path.segments() {
        assert!(!segment.contains(['\\', '\0', '\r', '\n']) && segment != "." && segment != "..");
    }
    let encoded: String = path
        .segments()
        .flat_map(|segment| ["/".to_owned(), segment.bytes().map(|octet| format!("%{octet:02x}")).collect()])
        .collect();
    let encoded = if encoded.is_empty() { "/".to_owned() } else { encoded };
    if path.oddities == Oddities::default() {
        assert_eq!(Path::read(encoded.as_bytes()).as_ref(), Ok(&path));
        assert_eq!(route(host, encoded.as_bytes()), taken);
        assert_eq!(route(host, format!("{encoded}/?x=/../").replace("//?", "/?").as_bytes()), taken);
        assert_eq!(route(&host.to_ascii_uppercase(), encoded.as_bytes()), taken);
    } else {
        assert!(taken.as_deref().is_none_or(|name| name == "slash"), "{taken:?}");
    }
});
