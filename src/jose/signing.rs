//! Turns a private JSON Web Key of our own (RFC 7517 §9.3, RFC 7518 §6) into signatures.

use std::fmt;

use p256::ecdsa::signature::Signer as _;

use super::algorithm::Algorithm;
use super::base64url;
use super::json::{self, Limits, Object};
use super::jwk::{self, PublicKey, coordinate, octets, optional, required};
use super::rsa_signing::{self, Numbers};

/// A private key; it does not print itself.
pub struct SigningKey {
    pub kid: String,
    pub algorithm: Algorithm,
    kind: Kind,
    public: PublicKey,
}

enum Kind {
    P256(Box<p256::ecdsa::SigningKey>),
    Rsa(Box<rsa_signing::Private>),
}

/// The salt of a signature by PSS: random octets.
pub type Salt = [u8; 32];

/// Why a text is no private key that signs. None of it tells anything of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not a JSON object.
    NotAMap,
    /// It has no `d`.
    Public,
    /// `alg` is none of those that are signed with here.
    Algorithm,
    /// Its public part is not one that could be used.
    Key(jwk::Error),
    /// The private part does not make signatures that the public part verifies.
    Unpaired,
}

impl SigningKey {
    /// Reads a JWK with `kid` and `alg`, and tries it: a signature of it has to be one of its public part.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let value = json::parse(text.as_bytes(), Limits::DOCUMENT).map_err(|_| Error::NotAMap)?;
        let members = value.as_object().ok_or(Error::NotAMap)?;
        members.get("d").ok_or(Error::Public)?;
        let kid = required(members, "kid")?.to_owned();
        let algorithm = Algorithm::parse(required(members, "alg")?).ok_or(Error::Algorithm)?;
        if optional(members, "use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(jwk::Error::Use.into());
        }
        let public = PublicKey::parse(members)?;
        if !public.fits(algorithm) {
            return Err(jwk::Error::OtherAlgorithm.into());
        }
        let kind = Kind::parse(members, algorithm, &public)?;
        let key = Self { kid, algorithm, kind, public };
        key.sign(b"holdfast", &[0; 32]).map(|_| key).ok_or(Error::Unpaired)
    }

    /// A compact JWS (RFC 7515 §7.1) of this header, to which `alg` and `kid` are added, and this payload.
    pub fn jws(&self, typ: &str, payload: &str, salt: &Salt) -> Option<String> {
        let kid = serde_json::Value::from(self.kid.as_str());
        let header = format!(r#"{{"alg":"{}","kid":{kid},"typ":"{typ}"}}"#, self.algorithm.name());
        let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
        let signature = self.sign(input.as_bytes(), salt)?;
        Some(format!("{input}.{}", base64url::encode(signature)))
    }

    /// None where the signature is not one: whoever gets a wrong one of RSA by its remainders can compute the key
    /// (RFC 8017 §5.2.1 does without; Boneh, DeMillo, Lipton 1997).
    fn sign(&self, message: &[u8], salt: &Salt) -> Option<Vec<u8>> {
        let signature = match (&self.kind, self.algorithm) {
            (Kind::P256(key), _) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).ok()?;
                signature.to_bytes().to_vec()
            }
            (Kind::Rsa(key), Algorithm::Ps256) => key.sign_pss(message, salt)?,
            (Kind::Rsa(key), _) => key.sign_pkcs1(message)?,
        };
        self.public.verify(self.algorithm, message, &signature).then_some(signature)
    }
}

impl Kind {
    fn parse(members: &Object, algorithm: Algorithm, public: &PublicKey) -> Result<Self, Error> {
        Ok(match algorithm {
            Algorithm::Es256 => {
                let secret: [u8; 32] = coordinate(members, "d")?;
                let key = p256::ecdsa::SigningKey::from_slice(&secret).map_err(|_| Error::Unpaired)?;
                Self::P256(Box::new(key))
            }
            Algorithm::Ps256 | Algorithm::Rs256 => {
                let [p, q, dp, dq, qi] = ["p", "q", "dp", "dq", "qi"].map(|name| octets(members, name));
                let (p, q, dp, dq, qi) = (p?, q?, dp?, dq?, qi?);
                let numbers = Numbers { p: &p, q: &q, dp: &dp, dq: &dq, qi: &qi };
                let bits = public.modulus_bits().ok_or(Error::Unpaired)?;
                Self::Rsa(Box::new(rsa_signing::Private::new(&numbers, bits).ok_or(Error::Unpaired)?))
            }
            Algorithm::EdDsa
            | Algorithm::Es384
            | Algorithm::Ps384
            | Algorithm::Ps512
            | Algorithm::Rs384
            | Algorithm::Rs512 => return Err(Error::Algorithm),
        })
    }
}

impl From<jwk::Error> for Error {
    fn from(error: jwk::Error) -> Self {
        Self::Key(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAMap => f.write_str("it is not a JSON object"),
            Self::Public => f.write_str("it has no d, so it is a public key"),
            Self::Algorithm => f.write_str("its alg is none of ES256, PS256 and RS256"),
            Self::Key(error) => error.fmt(f),
            Self::Unpaired => f.write_str("its private part does not belong to its public part"),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, {}, …)", self.kid, self.algorithm.name())
    }
}

/// Which key it is, by its public part and what it is called.
impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.kid, self.algorithm, &self.public) == (&other.kid, other.algorithm, &other.public)
    }
}

impl Eq for SigningKey {}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A private JWK for this algorithm, made anew, called like it.
    pub fn private(algorithm: &str) -> Value {
        let encode = |octets: &[u8]| base64url::encode(octets);
        let mut key = match algorithm {
            "ES256" => {
                let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
                let point = key.verifying_key().to_sec1_point(false);
                let (x, y) = (encode(point.x().unwrap()), encode(point.y().unwrap()));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": encode(&key.to_bytes())})
            }
            _ => of_rsa(),
        };
        key["alg"] = algorithm.into();
        key["kid"] = algorithm.into();
        key
    }

    fn of_rsa() -> Value {
        use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
        let key = jwk::tests::rsa_private();
        let encode = |number: &crypto_bigint::BoxedUint| base64url::encode(number.to_be_bytes_trimmed_vartime());
        let [p, q] = key.primes() else { panic!("two primes") };
        json!({
            "kty": "RSA", "n": encode(key.n()), "e": encode(key.e()), "d": encode(key.d()), "p": encode(p), "q": encode(q),
            "dp": encode(key.dp().unwrap()), "dq": encode(key.dq().unwrap()), "qi": encode(&key.qinv().unwrap().retrieve())
        })
    }

    const SIGNED_WITH: [&str; 3] = ["ES256", "PS256", "RS256"];

    fn parse(key: &Value) -> Result<SigningKey, Error> {
        SigningKey::parse(&key.to_string())
    }

    #[test]
    fn a_signature_of_each_algorithm_is_one_that_is_verified() {
        for name in SIGNED_WITH {
            let key = parse(&private(name)).unwrap();
            let jws = key.jws("JWT", r#"{"a":1}"#, &[9; 32]).unwrap();
            let (input, signature) = jws.rsplit_once('.').unwrap();
            let signature = base64url::decode(signature).unwrap();
            assert!(key.public.verify(key.algorithm, input.as_bytes(), &signature), "{name}");
            assert!(!key.public.verify(key.algorithm, b"another", &signature), "{name}");
            let header = format!(r#"{{"alg":"{name}","kid":"{name}","typ":"JWT"}}"#);
            assert_eq!(base64url::decode(input.split('.').next().unwrap()).unwrap(), header.as_bytes());
        }
    }

    #[test]
    fn those_of_rsa_are_the_librarys_and_pss_differs_with_its_salt() {
        let library = jwk::tests::rsa_private();
        let key = parse(&private("RS256")).unwrap();
        assert_eq!(key.sign(b"message", &[0; 32]), library.pkcs1v15_sign::<sha2::Sha256>(b"message").ok());
        let key = parse(&private("PS256")).unwrap();
        assert_ne!(key.sign(b"message", &[0; 32]), key.sign(b"message", &[1; 32]));
    }

    #[test]
    fn a_key_that_could_not_sign_is_refused_beside_its_good_twin() {
        let change = |name: &str, member: &str, value: Value| {
            let mut key = private(name);
            match value {
                Value::Null => drop(key.as_object_mut().unwrap().remove(member)),
                value => key[member] = value,
            }
            key
        };
        let other = base64url::encode([8; 32]);
        let table = [
            (json!("text"), Error::NotAMap),
            (change("ES256", "d", Value::Null), Error::Public),
            (change("ES256", "kid", Value::Null), jwk::Error::Missing("kid").into()),
            (change("ES256", "alg", Value::Null), jwk::Error::Missing("alg").into()),
            (change("ES256", "alg", json!("HS256")), Error::Algorithm),
            (change("RS256", "alg", json!("PS384")), Error::Algorithm),
            (change("ES256", "alg", json!("PS256")), jwk::Error::OtherAlgorithm.into()),
            (change("ES256", "use", json!("enc")), jwk::Error::Use.into()),
            (change("ES256", "d", json!(other)), Error::Unpaired),
            (change("ES256", "d", json!("AAAA")), jwk::Error::CoordinateLength("d").into()),
            (change("ES256", "d", json!(base64url::encode([0; 32]))), Error::Unpaired),
            (change("RS256", "p", Value::Null), jwk::Error::Missing("p").into()),
            (change("RS256", "dp", json!("AQAB")), Error::Unpaired),
            (change("PS256", "qi", json!("AQAB")), Error::Unpaired),
            (change("PS256", "q", json!("AQAB")), Error::Unpaired),
        ];
        for (key, expected) in table {
            assert_eq!(parse(&key).unwrap_err(), expected);
        }
        for name in SIGNED_WITH {
            assert_eq!(parse(&change(name, "use", json!("sig"))).map(|key| key.kid).as_deref(), Ok(name));
        }
    }

    #[test]
    fn a_private_key_does_not_print_itself() {
        let key = private("PS256");
        assert_eq!(format!("{:?}", parse(&key).unwrap()), r#"SigningKey("PS256", PS256, …)"#);
    }
}
