//! The `DPoP` field of a request into a proof that its sender holds a key (RFC 9449 §4, checklist §7).
//!
//! A proof becomes worth something step by step: [`UnverifiedProof`] is well-formed, [`FittingProof`] was made for this request and
//! this token at this time, [`VerifiedProof`] is signed with the key that it names. Whether that is the token's key is for
//! [`confirm`](super::confirm) to say. Reading a key and verifying a signature cost many times what all else does, and wait until the
//! token is known to be good.

use core::time::Duration;
use std::rc::Rc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::json::{self, Limits, Object, Value};
use crate::jose::jwk::{Jwk, Thumbprint};
use crate::jose::jws::{self, Jws, media_type_is};
use crate::jose::verifier::Verifier;
use crate::time::UnixTime;

use super::htu::{Htu, Origin};
use super::nonce::{self, Nonces};
use super::prover::{Prover, Provers};
use super::replay::{self, Seen};

/// What a configuration asks of proofs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What tells this API from others: the same for all who serve it.
    pub name: String,
    /// What clients call us.
    pub origins: Vec<Origin>,
    /// Announced as `algs`.
    pub algorithms: Vec<Algorithm>,
    /// How old `iat` may be, where there are no nonces.
    pub max_age: Duration,
    /// Every proof has to hold one of these. There is no mode between this and none (RFC 9449 §11.3).
    pub nonces: Option<Nonces>,
    pub replay: replay::Settings,
}

/// What a proof has to have been made for.
#[derive(Clone, Copy)]
pub struct MadeFor<'a> {
    pub method: &'a [u8],
    /// As the client sent it: `:path`.
    pub target: &'a [u8],
    /// SHA-256 of the token as it was presented, behind the scheme.
    pub token_digest: [u8; 32],
}

/// A well-formed proof. Nothing that it says is to be believed yet.
pub struct UnverifiedProof<'a> {
    jws: Jws<'a, Header<'a>>,
    claims: Claims,
    provers: Rc<Provers>,
}

/// The header of a proof.
enum Header<'a> {
    /// Of somebody whose proofs were verified before.
    Known(Rc<Prover>),
    /// The key in it is not read yet.
    New { text: &'a str, algorithm: Algorithm, jwk: Value },
}

/// RFC 9449 §4.2.
struct Claims {
    jti: String,
    htm: String,
    htu: Htu,
    iat: u64,
    ath: String,
    nonce: Option<String>,
}

/// A proof made for this request, by whoever holds the key that it names, if the signature is right.
pub struct FittingProof<'a> {
    jws: Jws<'a, Header<'a>>,
    claims: Claims,
    provers: Rc<Provers>,
    /// The last second at which it can be accepted, and a little for a clock that is set back.
    until: UnixTime,
    nonce_issued: Option<UnixTime>,
}

/// Its sender holds the key.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedProof {
    seen: Seen,
    /// When the nonce in it was issued.
    nonce_issued: Option<UnixTime>,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is none beside the token.
    Missing,
    /// Several fields, or a list in one.
    Several,
    /// Longer than 4 KiB.
    TooLong,
    /// Not a signed object whose payload is a JSON map, or with extensions that are not understood.
    Malformed,
    /// `typ` is not `dpop+jwt`.
    Type,
    /// An algorithm that is not announced, `none` among them.
    Algorithm,
    /// `jwk` is missing, holds more than a public key, or is not one for this algorithm.
    Key,
    /// A claim is missing, or not of its type or size.
    Claim,
    /// `htm` is another method.
    Method,
    /// `htu` is another URI, or none.
    Uri,
    /// `ath` is not the digest of this token.
    Ath,
    /// Too old.
    Expired,
    /// From the future.
    NotYetValid,
    Nonce(nonce::Error),
    /// Not signed with the key that it names.
    Signature,
}

const LONGEST_PROOF: usize = 4 * 1024;
const LONGEST_JTI: usize = 256;
/// How far a client's clock may be ahead (checklist 7.12).
const CLOCK_SKEW: Duration = Duration::from_secs(10);
/// Where a nonce tells the age, `iat` is only looked at for nonsense.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl From<jws::Error> for Error {
    fn from(_: jws::Error) -> Self {
        Self::Malformed
    }
}

impl From<nonce::Error> for Error {
    fn from(error: nonce::Error) -> Self {
        Self::Nonce(error)
    }
}

impl<'a> UnverifiedProof<'a> {
    /// Reads the one `DPoP` field of a request.
    pub fn parse(field: &'a [u8], settings: &Settings, provers: &Rc<Provers>) -> Result<Self, Error> {
        if field.len() > LONGEST_PROOF {
            return Err(Error::TooLong);
        }
        if field.contains(&b',') {
            return Err(Error::Several);
        }
        let text = core::str::from_utf8(field).map_err(|_| Error::Malformed)?;
        let jws = Jws::parse_with(text, |header| Header::read(header, settings, provers))?;
        let claims = json::parse(jws.payload(), Limits::TOKEN).map_err(|_| Error::Malformed)?;
        let claims = Claims::read(claims.as_object().ok_or(Error::Malformed)?)?;
        Ok(Self { jws, claims, provers: Rc::clone(provers) })
    }

    /// Whether it was made for this request, with this token, at this time.
    pub fn fit(self, made_for: MadeFor<'_>, settings: &Settings, now: UnixTime) -> Result<FittingProof<'a>, Error> {
        let Self { jws, claims, provers } = self;
        if claims.htm.as_bytes() != made_for.method {
            return Err(Error::Method);
        }
        if !claims.htu.is(&settings.origins, made_for.target) {
            return Err(Error::Uri);
        }
        let ath = base64url::encode(made_for.token_digest);
        if !bool::from(ath.as_bytes().ct_eq(claims.ath.as_bytes())) {
            return Err(Error::Ath);
        }
        let (until, nonce_issued) = claims.verify_time(settings, now)?;
        Ok(FittingProof { jws, claims, provers, until, nonce_issued })
    }
}

impl<'a> Header<'a> {
    fn read(text: &'a str, settings: &Settings, provers: &Provers) -> Result<Self, Error> {
        if let Some(prover) = provers.known(text) {
            return Ok(Self::Known(prover));
        }
        let header = jws::Header::read(text)?;
        if !header.typ.as_deref().is_some_and(|typ| media_type_is(typ, "dpop+jwt")) {
            return Err(Error::Type);
        }
        if header.crit_present || header.b64_present {
            return Err(Error::Malformed);
        }
        let algorithm = header.algorithm().filter(|algorithm| settings.algorithms.contains(algorithm));
        Ok(Self::New { text, algorithm: algorithm.ok_or(Error::Algorithm)?, jwk: header.jwk.ok_or(Error::Key)? })
    }
}

impl Claims {
    fn read(claims: &Object) -> Result<Self, Error> {
        let text = |name| claims.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(Error::Claim);
        let jti = text("jti")?;
        if !(1..=LONGEST_JTI).contains(&jti.len()) {
            return Err(Error::Claim);
        }
        let iat = match claims.get("iat") {
            Some(Value::Integer(seconds)) => u64::try_from(*seconds).map_err(|_| Error::Claim)?,
            _ => return Err(Error::Claim),
        };
        let htu = Htu::parse(&text("htu")?).ok_or(Error::Uri)?;
        // Where it is asked for, one of another type is none of ours.
        let nonce = claims.get("nonce").map(|nonce| nonce.as_str().unwrap_or_default().to_owned());
        Ok(Self { jti, htm: text("htm")?, htu, iat, ath: text("ath")?, nonce })
    }

    /// Until when it has to be remembered, and when its nonce was issued.
    fn verify_time(&self, settings: &Settings, now: UnixTime) -> Result<(UnixTime, Option<UnixTime>), Error> {
        let iat = UnixTime::new(self.iat);
        let Some(nonces) = &settings.nonces else {
            verify_age(iat, settings.max_age, CLOCK_SKEW, now)?;
            return Ok((iat.plus(settings.max_age + CLOCK_SKEW), None));
        };
        let nonce = self.nonce.as_deref().ok_or(nonce::Error::Missing)?;
        let issued = nonces.verify(nonce, now)?;
        verify_age(iat, DAY, DAY, now)?;
        Ok((issued.plus(nonce::LIFE + nonce::SKEW), Some(issued)))
    }

    /// What is remembered of it: `jti` in the context of the URI, and of the key, so that nobody uses up what another will send.
    fn seen(&self, key: Thumbprint, until: UnixTime) -> Seen {
        let mut digest = Sha256::new_with_prefix(key.0);
        self.htu.octets().for_each(|octets| digest.update(octets));
        // No URI holds this octet: where the one ends and the other begins can't be shifted.
        digest.update(b"\0");
        let digest: [u8; 32] = digest.chain_update(&self.jti).finalize().into();
        Seen { proof: digest.first_chunk().copied().unwrap_or_default(), key, until }
    }
}

fn verify_age(iat: UnixTime, past: Duration, future: Duration, now: UnixTime) -> Result<(), Error> {
    if iat > now.plus(future) {
        return Err(Error::NotYetValid);
    }
    if iat.plus(past) < now {
        return Err(Error::Expired);
    }
    Ok(())
}

impl FittingProof<'_> {
    /// The URI that it was made for, in its one spelling.
    pub fn htu(&self) -> String {
        self.claims.htu.octets().map(String::from_utf8_lossy).collect()
    }

    /// Whoever it says has signed it.
    pub fn prover(&self) -> Result<Rc<Prover>, Error> {
        match self.jws.header() {
            Header::Known(prover) => Ok(Rc::clone(prover)),
            Header::New { algorithm, jwk, .. } => {
                let is_usual = |jwk: &Jwk| jwk.fits(*algorithm) && jwk.key.is_of_usual_size();
                let jwk = Jwk::parse(jwk).ok().filter(is_usual).ok_or(Error::Key)?;
                let (algorithm, thumbprint) = (*algorithm, jwk.key.thumbprint());
                Ok(Rc::new(Prover { algorithm, key: jwk.key, thumbprint }))
            }
        }
    }

    pub fn verify(&self, prover: &Rc<Prover>, verifier: &dyn Verifier) -> Result<VerifiedProof, Error> {
        if !self.jws.is_signed_by(verifier, &prover.key, prover.algorithm) {
            return Err(Error::Signature);
        }
        if let Header::New { text, .. } = self.jws.header() {
            self.provers.remember(text, prover);
        }
        let seen = self.claims.seen(prover.thumbprint, self.until);
        Ok(VerifiedProof { seen, nonce_issued: self.nonce_issued })
    }
}

impl VerifiedProof {
    /// By what it is known again.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether its sender should get another nonce for the next one.
    pub fn nonce_is_worn(&self, now: UnixTime) -> bool {
        self.nonce_issued.is_some_and(|issued| Nonces::is_worn(issued, now))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::binding::nonce::Key;
    use crate::binding::replay::Scope;
    use crate::jose::verifier::InRust;

    /// RFC 9449 figure 13, of the key of its appendix and of the token of figure 6, made for `GET` of this URI.
    const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    const HTU: &str = "https://resource.example.org/protectedresource";
    const TOKEN: &[u8] = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    const ATH: &str = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    const IAT: u64 = 1_562_262_618;
    const JWK: &str = r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#;
    /// RFC 9449 figure 2: for the token endpoint, without `ath`.
    const OF_TOKEN_ENDPOINT: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";

    fn settings() -> Settings {
        Settings {
            name: "resource".to_owned(),
            origins: vec![Origin::parse("https://resource.example.org").unwrap()],
            algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
            max_age: Duration::from_secs(60),
            nonces: None,
            replay: replay::Settings { scope: Scope::None, proofs: 0, admits_when_full: false },
        }
    }

    fn asked() -> MadeFor<'static> {
        MadeFor { method: b"GET", target: b"/protectedresource", token_digest: Sha256::digest(TOKEN).into() }
    }

    /// The proof of RFC 9449, as if it had just been made.
    pub fn of_rfc_9449() -> (FittingProof<'static>, Thumbprint) {
        let proof = UnverifiedProof::parse(PROOF.as_bytes(), &settings(), &Rc::default()).unwrap();
        let key = Thumbprint(base64url::decode_32(JKT).unwrap());
        (proof.fit(asked(), &settings(), UnixTime::new(IAT)).unwrap(), key)
    }

    /// The same with a signature by nobody.
    pub fn forged_of_rfc_9449(changed: &str) -> FittingProof<'_> {
        let proof = UnverifiedProof::parse(changed.as_bytes(), &settings(), &Rc::default()).unwrap();
        proof.fit(asked(), &settings(), UnixTime::new(IAT)).unwrap()
    }

    /// The text of such a one.
    pub fn forged() -> String {
        PROOF.replace(".2oW9", ".3oW9")
    }

    fn told(field: &str, made_for: MadeFor<'_>, settings: &Settings, now: u64) -> Result<UnixTime, Error> {
        let proof = UnverifiedProof::parse(field.as_bytes(), settings, &Rc::default())?.fit(
            made_for,
            settings,
            UnixTime::new(now),
        )?;
        proof.verify(&proof.prover()?, &InRust).map(|verified| verified.seen().until)
    }

    /// A proof with this header and these claims, signed by nobody: `signature` is asked for last.
    fn unsigned(header: &str, claims: &str) -> String {
        format!("{}.{}.{}", base64url::encode(header), base64url::encode(claims), "A".repeat(86))
    }

    fn with_header(header: &str) -> String {
        unsigned(header, &good_claims())
    }

    fn with_claims(claims: &str) -> String {
        unsigned(&format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{JWK}}}"#), claims)
    }

    fn good_claims() -> String {
        format!(r#"{{"jti":"1","htm":"GET","htu":"{HTU}","iat":{IAT},"ath":"{ATH}"}}"#)
    }

    fn why(field: &str) -> Error {
        told(field, asked(), &settings(), IAT).unwrap_err()
    }

    #[test]
    fn the_proof_of_rfc_9449_proves_its_key_and_each_change_undoes_it() {
        let (proof, key) = of_rfc_9449();
        assert_eq!(proof.prover().map(|prover| prover.thumbprint), Ok(key));
        assert_eq!(told(PROOF, asked(), &settings(), IAT), Ok(UnixTime::new(IAT + 70)));
        let other = Settings { origins: vec![Origin::parse("https://other.example.org").unwrap()], ..settings() };
        let (mut slash, mut post, mut token) = (asked(), asked(), asked());
        (slash.target, post.method) = (b"/protectedresource/", b"POST");
        token.token_digest = Sha256::digest(&TOKEN[..TOKEN.len() - 1]).into();
        for (asked, settings, expected) in [
            (post, settings(), Error::Method),
            (slash, settings(), Error::Uri),
            (asked(), other, Error::Uri),
            (token, settings(), Error::Ath),
        ] {
            assert_eq!(told(PROOF, asked, &settings, IAT), Err(expected));
        }
        // At a resource server it lacks `ath`.
        let asked = MadeFor { method: b"POST", target: b"/token", ..asked() };
        assert_eq!(told(OF_TOKEN_ENDPOINT, asked, &settings(), IAT), Err(Error::Claim));
    }

    #[test]
    fn a_proof_counts_from_ten_seconds_before_its_time_to_its_last_second() {
        let five_minutes = Settings { max_age: Duration::from_secs(300), ..settings() };
        for (settings, now, expected) in [
            (settings(), IAT - 11, Err(Error::NotYetValid)),
            (settings(), IAT - 10, Ok(UnixTime::new(IAT + 70))),
            (settings(), IAT + 60, Ok(UnixTime::new(IAT + 70))),
            (settings(), IAT + 61, Err(Error::Expired)),
            (settings(), IAT + 71, Err(Error::Expired)),
            (five_minutes.clone(), IAT + 300, Ok(UnixTime::new(IAT + 310))),
            (five_minutes, IAT + 301, Err(Error::Expired)),
        ] {
            assert_eq!(told(PROOF, asked(), &settings, now), expected, "{now}");
        }
    }

    #[test]
    fn whoever_proved_it_once_is_known_again_and_no_less_is_asked_of_the_next_proof() {
        let provers = Rc::default();
        let parsed = |field: &'static str| UnverifiedProof::parse(field.as_bytes(), &settings(), &provers);
        let fitting = |field| parsed(field)?.fit(asked(), &settings(), UnixTime::new(IAT));
        let first = fitting(PROOF).unwrap();
        assert!(matches!(first.jws.header(), Header::New { .. }));
        let header = PROOF.split('.').next().unwrap();
        assert_eq!(first.verify(&first.prover().unwrap(), &InRust).map(|_| ()), Ok(()));
        assert_eq!(provers.known(header), Some(first.prover().unwrap()));
        let second = fitting(PROOF).unwrap();
        assert!(matches!(second.jws.header(), Header::Known(_)));
        let verify =
            |proof: &FittingProof<'_>| proof.verify(&proof.prover().unwrap(), &InRust).map(|proof| *proof.seen());
        assert_eq!(verify(&second), verify(&first));
        let forged: &str = forged().leak();
        assert_eq!(verify(&fitting(forged).unwrap()), Err(Error::Signature));
        assert_eq!(fitting(OF_TOKEN_ENDPOINT).err(), Some(Error::Claim), "of the same header");
    }

    #[test]
    fn whoever_signs_for_another_is_not_known() {
        let (provers, forged) = (Rc::default(), forged());
        let proof = UnverifiedProof::parse(forged.as_bytes(), &settings(), &provers).unwrap();
        let proof = proof.fit(asked(), &settings(), UnixTime::new(IAT)).unwrap();
        assert!(proof.verify(&proof.prover().unwrap(), &InRust).is_err());
        assert_eq!(provers.known(forged.split('.').next().unwrap()), None);
    }

    #[test]
    fn each_octet_of_a_proof_counts() {
        for at in 0..PROOF.len() {
            let mut changed = PROOF.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(told(&changed, asked(), &settings(), IAT).is_err(), "{at}");
        }
    }

    #[test]
    fn what_is_no_signed_object_is_malformed() {
        assert_eq!(why(&with_claims(&good_claims())), Error::Signature, "the good twin but for its signature");
        let parts: Vec<&str> = PROOF.split('.').collect();
        for field in [
            String::new(),
            "x".into(),
            parts[..2].join("."),
            format!("{PROOF}.x"),
            format!("{}.{}.", parts[0], parts[1]),
            format!(r#"{{"payload":"{}","protected":"{}","signature":"{}"}}"#, parts[1], parts[0], parts[2])
                .replace(',', ";"),
            format!(" {PROOF}"),
            format!("{PROOF}="),
            format!("{}\u{e9}", PROOF),
            with_claims("[]"),
            with_claims("x"),
            with_claims(r#"{"jti":"1","jti":"1"}"#),
            with_header(&format!(r#"{{"typ":"dpop+jwt","alg":"ES256","crit":["x"],"x":1,"jwk":{JWK}}}"#)),
            with_header(&format!(r#"{{"typ":"dpop+jwt","alg":"ES256","b64":false,"jwk":{JWK}}}"#)),
            with_header(&format!(r#"{{"typ":"dpop+jwt","jwk":{JWK}}}"#)),
            with_header(&format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{JWK},"jwk":{JWK}}}"#)),
            with_header(&format!(
                r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{}}}"#,
                JWK.replace('{', r#"{"kty":"EC","#)
            )),
        ] {
            assert_eq!(why(&field), Error::Malformed, "{field}");
        }
        assert_eq!(why(&format!("{PROOF},{PROOF}")), Error::Several);
        assert_eq!(why(&format!("{PROOF}, x")), Error::Several);
        assert_eq!(why(&"a".repeat(4096)), Error::Malformed);
        assert_eq!(why(&"a".repeat(4097)), Error::TooLong);
    }

    #[test]
    fn a_proof_says_that_it_is_one_and_by_which_algorithm() {
        let typ = |typ: &str| with_header(&format!(r#"{{"typ":"{typ}","alg":"ES256","jwk":{JWK}}}"#));
        for good in ["dpop+jwt", "DPOP+JWT", "application/dpop+jwt"] {
            assert_eq!(why(&typ(good)), Error::Signature, "{good}");
        }
        for bad in ["JWT", "at+jwt", "dpop+jwt+x", "dpop", "", "text/dpop+jwt"] {
            assert_eq!(why(&typ(bad)), Error::Type, "{bad}");
        }
        assert_eq!(why(&with_header(&format!(r#"{{"alg":"ES256","jwk":{JWK}}}"#))), Error::Type);
        // PS256 is good elsewhere, and not announced here.
        for bad in ["none", "NONE", "HS256", "RS256", "PS256", "es256", "ES512", ""] {
            let error = if bad.is_empty() { Error::Malformed } else { Error::Algorithm };
            let header = format!(r#"{{"typ":"dpop+jwt","alg":"{bad}","jwk":{JWK}}}"#);
            assert_eq!(why(&with_header(&header)), error, "{bad}");
        }
    }

    #[test]
    fn the_key_is_public_and_one_for_the_algorithm_and_all_else_in_it_is_ignored() {
        let (begin, end) = (&JWK[..JWK.len() - 1], "}");
        let header = |jwk: &str| with_header(&format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk}}}"#));
        for more in [r#""kid":"a""#, r#""x5c":["AAAA"]"#, r#""alg":"ES256""#, r#""use":"sig""#, r#""foo":{"d":1}"#] {
            assert_eq!(why(&header(&format!("{begin},{more}{end}"))), Error::Signature, "{more}");
        }
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            for value in [r#""AAAA""#, "null", "1"] {
                assert_eq!(why(&header(&format!(r#"{begin},"{private}":{value}{end}"#))), Error::Key, "{private}");
            }
        }
        assert_eq!(why(&header(&format!(r#"{begin},"alg":"ES384"{end}"#))), Error::Key);
        let ed25519 = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        for bad in [ed25519, "{}", "[]", "null", r#""x""#, r#"{"kty":"oct","k":"AAAA"}"#] {
            assert_eq!(why(&header(bad)), Error::Key, "{bad}");
        }
        assert_eq!(why(&with_header(r#"{"typ":"dpop+jwt","alg":"ES256"}"#)), Error::Key);
        let reordered = r#"{"y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","kty":"EC"}"#;
        let field = header(reordered);
        let proof = UnverifiedProof::parse(field.as_bytes(), &settings(), &Rc::default()).unwrap();
        let proof = proof.fit(asked(), &settings(), UnixTime::new(IAT)).unwrap();
        assert_eq!(base64url::encode(proof.prover().unwrap().thumbprint.0), JKT);
    }

    #[test]
    fn each_claim_is_there_and_of_its_type() {
        let good = good_claims();
        let iat = IAT.to_string();
        let quoted = |text: &str| format!("\"{text}\"");
        let (htu, ath, long) = (quoted(HTU), quoted(ATH), quoted(&"j".repeat(257)));
        type Bad<'a> = (&'a str, Error);
        let table: &[(&str, &str, &[Bad<'_>])] = &[
            (
                "jti",
                r#""1""#,
                &[("1", Error::Claim), (r#""""#, Error::Claim), (&long, Error::Claim), ("null", Error::Claim)],
            ),
            (
                "htm",
                r#""GET""#,
                &[
                    (r#""get""#, Error::Method),
                    (r#""GET ""#, Error::Method),
                    (r#""HEAD""#, Error::Method),
                    (r#"["GET"]"#, Error::Claim),
                ],
            ),
            ("htu", &htu, &[("1", Error::Claim), (r#""/protectedresource""#, Error::Uri), (r#""""#, Error::Uri)]),
            (
                "iat",
                &iat,
                &[
                    (r#""1562262618""#, Error::Claim),
                    ("1562262618.0", Error::Claim),
                    ("1562262618.5", Error::Claim),
                    ("-1", Error::Claim),
                    ("0", Error::Expired),
                    ("9223372036854775807", Error::NotYetValid),
                    ("9223372036854775808", Error::Claim),
                    ("null", Error::Claim),
                ],
            ),
            (
                "ath",
                &ath,
                &[
                    ("1", Error::Claim),
                    (r#""""#, Error::Ath),
                    (r#""fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEp""#, Error::Ath),
                ],
            ),
        ];
        for (name, value, bad) in table {
            let member = format!(r#""{name}":{value}"#);
            assert!(good.contains(&member), "{member}");
            let without = good.replace(&member, r#""x":1"#);
            assert_eq!(why(&with_claims(&without)), Error::Claim, "without {name}");
            for (other, expected) in *bad {
                let changed = good.replace(&member, &format!(r#""{name}":{other}"#));
                assert_eq!(why(&with_claims(&changed)), *expected, "{name}: {other}");
            }
        }
        let longest = good.replace(r#""jti":"1""#, &format!(r#""jti":"{}""#, "j".repeat(256)));
        assert_eq!(why(&with_claims(&longest)), Error::Signature);
        let more = good.replace('{', r#"{"foo":[1],"nonce":5,"#);
        assert_eq!(why(&with_claims(&more)), Error::Signature, "what nobody asks for is ignored");
    }

    #[test]
    fn where_nonces_are_asked_for_they_tell_the_age() {
        let nonces = |octet| Nonces::new(vec![Key::new(&[octet; 32]).unwrap()], "s").unwrap();
        let settings = Settings { nonces: Some(nonces(1)), ..settings() };
        let with = |nonce: &str, iat: u64| {
            let claims = good_claims().replace(&IAT.to_string(), &iat.to_string());
            with_claims(&claims.replace('{', &format!(r#"{{{nonce}"#)))
        };
        let of = |nonces: &Nonces, at: u64| format!(r#""nonce":"{}","#, nonces.issue(UnixTime::new(at)));
        let good = of(&nonces(1), IAT);
        let day = 86_400;
        for (nonce, iat, now, expected) in [
            (good.as_str(), IAT, IAT, Error::Signature),
            (&good, IAT - 3600, IAT, Error::Signature),
            (&good, IAT + 3600, IAT, Error::Signature),
            (&good, IAT - day, IAT, Error::Signature),
            (&good, IAT - day - 1, IAT, Error::Expired),
            (&good, IAT + day, IAT, Error::Signature),
            (&good, IAT + day + 1, IAT, Error::NotYetValid),
            (&good, IAT, IAT + 300, Error::Signature),
            (&good, IAT, IAT + 301, Error::Nonce(nonce::Error::Expired)),
            ("", IAT, IAT, Error::Nonce(nonce::Error::Missing)),
            (r#""nonce":"","#, IAT, IAT, Error::Nonce(nonce::Error::Unknown)),
            (r#""nonce":5,"#, IAT, IAT, Error::Nonce(nonce::Error::Unknown)),
            (&of(&nonces(2), IAT), IAT, IAT, Error::Nonce(nonce::Error::Unknown)),
        ] {
            assert_eq!(told(&with(nonce, iat), asked(), &settings, now), Err(expected), "{nonce} {iat} {now}");
        }
        let field = with(&good, IAT);
        let fitting = UnverifiedProof::parse(field.as_bytes(), &settings, &Rc::default()).unwrap();
        let proof = fitting.fit(asked(), &settings, UnixTime::new(IAT + 100)).unwrap();
        assert_eq!(proof.until, UnixTime::new(IAT + 310), "its nonce, and the clock of another replica");
        let seen = proof.claims.seen(of_rfc_9449().1, proof.until);
        let proof = VerifiedProof { seen, nonce_issued: proof.nonce_issued };
        assert!(!proof.nonce_is_worn(UnixTime::new(IAT + 150)) && proof.nonce_is_worn(UnixTime::new(IAT + 151)));
    }

    #[test]
    fn a_proof_is_known_again_by_key_uri_and_jti_however_the_uri_is_spelt() {
        let settings = Settings { origins: vec![Origin::parse("https://a.example").unwrap()], ..settings() };
        let seen = |jti: &str, htu: &str, target: &str, jwk: &str| {
            let claims = format!(r#"{{"jti":"{jti}","htm":"GET","htu":"{htu}","iat":{IAT},"ath":"{ATH}"}}"#);
            let field = unsigned(&format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk}}}"#), &claims);
            let asked = MadeFor { target: target.as_bytes(), ..asked() };
            let proof = UnverifiedProof::parse(field.as_bytes(), &settings, &Rc::default()).unwrap();
            let proof = proof.fit(asked, &settings, UnixTime::new(IAT)).unwrap();
            proof.claims.seen(proof.prover().unwrap().thumbprint, proof.until).proof
        };
        let other = r#"{"kty":"EC","x":"1yfLHCpXqFjxCeHHHMVDTcLscpb07KUxudBmOMn8C7Q","y":"8_coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8","crv":"P-256"}"#;
        let one = seen("1", "https://a.example/x", "/x", JWK);
        for htu in ["HTTPS://A.EXAMPLE:443/x", "https://a.example/%78?y#z", "https://a.example/y/../x"] {
            assert_eq!(seen("1", htu, "/x?q", JWK), one, "{htu}");
        }
        assert_ne!(seen("2", "https://a.example/x", "/x", JWK), one);
        assert_ne!(seen("1", "https://a.example/y", "/y", JWK), one);
        assert_ne!(seen("1", "https://a.example/x", "/x", other), one, "nobody uses up what another will send");
        assert_ne!(seen("bc", "https://a.example/a", "/a", JWK), seen("c", "https://a.example/ab", "/ab", JWK));
    }
}
