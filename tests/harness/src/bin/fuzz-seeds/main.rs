//! Writes what fuzzing begins with: for each target of `fuzz/` a folder of good and nearly good examples, made at run time.
//!
//! usage: fuzz-seeds FOLDER

mod structure;

use std::fs;
use std::path::{Path, PathBuf};

use harness::{Algorithm, Authority, Leaf, SigningKey, base64url, top, yaml};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

struct Seeds {
    folder: PathBuf,
    written: usize,
}

impl Seeds {
    fn write(&mut self, target: &str, octets: impl AsRef<[u8]>) {
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("{:04}", self.written)), octets).expect("a file");
        self.written += 1;
    }
}

fn main() {
    let folder = std::env::args_os().nth(1).expect("usage: fuzz-seeds FOLDER");
    let mut seeds = Seeds { folder: folder.into(), written: 0 };
    tokens(&mut seeds);
    certificates(&mut seeds);
    requests(&mut seeds);
    configurations(&mut seeds);
    dictionary(&seeds);
    let vectors = top().join("../shared/vectors");
    if vectors.is_dir() {
        walk(&vectors, &mut |file| vector(&mut seeds, file));
    } else {
        eprintln!("fuzz-seeds: without public test vectors, which are not there");
    }
    println!("fuzz-seeds: {} seeds in {}", seeds.written, seeds.folder.display());
}

fn claims() -> Value {
    json!({
        "iss": "https://login.bank.example", "aud": ["https://api.bank.example"], "sub": "ann", "client_id": "n26",
        "iat": 1_799_999_990, "nbf": 1_799_999_990, "exp": 1_800_000_300, "jti": "1", "scope": "a b", "roles": ["clerk"],
        "act": {"sub": "bob"}, "auth_time": 1_799_999_000, "acr": "gold",
        "cnf": {"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"}
    })
}

/// Made for `GET` of `/accounts/1` with the token `a.b.c`.
fn proof(key: &SigningKey) -> String {
    let claims = json!({
        "jti": "1", "htm": "GET", "htu": "https://api.bank.example/accounts/1", "iat": 1_800_000_000,
        "ath": base64url(&Sha256::digest("a.b.c"))
    });
    key.mint(json!({"typ": "dpop+jwt", "kid": null, "jwk": key.jwk()}), &claims)
}

fn tokens(seeds: &mut Seeds) {
    let keys: Vec<SigningKey> = Algorithm::ALL.iter().map(|algorithm| SigningKey::new(*algorithm, "k1")).collect();
    for key in &keys {
        let token = key.mint(json!({}), &claims());
        seeds.write("credential", format!("/\nBearer {token}"));
        seeds.write("jws", token);
        seeds.write("key_set", json!({"keys": [key.jwk()]}).to_string());
        seeds.write("proof", proof(key));
    }
    for uri in
        ["HTTPS://API.bank.example:443/a/%62/../c?x#y", "https://[2001:db8::1]:8443", "https://u@api.bank.example/"]
    {
        seeds.write("proof", uri);
    }
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1", "cty": "x", "crit": ["b64"], "b64": false});
    seeds.write("jws", format!("{header}\0{}", claims()));
    // RFC 8037 A.4
    let signed = [
        "eyJhbGciOiJFZERTQSJ9",
        "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ];
    seeds.write("jws", signed.join("."));
    let all: Vec<Value> = keys.iter().map(SigningKey::jwk).collect();
    seeds.write("key_set", json!({"keys": all}).to_string());
    for (name, value) in [("active", json!(true)), ("active", json!(false)), ("token_type", json!("Bearer"))] {
        let mut said = claims();
        said["active"] = json!(true);
        said[name] = value;
        seeds.write("introspection", said.to_string());
        seeds.write("json", format!("{said:#}"));
    }
}

fn certificates(seeds: &mut Seeds) {
    let authority = Authority::new("seeds");
    let leaves = [
        Leaf::client("bank"),
        Leaf::nameless("bank"),
        Leaf::client("bank").uri("spiffe://bank.example/ns/web/sa/bff").email("a@bank.example").ip([127, 0, 0, 1]),
        Leaf::server().organization("Bank"),
        Leaf::client("bank").authority(),
        Leaf::client("bank").certificate_signing().extension(&[2, 5, 29, 54], vec![2, 1, 0]),
    ];
    for leaf in leaves {
        let made = authority.issue(leaf);
        seeds.write("certificate", &made.der);
        seeds.write("certificate", &made.cert_pem);
        seeds.write("certificate", made.digest_hex());
        let pem = made.cert_pem.replace("\r\n", "\n");
        let escaped =
            pem.replace('\n', "%0A").replace(' ', "%20").replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let element =
            format!("By=urn:x;Hash={};Cert=\"{escaped}\";Subject=\"CN=a\\,b\";URI=urn:a=b;DNS=c", made.digest_hex());
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        for field in [
            format!("Hash={0},{element}", made.digest_hex()),
            element,
            pem.replace('\n', " "),
            format!(":{body}:"),
            escaped,
        ] {
            seeds.write("relay", field);
        }
    }
}

fn requests(seeds: &mut Seeds) {
    for text in
        ["/\nbearer  a.b==", "/?access_token=x\nBearer x", "/\nBearer x\nBearer x", "/\nBasic eDp5", "/\nBearer"]
    {
        seeds.write("credential", text);
    }
    for target in [
        "/admin/x",
        "/%61dmin/x/?y",
        "/t/a%20b",
        "/files/a%2Fb",
        "/a/../b",
        "/a;b",
        "//",
        "/x/end/",
        "/%c3%a9",
        "*",
        "/%ff",
    ] {
        seeds.write("path", format!("acme.saas.example\n{target}"));
    }
    for host in ["[::1]:80", "ACME.saas.example.:8443", "", "a@b"] {
        seeds.write("path", format!("{host}\n/t/a"));
    }
    seeds.write("pairs", ":method:GET\n:path:/\n:authority:x\na:b\nA:\n:");
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    seeds.write("pairs", [words(&[2, 5, 1, 1, 0]), b":path\0/\0x\0\0".to_vec()].concat());
    seeds.write("pairs", words(&[0]));
}

/// The policies of `envoy/`, each with the issuer that it may leave out, and the configurations in the README.
fn configurations(seeds: &mut Seeds) {
    let issuer = json!([{
        "issuer": "https://login.bank.example", "name": "bank", "audiences": ["https://api.bank.example"],
        "jwks": {"cluster": "login", "path": "/jwks"}
    }]);
    let mut texts = vec![];
    walk(&top().join("envoy/policies"), &mut |file| texts.extend(fs::read_to_string(file)));
    let readme = fs::read_to_string(top().join("README.md")).expect("README.md");
    texts.extend(readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned));
    for text in texts {
        let mut document = yaml(&text).expect("YAML");
        if document.get("issuers").is_none() {
            document["issuers"] = issuer.clone();
        }
        seeds.write("configuration", format!("{document:#}"));
        seeds.write("configuration", structure::encode(&document));
    }
}

/// The words of the configuration language, and of tokens, as they stand in the sources.
fn dictionary(seeds: &Seeds) {
    let mut words = vec![];
    walk(&top().join("src"), &mut |file| {
        let source = fs::read_to_string(file).expect("a source");
        let is_word = |text: &&str| {
            (2..=40).contains(&text.len())
                && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"_-+./:#".contains(&octet))
        };
        words.extend(source.split('"').filter(is_word).map(|word| format!("\"{word}\"")));
    });
    words.sort();
    words.dedup();
    fs::write(seeds.folder.join("dictionary"), words.join("\n") + "\n").expect("a file");
}

fn vector(seeds: &mut Seeds, file: &Path) {
    let Ok(octets) = fs::read(file) else { return };
    if file.components().any(|part| part.as_os_str() == "jsontestsuite") && octets.len() < 4096 {
        seeds.write("json", octets);
    } else if let Ok(value) = serde_json::from_slice::<Value>(&octets) {
        examples(seeds, &value);
    }
}

/// Every key, token, path and certificate that stands somewhere in a document.
fn examples(seeds: &mut Seeds, value: &Value) {
    match value {
        Value::String(text) if text.starts_with("-----BEGIN CERTIFICATE") => seeds.write("certificate", text),
        Value::String(text) if text.starts_with('/') => seeds.write("path", format!("x\n{text}")),
        Value::String(text) if text.split('.').count() == 3 && text.starts_with("ey") => seeds.write("jws", text),
        Value::Array(values) => values.iter().for_each(|value| examples(seeds, value)),
        Value::Object(members) => {
            if members.contains_key("kty") {
                seeds.write("key_set", json!({"keys": [value]}).to_string());
            }
            members.values().for_each(|value| examples(seeds, value));
        }
        _ => {}
    }
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { walk(&path, visit) } else { visit(&path) }
    }
}
