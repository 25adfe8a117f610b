//! Clients behind a proxy that ends their TLS, and what is known of certificates (checklist §12, §13, cases C14 to C24).

use std::cell::Cell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Authority, Certificate, Leaf};
use holdfast::facts::peer::Session;
use holdfast::flow::Step;
use serde_json::{Value, json};

use super::world::{Ask, NOW, PASSES, World, bank, ending, get, leaf, token, valid};

/// As nginx and Envoy write it.
pub fn escaped(certificate: &Certificate) -> String {
    let pem = certificate.cert_pem.replace("\r\n", "\n");
    pem.replace('\n', "%0A").replace('+', "%2B").replace('/', "%2F").replace(' ', "%20").replace('=', "%3D")
}

/// As Apache writes it.
fn with_blanks(certificate: &Certificate) -> String {
    certificate.cert_pem.replace("\r\n", "\n").replace('\n', " ")
}

fn base64(certificate: &Certificate) -> String {
    format!(":{}:", STANDARD.encode(&certificate.der))
}

/// As a first Envoy writes it, of an element by itself.
pub fn xfcc(certificate: &Certificate) -> String {
    format!("By=spiffe://edge.example/envoy;Hash={};Cert=\"{}\"", certificate.digest_hex(), escaped(certificate))
}

fn issued(leaf: Leaf) -> Certificate {
    Authority::new("test CA").issue(leaf)
}

fn client(name: &str) -> Certificate {
    issued(valid(Leaf::client(name)))
}

const XFCC: &str = "x-forwarded-client-cert";

/// One route for every token of `bank`, behind these relays.
fn behind(relays: Value, more: Value) -> World {
    let mut document = json!({
        "issuers": [bank()], "peer_certificate": {"relays": relays},
        "routes": [
            {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
            {"name": "all", "path": "/x", "allow": "authenticated"}
        ]
    });
    for (place, value) in more.as_object().unwrap() {
        *document.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = value.clone();
    }
    World::new(document)
}

/// A relay, known by its digest.
fn relay(certificate: &Certificate, more: Value) -> Value {
    let mut relay = json!({"certificate": {"sha256": certificate.digest_hex()}});
    relay.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    relay
}

fn good(ours: &Certificate) -> Ask {
    get("/x").bearer(&token(ours, json!({})))
}

#[test]
fn each_form_that_proxies_write_is_read_and_none_of_another_relay() {
    let (edge, ours) = (client("edge"), client("n26"));
    let forms = [
        ("xfcc", XFCC, xfcc(&ours)),
        ("rfc9440", "client-cert", base64(&ours)),
        ("pem", "ssl-client-cert", escaped(&ours)),
        ("pem", "ssl-client-cert", with_blanks(&ours)),
    ];
    for (format, name, value) in &forms {
        let mut world = behind(json!([relay(&edge, json!({"format": format, "header": name}))]), json!({}));
        let told = world.send(&good(&ours).certificate(&edge).field(name, value));
        assert_eq!((told.status, told.reason), PASSES, "{format}");
        assert_eq!(told.removed, Vec::<String>::new(), "{format}: what was believed goes on");
        let theirs = good(&client("thief")).certificate(&edge).field(name, value);
        assert_eq!(world.verdict(&theirs), (401, "binding.other_certificate"), "{format}");
        for (other, _, value) in forms.iter().filter(|(other, ..)| other != format) {
            let (status, reason) = world.verdict(&good(&ours).certificate(&edge).field(name, value));
            assert_eq!(status, 400, "{other} as {format}");
            assert!(
                reason.starts_with("relay.") || reason.starts_with("certificate."),
                "{other} as {format}: {reason}"
            );
        }
    }
}

/// C17, C18, row 13.1.
#[test]
fn of_several_elements_the_last_before_this_proxys_own_is_the_client() {
    let [edge, ours, thief] = ["edge", "n26", "thief"].map(client);
    let mut world = behind(json!([relay(&edge, json!({}))]), json!({}));
    let [a, b, own] = [&ours, &thief, &edge].map(xfcc);
    let other = (401, "binding.other_certificate");
    for (field, expected) in [
        (a.clone(), PASSES),
        (b.clone(), other),
        (format!("{b},{a}"), PASSES),
        (format!("{a},{b}"), other),
        (format!("{a},{own}"), PASSES),
        (format!("{b},{a},{own}"), PASSES),
        (format!("{a},{b},{own}"), other),
        (own.clone(), (401, "binding.no_certificate")),
        (format!("Hash={};URI=https://x,{a}", thief.digest_hex()), (400, "relay.malformed")),
    ] {
        let told = world.send(&good(&ours).certificate(&edge).field(XFCC, &field));
        assert_eq!((told.status, told.reason), expected, "{field:.200}");
        if expected == PASSES {
            // What stands before the element that counts may be the client's own writing, and goes nowhere.
            let removed = if field.starts_with(&a) { vec![] } else { vec![XFCC.to_owned()] };
            assert_eq!(told.removed, removed, "{field:.200}");
        }
    }
}

/// C14, C18: whatever the connection shows, behind a relay it is not the client.
#[test]
fn a_relay_is_never_the_client() {
    let [edge, ours] = ["edge", "n26"].map(client);
    let certificate_alone = json!([{"certificate": {"sha256": edge.digest_hex()}, "token": "none"}]);
    let denied = json!([{"name": "all", "path": "/**", "allow": certificate_alone}]);
    let relays = || json!([relay(&edge, json!({}))]);
    let mut world = behind(relays(), json!({}));
    assert_eq!(world.verdict(&good(&edge).certificate(&edge)), (401, "binding.no_certificate"));
    assert_eq!(
        world.verdict(&good(&edge).certificate(&edge).field(XFCC, xfcc(&ours))),
        (401, "binding.other_certificate")
    );
    let mut world = behind(relays(), json!({"/routes": denied}));
    assert_eq!(world.verdict(&get("/x").certificate(&edge)), (403, "policy.no_rule"));
    assert_eq!(world.verdict(&get("/x").certificate(&edge).field(XFCC, xfcc(&ours))), (403, "policy.no_rule"));
    let mut document = json!({
        "issuers": [bank()], "peer_certificate": {"relays": relays()},
        "deny": [{"certificate": {"sha256": edge.digest_hex()}}],
        "forward": {"headers": {"x-certificate": "certificate_sha256"}},
        "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]
    });
    let through = good(&ours).certificate(&edge).field(XFCC, xfcc(&ours));
    let told = World::new(document.clone()).send(&through);
    assert_eq!((told.status, told.reason), PASSES, "a rule against the relay is none against its clients");
    assert_eq!(told.added, [("x-certificate".to_owned(), ours.digest_hex())]);
    document["deny"] = json!([{"certificate": {"sha256": ours.digest_hex()}}]);
    assert_eq!(World::new(document).verdict(&through), (403, "policy.denied"));
}

/// C19, XFCC-01, XFCC-03, XFCC-15.
#[test]
fn from_anybody_else_the_field_says_nothing_and_goes_nowhere() {
    let [edge, ours, thief] = ["edge", "n26", "thief"].map(client);
    let relays = json!([relay(&edge, json!({})), relay(&edge, json!({"header": "ssl-client-cert", "format": "pem"}))]);
    let mut world = behind(relays, json!({}));
    let forged = |ask: Ask| ask.field("X-Forwarded-Client-Cert", xfcc(&ours)).field("ssl_client_cert", escaped(&ours));
    let other = (401, "binding.other_certificate");
    assert_eq!(world.verdict(&forged(good(&ours)).certificate(&thief)), other);
    assert_eq!(world.verdict(&forged(good(&ours))), (401, "binding.no_certificate"));
    assert_eq!(world.verdict(&forged(good(&ours)).plaintext()), (400, "request.plaintext"));
    let names = ["X-Forwarded-Client-Cert", "ssl_client_cert"];
    let theirs = world.send(&forged(good(&thief)).certificate(&thief));
    assert_eq!((theirs.status, theirs.removed), (0, names.map(str::to_owned).to_vec()));
    for peer in [&edge, &thief] {
        let public = world.send(&forged(get("/healthz")).certificate(peer));
        assert_eq!((public.status, public.removed), (0, names.map(str::to_owned).to_vec()), "nothing unread goes on");
    }
    // Of a relay, but in another spelling than the relay's.
    let through = world.send(&forged(good(&ours)).certificate(&edge));
    assert_eq!((through.status, through.removed), (0, vec!["ssl_client_cert".to_owned()]));
    assert!(world.enforcer().forbids_trailer(b"x-forwarded-client-cert", b"x"));
    for name in ["x-forwarded-client-cert", "close, ssl_client_cert"] {
        let named = good(&thief).certificate(&thief).field("connection", name);
        assert_eq!(world.verdict(&named), (400, "request.owned_header"), "{name}");
    }
    let mut without =
        World::new(json!({"issuers": [bank()], "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]}));
    let untouched = without.send(&good(&thief).certificate(&thief).field(XFCC, "x"));
    assert_eq!((untouched.status, untouched.removed), (0, vec![]), "without relays nobody reads it");
}

#[test]
fn where_no_field_may_be_removed_a_forged_one_is_refused_and_a_relays_goes_on() {
    let [edge, ours] = ["edge", "n26"].map(client);
    let routes = json!([
        {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
        {"name": "all", "envoy_route": "all", "allow": "authenticated"}
    ]);
    let mut world = behind(json!([relay(&edge, json!({}))]), json!({"/routes": routes}));
    let on_route = |ask: Ask| ask.envoy_route(Some("all"), None);
    let told = world.send(&on_route(good(&ours)).certificate(&edge).field(XFCC, xfcc(&ours)));
    assert_eq!((told.status, told.removed), (0, vec![]));
    assert_eq!(world.verdict(&on_route(good(&ours)).certificate(&ours)), PASSES);
    for (ask, expected) in [
        (on_route(good(&ours)).certificate(&ours).field(XFCC, xfcc(&ours)), (400, "request.owned_header")),
        (get("/healthz").certificate(&ours).field(XFCC, "x"), (400, "request.owned_header")),
        (get("/healthz").field(XFCC, "x"), (400, "request.owned_header")),
        (get("/healthz").certificate(&edge).field(XFCC, xfcc(&ours)), (0, "public")),
        (get("/healthz").certificate(&edge).field(XFCC, "x"), (400, "request.owned_header")),
        (
            on_route(good(&ours)).certificate(&edge).field(XFCC, format!("Hash={},{}", edge.digest_hex(), xfcc(&ours))),
            (400, "request.owned_header"),
        ),
        (on_route(good(&ours)).certificate(&edge).field("x_forwarded_client_cert", "x"), (400, "request.owned_header")),
    ] {
        assert_eq!(world.verdict(&ask), expected);
    }
}

#[test]
fn what_a_relay_says_twice_or_in_two_ways_is_a_broken_request() {
    let [edge, ours, thief] = ["edge", "n26", "thief"].map(client);
    let relays = json!([relay(&edge, json!({})), relay(&edge, json!({"format": "rfc9440"}))]);
    let mut world = behind(relays, json!({}));
    let through = || good(&ours).certificate(&edge);
    for (ask, expected) in [
        (through().field(XFCC, xfcc(&ours)).field("client-cert", base64(&ours)), PASSES),
        (through().field("client-cert", base64(&ours)), PASSES),
        (through().field(XFCC, xfcc(&thief)).field("client-cert", base64(&ours)), (400, "relay.disagree")),
        (through().field(XFCC, xfcc(&ours)).field("client-cert", base64(&thief)), (400, "relay.disagree")),
        (through().field(XFCC, xfcc(&ours)).field("X-Forwarded-Client-Cert", xfcc(&ours)), (400, "relay.doubled")),
        (through().field("client-cert", base64(&ours)).field("client-cert", base64(&ours)), (400, "relay.doubled")),
        (through().field("client-cert-chain", base64(&ours)), (400, "relay.malformed")),
        (
            through().field(XFCC, format!("Hash={};Cert=\"{}\"", thief.digest_hex(), escaped(&ours))),
            (400, "certificate.other_digest"),
        ),
        (
            through().field(XFCC, format!("Hash={};Cert=\"{}\"", ours.digest_hex(), escaped(&thief))),
            (400, "certificate.other_digest"),
        ),
    ] {
        assert_eq!(world.verdict(&ask), expected);
    }
    // Hash alone in the one, and all of it in the other: its dates are known.
    let both = through().field(XFCC, format!("Hash={}", ours.digest_hex())).field("client-cert", base64(&ours));
    assert_eq!(world.verdict(&both), PASSES);
}

/// bad-inputs.csv, class XFCC, each beside its good twin.
#[test]
fn bad_fields_of_a_relay_get_400_and_their_good_twins_pass() {
    let [edge, ours] = ["edge", "n26"].map(client);
    let (hash, cert) = (ours.digest_hex(), escaped(&ours));
    let malformed = (400, "relay.malformed");
    let not_pem = (400, "certificate.not_pem");
    let table: Vec<(&str, String, (u16, &str))> = vec![
        ("XFCC-06 twin", format!("{};Subject=\"O=a\\,b\\;c,CN=\\\"x\\\"\"", xfcc(&ours)), PASSES),
        ("XFCC-06 no closing quote", format!("{};Subject=\"O=a", xfcc(&ours)), malformed),
        ("XFCC-06 an escaped one", format!("Subject=\"CN=a\\\",{}", xfcc(&ours)), malformed),
        ("XFCC-08 twin: capitals", format!("Hash={};Cert=\"{cert}\"", hash.to_uppercase()), PASSES),
        ("XFCC-08 63", format!("Hash={};Cert=\"{cert}\"", &hash[1..]), malformed),
        ("XFCC-08 65", format!("Hash={hash}0;Cert=\"{cert}\""), malformed),
        ("XFCC-08 no digit", format!("Hash=g{};Cert=\"{cert}\"", &hash[1..]), malformed),
        ("XFCC-09 twin: small escapes", format!("Hash={hash};Cert=\"{}\"", cert.replace("%2B", "%2b")), PASSES),
        ("XFCC-09 twice escaped", format!("Hash={hash};Cert=\"{}\"", cert.replace('%', "%25")), not_pem),
        ("XFCC-09 + as blank", format!("Hash={hash};Cert=\"{}\"", cert.replace("%20", "+")), not_pem),
        (
            "XFCC-09 no BEGIN",
            format!("Hash={hash};Cert=\"{}\"", cert.replacen("-----BEGIN%20CERTIFICATE-----", "", 1)),
            not_pem,
        ),
        ("XFCC-09 two blocks", format!("Hash={hash};Cert=\"{cert}{cert}\""), not_pem),
        ("XFCC-09 trailing", format!("Hash={hash};Cert=\"{cert}x\""), not_pem),
        ("XFCC-09 a broken escape", format!("Hash={hash};Cert=\"{cert}%2\""), not_pem),
        ("XFCC-10 hash=", format!("hash={hash};cert=\"{cert}\""), PASSES),
        ("XFCC-10 HASH=", format!("HASH={hash};CERT=\"{cert}\""), PASSES),
        ("13.3 two hashes", format!("{};Hash={hash}", xfcc(&ours)), malformed),
        ("13.3 two of another case", format!("{};hASH={hash}", xfcc(&ours)), malformed),
        ("13.3 two certificates", format!("{};Cert=\"{cert}\"", xfcc(&ours)), malformed),
        ("13.3 two chains", format!("{};Chain=\"x\";Chain=\"x\"", xfcc(&ours)), malformed),
        ("13.3 two subjects", format!("{};Subject=\"\";Subject=\"\"", xfcc(&ours)), malformed),
        ("several URIs and DNS names", format!("{};URI=a;URI=b?c=d;DNS=e;DNS=f", xfcc(&ours)), PASSES),
        ("33 elements", vec![xfcc(&ours); 33].join(","), (400, "relay.too_large")),
        ("over 64 KiB", format!("{};Chain=\"{}\"", xfcc(&ours), "x".repeat(65_536)), (400, "relay.too_large")),
        ("empty", String::new(), malformed),
    ];
    let mut world = behind(json!([relay(&edge, json!({}))]), json!({}));
    for (name, field, expected) in table {
        assert_eq!(world.verdict(&good(&ours).certificate(&edge).field(XFCC, field)), expected, "{name}");
    }
    let chained = |chain: String| {
        good(&ours).certificate(&edge).field("client-cert", base64(&ours)).field("client-cert-chain", chain)
    };
    let alone = |field: String| good(&ours).certificate(&edge).field("client-cert", field);
    let value = base64(&ours);
    let (mut longer, trimmed) = (ours.der.clone(), value.trim_matches(':'));
    longer.push(0);
    let mut world = behind(json!([relay(&edge, json!({"format": "rfc9440"}))]), json!({}));
    for (name, ask, expected) in [
        ("XFCC-12 twin", alone(value.clone()), PASSES),
        ("XFCC-12 no colons", alone(trimmed.to_owned()), malformed),
        ("XFCC-12 blanks inside", alone(value.replacen("MII", "MI I", 1)), malformed),
        ("XFCC-12 parameters", alone(format!("{value};a=1")), malformed),
        ("XFCC-12 a list of two", alone(format!("{value}, {value}")), malformed),
        ("XFCC-12 empty", alone(String::new()), malformed),
        ("XFCC-12 nothing inside", alone("::".to_owned()), malformed),
        (
            "12.11 octets behind the DER",
            alone(format!(":{}:", STANDARD.encode(&longer))),
            (400, "certificate.not_x509"),
        ),
        ("12.11 padding", alone(format!(":{trimmed}=:")), not_pem),
        ("12.11 too long", alone(format!(":{}:", "A".repeat(20_000))), (400, "relay.too_large")),
        ("XFCC-13 twin", chained(format!("{value}, {value}")), PASSES),
        ("12.4 in two fields", chained(value.clone()).field("Client-Cert-Chain", value.clone()), PASSES),
        ("XFCC-13 100 certificates", chained(vec![":AAAA:"; 100].join(", ")), (400, "relay.too_large")),
        ("XFCC-13 1 MiB", chained(format!(":{}:", "A".repeat(1 << 20))), (400, "relay.too_large")),
        ("XFCC-13 no chain", chained("x".to_owned()), malformed),
    ] {
        assert_eq!(world.verdict(&ask), expected, "{name}");
    }
    let stolen = good(&client("thief"))
        .certificate(&edge)
        .field("client-cert", base64(&ours))
        .field("client-cert-chain", base64(&ours));
    assert_eq!(
        world.verdict(&stolen),
        (401, "binding.other_certificate"),
        "XFCC-13: the leaf is from Client-Cert alone"
    );
}

/// C22: the relay's word on validity is not taken.
#[test]
fn a_relayed_certificate_counts_to_its_last_second_on_open_connections_too() {
    let (edge, ours) = (client("edge"), issued(ending(100)));
    let mut world = behind(json!([relay(&edge, json!({}))]), json!({}));
    let through = || good(&ours).certificate(&edge).field(XFCC, xfcc(&ours));
    assert_eq!(world.verdict(&through()), PASSES);
    world.later(100);
    assert_eq!(world.verdict(&through()), PASSES);
    world.later(1);
    assert_eq!(world.verdict(&through()), (401, "binding.expired_certificate"));
    let mut afresh = behind(json!([relay(&edge, json!({}))]), json!({}));
    afresh.later(101);
    assert_eq!(afresh.verdict(&through()), (401, "binding.expired_certificate"));
}

#[test]
fn a_relay_whose_own_certificate_has_ended_speaks_for_nobody() {
    let (edge, ours) = (issued(ending(100)), client("n26"));
    let mut world = behind(json!([relay(&edge, json!({}))]), json!({}));
    let through = || good(&ours).certificate(&edge).field(XFCC, xfcc(&ours));
    assert_eq!(world.verdict(&through()), PASSES);
    world.later(101);
    assert_eq!(world.verdict(&through()), (401, "binding.expired_certificate"));
    let mut world = behind(json!([relay(&edge, json!({}))]), json!({}));
    let unread = good(&ours).digest_only(&edge).field(XFCC, xfcc(&ours));
    assert_eq!(world.verdict(&unread), (401, "binding.unchecked_validity"), "nor one whose dates nobody knows");
}

/// C22, of a relay that sends `Hash` alone.
#[test]
fn a_hash_alone_has_no_dates_and_no_names() {
    let [edge, ours] = ["edge", "n26"].map(client);
    let by_name = json!([
        {"name": "named", "path": "/named", "allow": [{"certificate": {"san_dns": "n26"}, "token": "none"}]},
        {"name": "all", "path": "/**", "allow": "authenticated"}
    ]);
    let relays = json!([relay(&edge, json!({"chain": "verified"}))]);
    let hash = format!("Hash={}", ours.digest_hex());
    let mut world = behind(relays.clone(), json!({"/routes": by_name}));
    assert_eq!(world.verdict(&good(&ours).certificate(&edge).field(XFCC, &hash)), (401, "binding.unchecked_validity"));
    assert_eq!(world.verdict(&good(&ours).certificate(&edge).field(XFCC, xfcc(&ours))), PASSES);
    assert_eq!(world.verdict(&get("/named").certificate(&edge).field(XFCC, xfcc(&ours))), PASSES);
    let again = good(&ours).certificate(&edge).field(XFCC, &hash);
    assert_eq!(world.verdict(&again), (401, "binding.unchecked_validity"), "whatever was read before");
    let taking = json!({"relays": relays, "danger_unchecked_validity": true});
    let mut world = behind(json!([]), json!({"/peer_certificate": taking, "/routes": by_name}));
    let told = world.verdict(&good(&ours).certificate(&edge).field(XFCC, &hash));
    assert_eq!(told, (0, "granted.unchecked_validity"));
    assert_eq!(world.verdict(&get("/named").certificate(&edge).field(XFCC, &hash)), (403, "policy.no_rule"));
}

/// Row 6.6: the same certificate, and whose word it is.
#[test]
fn names_count_as_far_as_whoever_tells_them_verified_them() {
    let [edge, careless, partner] = ["edge", "careless", "partner"].map(client);
    let id = "spiffe://bank.example/ns/a/sa/b";
    let ours = issued(valid(Leaf::client("n26").uri(id)));
    let rule = |certificate: Value| json!([{"certificate": certificate, "token": "none"}]);
    let mut document = json!({
        "peer_certificate": {
            "chain": "verified", "trust_domains": ["bank.example"],
            "relays": [
                relay(&edge, json!({"chain": "verified"})),
                relay(&careless, json!({"chain": "unverified"})),
                relay(&partner, json!({"chain": "verified", "trust_domains": ["bank.example"]}))
            ]
        },
        "forward": {"filter_state": {"workload": "spiffe_id"}},
        "routes": [
            {"name": "dns", "path": "/dns", "allow": rule(json!({"san_dns": "n26"}))},
            {"name": "id", "path": "/id", "allow": rule(json!({"spiffe_id": id}))},
            {"name": "digest", "path": "/digest", "allow": rule(json!({"sha256": ours.digest_hex()}))}
        ]
    });
    let none = (403, "policy.no_rule");
    let direct = |path: &str| get(path).certificate(&ours);
    let table = [
        ("direct", None, [PASSES, PASSES, PASSES]),
        ("edge", Some(&edge), [PASSES, none, PASSES]),
        ("careless", Some(&careless), [none, none, PASSES]),
        ("partner", Some(&partner), [PASSES, PASSES, PASSES]),
    ];
    // In either order: what is remembered of a certificate is not whose word it was.
    for turned in [false, true] {
        let mut world = World::new(document.clone());
        let rows: Vec<_> = if turned { table.iter().rev().collect() } else { table.iter().collect() };
        for (name, relay, expected) in rows {
            for (path, expected) in ["/dns", "/id", "/digest"].into_iter().zip(expected) {
                let asked = match relay {
                    None => direct(path),
                    Some(relay) => get(path).certificate(relay).field(XFCC, xfcc(&ours)),
                };
                assert_eq!(world.verdict(&asked), *expected, "{name} {path}");
            }
        }
        let told = |world: &mut World, relay: &Certificate| {
            world.send(&get("/digest").certificate(relay).field(XFCC, xfcc(&ours))).facts.get("workload").cloned()
        };
        assert_eq!(told(&mut world, &edge), None);
        assert_eq!(told(&mut world, &partner).as_deref(), Some(id));
    }
    // It may be known by its name as well: the chain of the connection is verified.
    document["peer_certificate"]["relays"][0]["certificate"] = json!({"san_dns": "edge"});
    let through = get("/dns").certificate(&edge).field(XFCC, xfcc(&ours));
    assert_eq!(World::new(document).verdict(&through), PASSES);
}

#[test]
fn a_dns_name_counts_where_whoever_tells_it_may_prove_it() {
    let [edge, inside, ours, strange] =
        ["edge", "pay.bank.example", "pay.partner.example", "partner.example"].map(client);
    let wild = client("*.partner.example");
    let peer = json!({
        "chain": "verified", "dns_names": ["**.bank.example"],
        "relays": [relay(&edge, json!({"chain": "verified", "dns_names": ["*.partner.example"]}))]
    });
    let rule = json!([{"certificate": {"san_dns": "**"}, "token": "none"}]);
    let mut document = json!({
        "peer_certificate": peer, "routes": [{"name": "all", "path": "/x", "allow": rule}]
    });
    let (direct, through) = (
        |shown: &Certificate| get("/x").certificate(shown),
        |shown: &Certificate| get("/x").certificate(&edge).field(XFCC, xfcc(shown)),
    );
    let none = (403, "policy.no_rule");
    let mut world = World::new(document.clone());
    for (ask, expected) in [
        (direct(&inside), PASSES),
        (direct(&ours), none),
        (through(&ours), PASSES),
        (through(&inside), none),
        (through(&strange), none),
        (through(&wild), none),
    ] {
        assert_eq!(world.verdict(&ask), expected);
    }
    document["routes"][0]["allow"][0]["not"] = json!({"certificate": {"san_dns": "pay.bank.example"}});
    document["routes"][0]["allow"][0]["certificate"] = json!({"sha256": [ours.digest_hex(), inside.digest_hex()]});
    let mut world = World::new(document);
    assert_eq!(world.verdict(&direct(&inside)), none);
    assert_eq!(world.verdict(&through(&inside)), PASSES, "a name that it may not prove is none");
}

/// C23: bound to a certificate that nobody signed, and named by it never.
#[test]
fn a_self_signed_certificate_binds_through_a_relay_and_names_nobody() {
    let (edge, own) = (client("edge"), valid(Leaf::client("n26")).self_signed());
    let routes = json!([
        {"name": "named", "path": "/named", "allow": [{"certificate": {"san_dns": "n26"}, "token": "none"}]},
        {"name": "all", "path": "/**", "allow": "authenticated"}
    ]);
    let peer = json!({"chain": "verified", "relays": [relay(&edge, json!({"chain": "unverified"}))]});
    let mut world = behind(json!([]), json!({"/peer_certificate": peer, "/routes": routes}));
    assert_eq!(world.verdict(&good(&own).certificate(&edge).field(XFCC, xfcc(&own))), PASSES);
    assert_eq!(world.verdict(&get("/named").certificate(&edge).field(XFCC, xfcc(&own))), (403, "policy.no_rule"));
}

#[test]
fn an_unbound_token_wants_its_clients_certificate_through_a_relay_too() {
    let [edge, careless, n26, other] = ["edge", "careless", "n26.example", "other.example"].map(client);
    let mut issuer = bank();
    issuer["clients"] = json!([{"client": "n26", "certificate": {"san_dns": "n26.example"}}]);
    let relays = json!([relay(&edge, json!({"chain": "verified"})), relay(&careless, json!({}))]);
    let mut world = behind(relays, json!({"/issuers": [issuer]}));
    let unbound = get("/x").bearer(&token(&n26, json!({"cnf": null})));
    let stolen = (401, "binding.other_client_certificate");
    for (relay, shown, expected) in [(&edge, &n26, PASSES), (&edge, &other, stolen), (&careless, &n26, stolen)] {
        assert_eq!(world.verdict(&unbound.clone().certificate(relay).field(XFCC, xfcc(shown))), expected);
    }
    assert_eq!(world.verdict(&unbound.certificate(&n26)), stolen, "this connection's chain nobody verified");
}

#[test]
fn who_waits_for_an_answer_is_still_the_relays_client() {
    let [edge, ours] = ["edge", "n26"].map(client);
    let mut issuer = bank();
    issuer.as_object_mut().unwrap().remove("jwks");
    issuer["introspection"] = json!({"cluster": "login", "path": "/i", "client_id": "api", "client_secret": {"env": "OP_SECRET"}, "cache": "0s"});
    let document = json!({
        "issuers": [issuer], "peer_certificate": {"relays": [relay(&edge, json!({"chain": "verified"}))]},
        "routes": [{"name": "all", "path": "/**", "allow": [{"certificate": {"san_dns": "n26"}}]}]
    });
    let mut world = World::with_environment(document, &[("OP_SECRET", "test")]);
    world.introspect(
        "opaque",
        json!({
            "active": true, "aud": "https://api.bank.example", "client_id": "n26", "iat": NOW, "exp": NOW + 60,
            "token_type": "Bearer", "cnf": {"x5t#S256": ours.x5t_s256()}
        }),
    );
    let ask = get("/x").bearer("opaque").certificate(&edge).field(XFCC, xfcc(&ours));
    let told = world.send(&ask);
    assert_eq!((told.status, told.reason, told.removed), (0, "granted", vec![]));
    let Step::Ask(_, waiting) = world.begin(&ask) else { panic!("asks") };
    let digest = waiting.certificate().map(|digest| digest.to_string());
    assert_eq!(digest, Some(ours.digest_hex()), "each client waits at its own expense, not its relay's");
}

/// What the proxy says of the handshake, and how often it was asked.
#[derive(Default)]
struct Told {
    answer: Cell<Option<bool>>,
    asked: Cell<usize>,
}

impl Session for Told {
    fn is_validated(&self) -> Option<bool> {
        self.asked.set(self.asked.get() + 1);
        self.answer.get()
    }
}

/// C24.
#[test]
fn operators_learn_why_a_certificate_is_another_and_clients_do_not() {
    let authority = Authority::new("test CA");
    let [old, other, stranger] = ["n26", "other", "stranger"].map(|name| authority.issue(valid(Leaf::client(name))));
    let same_key = authority.renew(&old, valid(Leaf::client("new name")));
    let same_names = authority.issue(valid(Leaf::client("n26")));
    let verified = json!({"/peer_certificate": {"chain": "verified"}});
    let (renewed, resumed, another) =
        ("binding.renewed_certificate", "binding.resumed_session", "binding.other_certificate");
    let description = r#"error_description="Certificate binding mismatch: certificate renewed, or not the one this token was issued to""#;
    for (trust, is_known, validated, shown, expected, asks) in [
        (verified.clone(), true, Some(true), &same_key, renewed, 0),
        (verified.clone(), true, Some(false), &same_names, renewed, 0),
        (json!({}), true, Some(false), &same_key, renewed, 0),
        (json!({}), true, Some(false), &same_names, another, 0),
        (verified.clone(), false, Some(true), &same_key, another, 1),
        (verified.clone(), false, Some(false), &same_key, resumed, 1),
        (verified.clone(), true, Some(false), &other, resumed, 1),
        (verified.clone(), true, Some(true), &other, another, 1),
        (verified.clone(), true, None, &other, another, 1),
        (json!({}), true, Some(false), &other, another, 0),
    ] {
        let mut world = behind_none(trust);
        let session = Rc::new(Told::default());
        session.answer.set(validated);
        world.enforcer().ask_of_sessions(Rc::clone(&session) as Rc<dyn Session>);
        if is_known {
            assert_eq!(world.verdict(&good(&old).certificate(&old)), PASSES);
        }
        assert_eq!(world.verdict(&good(&stranger).certificate(&stranger)), PASSES);
        assert_eq!(world.verdict(&good(&stranger)), (401, "binding.no_certificate"));
        assert_eq!(session.asked.get(), 0, "nobody is asked before that refusal");
        let refused = world.send(&good(&old).certificate(shown));
        assert_eq!((refused.status, refused.reason), (401, expected));
        assert!(refused.challenge.is_some_and(|challenge| challenge.ends_with(description)), "one text for all");
        assert_eq!(session.asked.get(), asks, "{expected}");
    }
    let mut nobody = behind_none(verified);
    assert_eq!(nobody.verdict(&good(&old).certificate(&other)).1, another, "no host that can be asked");
}

fn behind_none(more: Value) -> World {
    behind(json!([relay(&client("edge"), json!({}))]), more)
}

/// C24, through a relay: the session is the relay's, and says nothing of its client.
#[test]
fn a_renewal_is_seen_through_a_relay_and_its_session_is_not_asked() {
    let edge = client("edge");
    let authority = Authority::new("test CA");
    let old = authority.issue(valid(Leaf::client("n26")));
    let [new, other] =
        [authority.renew(&old, valid(Leaf::client("n26"))), authority.issue(valid(Leaf::client("other")))];
    let peer = json!({"chain": "verified", "relays": [relay(&edge, json!({"chain": "verified"}))]});
    let mut world = behind(json!([]), json!({"/peer_certificate": peer}));
    let session = Rc::new(Told::default());
    session.answer.set(Some(false));
    world.enforcer().ask_of_sessions(Rc::clone(&session) as Rc<dyn Session>);
    let through = |bound: &Certificate, shown: &Certificate| good(bound).certificate(&edge).field(XFCC, xfcc(shown));
    assert_eq!(world.verdict(&through(&old, &new)), (401, "binding.other_certificate"), "never seen");
    assert_eq!(world.verdict(&through(&old, &old)), PASSES);
    assert_eq!(world.verdict(&through(&old, &new)), (401, "binding.renewed_certificate"));
    assert_eq!(world.verdict(&through(&old, &other)), (401, "binding.other_certificate"));
    assert_eq!(world.verdict(&good(&old).certificate(&new)), (401, "binding.renewed_certificate"), "directly too");
    assert_eq!(session.asked.get(), 0);
}

/// C20, C21, row 13.7: a resumed session is judged by what is known of its certificate, and never by being one.
#[test]
fn a_resumed_session_is_as_good_as_its_certificate() {
    let ours = client("n26");
    let routes = json!([
        {"name": "named", "path": "/named", "allow": [{"certificate": {"san_dns": "n26"}, "token": "none"}]},
        {"name": "all", "path": "/**", "allow": "authenticated"}
    ]);
    let mut world = behind(json!([]), json!({"/peer_certificate": {"chain": "verified"}, "/routes": routes}));
    let session = Rc::new(Told::default());
    session.answer.set(Some(false));
    world.enforcer().ask_of_sessions(Rc::clone(&session) as Rc<dyn Session>);
    assert_eq!(world.verdict(&good(&ours).certificate(&ours)), PASSES);
    assert_eq!(world.verdict(&get("/named").certificate(&ours)), PASSES);
    assert_eq!(world.verdict(&good(&ours)), (401, "binding.no_certificate"), "C21");
    assert_eq!(session.asked.get(), 0);
}

/// C15: under `when_bound` a certificate beside an unbound token gives no rights that it has not proven.
#[test]
fn a_certificate_beside_an_unbound_token_gives_only_what_it_proves() {
    let ours = client("n26");
    let routes = json!([
        {"name": "named", "path": "/named", "binding": "when_bound", "allow": [{"certificate": {"san_dns": "n26"}}]},
        {"name": "all", "path": "/**", "binding": "when_bound", "allow": "authenticated"}
    ]);
    let unbound = |path: &str| get(path).bearer(&token(&ours, json!({"cnf": null}))).certificate(&ours);
    for (chain, expected) in [("verified", (0, "granted.unbound")), ("unverified", (403, "policy.no_rule"))] {
        let relay = relay(&client("edge"), json!({"chain": "verified"}));
        let peer = json!({"chain": chain, "relays": [relay]});
        let mut world = behind(json!([]), json!({"/peer_certificate": peer, "/routes": routes}));
        assert_eq!(world.verdict(&unbound("/x")), (0, "granted.unbound"));
        assert_eq!(world.verdict(&unbound("/named")), expected, "{chain}");
    }
}

#[test]
fn a_certificate_is_for_clients_where_the_operator_asks_that() {
    let routes =
        json!([{"name": "all", "path": "/**", "allow": [{"certificate": {"extended_key_usage": "clientAuth"}}]}]);
    let verified = json!({"chain": "verified"});
    let mut world = behind(json!([]), json!({"/peer_certificate": verified, "/routes": routes}));
    let ours = issued(leaf());
    assert_eq!(world.verdict(&good(&ours).certificate(&ours)), PASSES);
    let server = issued(valid(Leaf::server()));
    assert_eq!(world.verdict(&good(&server).certificate(&server)), (403, "policy.no_rule"));
}

#[test]
fn certificates_of_relays_are_counted_among_those_that_are_known() {
    let [edge, ours] = ["edge", "n26"].map(client);
    let mut world = behind(json!([relay(&edge, json!({}))]), json!({}));
    for _ in 0..3 {
        assert_eq!(world.verdict(&good(&ours).certificate(&edge).field(XFCC, xfcc(&ours))), PASSES);
    }
    assert_eq!(world.enforcer().known_certificates(), 2);
    assert!(world.enforcer().known_certificate(ours.digest_hex().as_bytes()).is_none(), "no connection has shown it");
}
