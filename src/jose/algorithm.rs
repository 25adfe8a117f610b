//! Turns the name of a signature algorithm into one of those that are ever verified (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2).

use std::fmt;

/// A signature algorithm. Nothing symmetric is here, and nothing called `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 octets.
    Ps256,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 octets.
    Ps384,
    /// RSASSA-PSS with SHA-512, MGF1 with SHA-512 and a salt of 64 octets.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519, and no other Edwards curve. `EdDSA` and its fully specified name `Ed25519` are the same here.
    EdDsa,
}

impl Algorithm {
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The algorithm of exactly this name; case counts (RFC 7515 §4.1.1).
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    /// The name in the IANA registry; `EdDSA` for both names of Ed25519.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm;

    #[test]
    fn every_registered_name_is_its_algorithm() {
        let names = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
        assert_eq!(Algorithm::ALL.map(Algorithm::name), names);
        assert_eq!(names.map(Algorithm::parse), Algorithm::ALL.map(Some));
    }

    #[test]
    fn both_names_of_ed25519_are_one_algorithm() {
        assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDsa));
        assert_eq!(Algorithm::parse("EdDSA"), Some(Algorithm::EdDsa));
    }

    #[test]
    fn any_other_spelling_is_no_algorithm() {
        let others = [
            "", "none", "None", "nOnE", "NONE", "es256", "Es256", "RS256 ", " RS256", "RS256\0", "RS1", "HS256",
            "HS384", "HS512", "ES512", "ES256K", "Ed448", "ed25519", "EDDSA", "RSA-OAEP", "ESP256",
        ];
        for name in others {
            assert_eq!(Algorithm::parse(name), None, "{name:?}");
        }
    }
}
