//! PEM in one line into DER: nginx's `$ssl_client_escaped_cert` and Envoy's `%DOWNSTREAM_PEER_CERT%`, which escape it, and
//! Apache's `%{SSL_CLIENT_CERT}s`, which has a blank for each newline.

use super::super::peer::{self, Error};
use super::super::percent;

/// Takes exactly one block. What has escapes has no blanks of its own.
pub fn to_der(text: &[u8]) -> Result<Vec<u8>, Error> {
    match text.contains(&b'%') {
        true if text.contains(&b' ') => Err(Error::NotPem),
        true => peer::one_block(&percent::decode(text).ok_or(Error::NotPem)?, b"\r\n"),
        false => peer::one_block(text, b" "),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::peer::tests::PEM;
    use super::super::super::peer::{CertificateDigest, Leaf};
    use super::*;

    fn escaped() -> String {
        PEM.replace('\n', "%0A").replace('+', "%2B").replace('/', "%2F").replace(' ', "%20").replace('=', "%3D")
    }

    fn with_blanks() -> String {
        PEM.replace('\n', " ")
    }

    #[test]
    fn the_forms_that_proxies_write_are_read() {
        for text in [escaped(), with_blanks(), with_blanks().trim_end().to_owned(), escaped().replace("%2B", "%2b")] {
            let der = to_der(text.as_bytes()).unwrap();
            assert!(Leaf::from_der(&der).is_ok(), "{text}");
            let expected = "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd";
            assert_eq!(CertificateDigest::of(&der).to_string(), expected);
        }
    }

    #[test]
    fn nothing_looser_is_read() {
        for text in [
            String::new(),
            PEM.to_owned(),
            PEM.replace('\n', ""),
            PEM.replace('\n', "\t"),
            escaped().replace("%20", "+"),
            escaped().replace("%20", " "),
            escaped().replace('%', "%25"),
            escaped().replacen("%0A", "%0", 1),
            escaped().replacen("%0A", "%zz", 1),
            escaped().replacen("%0A", "%00", 2),
            escaped().replace("-----BEGIN%20CERTIFICATE-----%0A", ""),
            format!("{0}{0}", escaped()),
            format!("{0}{0}", with_blanks()),
            format!("{}x", escaped()),
            format!("{}%20x", escaped()),
            format!("x{}", with_blanks()),
            escaped().replace("CERTIFICATE", "PUBLIC%20KEY"),
            with_blanks().replace("MIIB", "MII!"),
            with_blanks().replace("+SY=", "+SY"),
            with_blanks().replace("+SY=", "+SZ="),
        ] {
            assert_eq!(to_der(text.as_bytes()), Err(Error::NotPem), "{text}");
        }
    }
}
