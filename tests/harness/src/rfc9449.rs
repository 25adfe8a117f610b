//! The request of RFC 9449 figure 13, with the token of its figure 6.

use serde_json::{Value, json};

pub const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
pub const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
pub const ORIGIN: &str = "https://resource.example.org";
pub const PATH: &str = "/protectedresource";
/// When the proof was made.
pub const IAT: u64 = 1_562_262_618;
/// Of the key of the proof.
pub const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
pub const ISSUER: &str = "https://server.example.com";

/// The introspection response of figure 11, for a key of this thumbprint. `token_type` is added: without it nothing but an audience
/// tells an access token from a refresh token, and the figure has none.
pub fn introspected(jkt: &str) -> Value {
    json!({
        "active": true, "sub": "someone@example.com", "iss": ISSUER, "nbf": 1_562_262_611_u64,
        "exp": 1_562_266_216_u64, "cnf": {"jkt": jkt}, "token_type": "DPoP"
    })
}
