//! Turns an implementation of signatures that nobody here has written into one that is known to be right: by a signature of each
//! algorithm that it has to accept, and the same tampered with, which it has to refuse.

use super::algorithm::Algorithm;
use super::json::{self, Limits};
use super::jwk::{Jwk, PublicKey};
use super::verifier::Verifier;

/// An algorithm, a public key, and an object that it signed.
type Known = (Algorithm, &'static str, &'static str);

/// The algorithms that a proxy's own library may verify.
const KNOWN: [Known; 5] = [
    (Algorithm::Rs256, RSA_KEY, RS256),
    (Algorithm::Rs384, RSA_KEY, RS384),
    (Algorithm::Rs512, RSA_KEY, RS512),
    (Algorithm::Es256, P256_KEY, ES256),
    (Algorithm::Es384, P384_KEY, ES384),
];

/// The private halves of the keys without a source were thrown away.
const RSA_KEY: &str = r#"{"kty":"RSA","n":"pH04wNPk0ZhWuYa0meIp7tcG1PReovwB09j3ueyHC3_94w_NXVbyTrug7QzybhIp9oKLqJ2MvhadS3dDn8AUatddDsqMVfOAXDydmpduDALDIuFR-GZnmceNs9n27-3FPCYd7F804UYkof5f2dwK6PynRylAyZE8iu55qEdQt4oh5jrcR4aa1jCZwtwOmZKHCAgG8FkQPlnMjfipFG6vcPz1a5XpYTLk4ve0scLvzTDIGi-nwrQUaqLSj1xM8Ekg3j3fNUGTur4_7unsmKa6-nGXNjq6YgdcSZhTPG1nD4kfDorQMkvPxu2TfGDr1qLebQfeMV68fWPJ1BL-qbsg9w","e":"AQAB"}"#;
const RS256: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UifQ.Fo0iIBSt-ekAThcwL2S_Ewz1Al_4AvsE-3rvvVA1JxoUDfOC77kJQ__4c5MlRz837G-KEl6v-oFr_GTWhF8a1rdJSdmd29m9WG49pw6VgqTw8BDouQ3YGmpf_daTlNlRJ3daAuiJ_g_XKjA9ghb3fUoqyOackSbZ01VqZ5S1yoxOZW1VrqiTvXweeBcT-_JRvrZ5UF4E_zM0kBXGC985O0qm6dHMQQVO4j5FAOeBJnhZQEHKHHw47iGu9mmBsDfTLRiu-E5HG0dMOjDBNyOwoPBSQ0DD-_njpIze3A18-O74Og7lEF6pa0T7aEXTn4b0NGjVkeX4t3ITM7qeRoG-aQ";
const RS384: &str = "eyJhbGciOiJSUzM4NCJ9.eyJpc3MiOiJqb2UifQ.NZLmb9pBpOk54j_iSUuY8ClOGgn4JVYCwSvDmNirLBbppynNheLQvXIiO8CnbOKXV7deU5MuYE3_J5z8CqSvfSgVr40ptL9rr518-txPwpqGmtHa5DYeab9Lo5pnDi7LTRmceQzVZooXdH-0sNLd6qfEOxqD5GGCyQR_0h3DC8bdJjI1x47eyyCuflShPHpg67BLB47cykC9yfm16W3Gehhu3-VGPJa37IdZZC1A9XaqOPFa92QGTfwtWGzxkl9vvDB5rtnPDc3W57l1iL_me6gdId8XJiVgFBmVrdf8M0sWyvwjTTpF7TzSOHOGM3CjsFE1mpxoclbvll6YehwD8A";
const RS512: &str = "eyJhbGciOiJSUzUxMiJ9.eyJpc3MiOiJqb2UifQ.WTrGKfghBhAjG1DWbPUEo5nGdQsnMv8BvnZEK-_rsrDnOiQ7PKNzTpESD5gwQwA1oHcJ44qKEPu_TqVh9HY9-s1tnFXJ4yZdRg7mOLmUC9g63qJ5jONTVmYIdYrXyfTxYvB7XBuD80SOvk56W41rvrAMWNFKqAbKM4NnI3PXEPoQEgUT9sL-s6dYCg0mUzxlretkTlDRnhrY_IXj2UefIyv5z3eAjY58via4UtVAGAwwlzZUxeTQtl8Bg9q3KkGd3qkxG9-27_euUEYkxzeEp0pk3WX5B6hHemP3iaOiGB6sRS1B7nwFHuKHz2wQd4GSp7mqkcIQBVwMN89gqtSOgA";

/// RFC 7515 appendix A.3.
const P256_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

const P384_KEY: &str = r#"{"kty":"EC","crv":"P-384","x":"ZIT4_Cb2zg9JkrlDGkYsoUg_WoTwZx7uGKmnCWpA9O2J4wvffD-sdusR_v3TmuGM","y":"mkbGAOkjx0UehiySsrtJC7YZWzFvpd96ttI1_pZUCBsWGhYac7Hzz9SrU8vCTiIc"}"#;
const ES384: &str = "eyJhbGciOiJFUzM4NCJ9.eyJpc3MiOiJqb2UifQ.pEYrFZ-FlMWLya6qyUzL2Ddw5WJy659T9BzEOBgktzC31vMW1vM_K6Hx67nQUWtFAGSGEzvRCMWXeRI2euvBLwbSUT5Dz9x6oObgZOhq8g2ewlTIV-iRdpdNZcjsHrB6";

/// Whether `verifier` gives both verdicts as it has to; of an algorithm that is not known here, nothing is shown.
pub fn is_right(verifier: &dyn Verifier, algorithm: Algorithm) -> bool {
    KNOWN.iter().find(|(of, ..)| *of == algorithm).and_then(|known| answers(verifier, known))
        == Some([true, false, false])
}

/// The verdicts on the signature, on it with one bit changed, and on it for another message.
fn answers(verifier: &dyn Verifier, (algorithm, key, object): &Known) -> Option<[bool; 3]> {
    let key = key_of(key)?;
    let (message, signature) = object.rsplit_once('.')?;
    let signature = super::base64url::decode(signature).ok()?;
    let mut tampered = signature.clone();
    *tampered.last_mut()? ^= 1;
    let other = message.get(1..)?;
    let verdict = |message: &str, signature| verifier.verify(&key, *algorithm, message.as_bytes(), signature);
    Some([verdict(message, &signature), verdict(message, &tampered), verdict(other, &signature)])
}

fn key_of(jwk: &str) -> Option<PublicKey> {
    Some(Jwk::parse(&json::parse(jwk.as_bytes(), Limits::TOKEN).ok()?).ok()?.key)
}

#[cfg(test)]
mod tests {
    use super::super::verifier::InRust;
    use super::*;

    /// Gives these verdicts on good signatures, on tampered ones, and on good ones for another message.
    struct Says([bool; 3]);

    impl Verifier for Says {
        fn verify(&self, key: &PublicKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
            let Says([good, tampered, other]) = self;
            let is_whole = message.starts_with(b"ey");
            if InRust.verify(key, algorithm, message, signature) {
                *good
            } else if is_whole {
                *tampered
            } else {
                *other
            }
        }
    }

    #[test]
    fn what_accepts_good_signatures_and_refuses_others_is_right() {
        for (algorithm, ..) in KNOWN {
            assert!(is_right(&InRust, algorithm), "{algorithm}");
            assert!(is_right(&Says([true, false, false]), algorithm), "{algorithm}");
        }
    }

    #[test]
    fn what_refuses_good_signatures_or_accepts_others_is_not() {
        for (algorithm, ..) in KNOWN {
            for verdicts in [
                [false, false, false],
                [true, true, true],
                [true, true, false],
                [true, false, true],
                [false, true, true],
            ] {
                assert!(!is_right(&Says(verdicts), algorithm), "{algorithm} {verdicts:?}");
            }
        }
    }

    #[test]
    fn nothing_is_shown_of_an_algorithm_that_no_proxy_verifies() {
        for algorithm in [Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512, Algorithm::EdDsa] {
            assert!(!is_right(&InRust, algorithm));
        }
    }
}
