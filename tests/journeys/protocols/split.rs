//! The client holds the signature, a store the rest (checklist §26).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{answering, speaking};
use crate::proof::Holder;
use crate::world::{Key, NOW, PASSES, answered, certificate, claims, get, token, told};

/// Escapes what standard base64 has and a path has not.
fn place_of(signature: &str) -> String {
    let digest = STANDARD.encode(Sha256::digest(signature));
    format!("/introspect/{}", digest.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"))
}

#[test]
fn the_store_is_asked_by_the_digest_of_the_signature() {
    let (ours, mut world) = (certificate(), speaking("split", json!({})));
    let whole = token(&ours, json!({}));
    let (signed, signature) = whole.rsplit_once('.').unwrap();
    let (place, text) = (place_of(signature), signed.to_owned());
    let bodies = answering(&mut world, {
        let place = place.clone();
        move |id| if id.path() == place { answered(200, &text) } else { answered(404, "") }
    });
    let asks = get("/all").bearer(signature).certificate(&ours);
    let outcome = world.send(&asks);
    assert_eq!((outcome.status, outcome.reason), PASSES);
    assert_eq!(outcome.added, [("authorization".to_owned(), format!("Bearer {whole}"))]);
    assert_eq!(world.asked, [format!("as{place}"), "login/jwks".to_owned()]);
    assert_eq!(*bodies.borrow(), [""], "nothing of the token is sent");
    assert_eq!(world.verdict(&asks), PASSES);
    assert_eq!(world.asked.len(), 2, "it is remembered");
    let other = get("/all").bearer("AAAA").certificate(&ours);
    assert_eq!(world.verdict(&other), (401, "token.inactive"));
    assert_eq!(
        world.verdict(&get("/all").bearer(signature).certificate(&certificate())),
        (401, "binding.other_certificate")
    );
}

#[test]
fn what_the_store_has_counts_as_long_as_it_says() {
    let (ours, mut world) = (certificate(), speaking("split", json!({})));
    let whole = token(&ours, json!({}));
    let (signed, signature) = whole.rsplit_once('.').unwrap();
    let text = signed.to_owned();
    answering(&mut world, move |_| told(200, "text/plain", "max-age=5", &text));
    let asks = get("/all").bearer(signature).certificate(&ours);
    let mut questions = |seconds: u64| {
        world.later(seconds);
        world.asked.clear();
        assert_eq!(world.verdict(&asks), PASSES);
        world.asked.iter().filter(|place| place.starts_with("as/introspect/")).count()
    };
    assert_eq!([questions(0), questions(4), questions(1)], [1, 0, 1]);
}

#[test]
fn what_the_store_has_is_verified_with_the_signature() {
    let ours = certificate();
    let whole = token(&ours, json!({}));
    let (signed, signature) = whole.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let other = token(&ours, json!({"sub": "eve"}));
    let of_other = other.rsplit_once('.').unwrap().0;
    let unusable = (503, "server.unusable_answer");
    for (status, stored, expected) in [
        (200, signed.to_owned(), PASSES),
        (200, format!("{signed}\n"), PASSES),
        (200, of_other.to_owned(), unusable),
        (200, header.to_owned(), unusable),
        (200, format!("{header}.{}", &payload[..payload.len() - 1]), unusable),
        (200, format!("{signed}."), unusable),
        (200, whole.clone(), unusable),
        (200, String::new(), unusable),
        (200, "<html>not found</html>".to_owned(), unusable),
        (204, String::new(), unusable),
        (302, signed.to_owned(), unusable),
        (403, String::new(), (503, "server.our_credentials")),
        (503, String::new(), (503, "server.introspection")),
        (404, signed.to_owned(), (401, "token.inactive")),
    ] {
        let mut world = speaking("split", json!({}));
        answering(&mut world, {
            let stored = stored.clone();
            move |_| answered(status, &stored)
        });
        let verdict = world.verdict(&get("/all").bearer(signature).certificate(&ours));
        assert_eq!(verdict, expected, "{status} {stored}");
    }
}

#[test]
fn what_it_says_is_judged_as_every_jwt_is() {
    let (ours, holder) = (certificate(), Holder::named("ann"));
    for (others, expected) in [
        (json!({}), PASSES),
        (json!({"exp": NOW - 60, "iat": NOW - 100}), (401, "token.expired")),
        (json!({"aud": "https://other.example"}), (401, "token.audience")),
        (json!({"cnf": null}), (401, "binding.unbound")),
        (json!({"cnf": {"jkt": holder.jkt()}}), (401, "binding.bearer_downgrade")),
    ] {
        let mut world = speaking("split", json!({}));
        let whole = Key::named("k1").jwt(&claims(&ours, others.clone()));
        let (signed, signature) = whole.rsplit_once('.').unwrap();
        let signed = signed.to_owned();
        answering(&mut world, move |_| answered(200, &signed));
        assert_eq!(world.verdict(&get("/all").bearer(signature).certificate(&ours)), expected, "{others}");
        let by_proof = get("/either").dpop(signature, &holder.proof("/either", signature, "1").sign());
        let is_bound = expected.1 == "binding.bearer_downgrade";
        assert_eq!(world.verdict(&by_proof) == PASSES, is_bound, "{others}: the proof names the signature");
    }
}
