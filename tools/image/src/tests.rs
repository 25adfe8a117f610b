//! What is published of a small module, read back with other programs than those that wrote it.

use std::process::{Command, Stdio};

use serde_json::json;

use super::*;
use sources::Commit;

const TREE: &str = "0\tholdfast v0.1.0 (/somewhere)\tApache-2.0\t
1\tp256 v0.14.0\tApache-2.0 OR MIT\thttps://example.org/p256
2\tzeroize v1.9.2\tMIT/Apache-2.0\t
1\tzeroize v1.9.2\tMIT/Apache-2.0\t
1\told v2.0.0+1.5\t\thttps://example.org/old
";

const LOCK: &str = r#"version = 4

[[package]]
name = "holdfast"
version = "0.1.0"

[[package]]
name = "p256"
version = "0.14.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "0d0c"
dependencies = [
 "zeroize",
]

[[package]]
name = "zeroize"
version = "1.8.0"
checksum = "0180"

[[package]]
name = "zeroize"
version = "1.9.2"
checksum = "0192"
"#;

const REVISION: &str = "75183ef269eb14538e0a80ce9084f5032c55d482";
const DATE: &str = "2026-11-28T11:25:49Z";

/// A module with nothing in it but who made it.
fn module() -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let compiler = [text("rustc"), text("1.95.0 (59807616e 2026-04-14)")].concat();
    let section = [text("producers"), vec![1], text("processed-by"), vec![1], compiler].concat();
    [b"\0asm\x01\0\0\0\0", [u8::try_from(section.len()).unwrap()].as_slice(), &section].concat()
}

fn commit() -> Option<Commit> {
    Some(Commit { revision: REVISION.to_owned(), date: DATE.to_owned() })
}

fn sources() -> Sources {
    Sources::of(TREE, LOCK, commit()).unwrap()
}

fn parse(octets: &[u8]) -> Value {
    serde_json::from_slice(octets).unwrap()
}

/// A folder with what is published of the small module, and with the module.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, published: &Published) -> Self {
        let folder = std::env::temp_dir().join(format!("image-{name}-{}", std::process::id()));
        write_file(&folder.join(MODULE), &module()).unwrap();
        write(published, &folder).unwrap();
        Self(folder)
    }

    fn document(&self, path: &str) -> Value {
        parse(&std::fs::read(self.0.join(path)).unwrap())
    }

    /// The blob that a descriptor describes, held against it.
    fn blob(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let path = self.0.join("image/blobs/sha256").join(digest);
        let octets = std::fs::read(&path).unwrap();
        assert_eq!((sha256(&octets).as_str(), json!(octets.len())), (digest, descriptor["size"].clone()));
        path
    }

    fn described(&self, descriptor: &Value) -> Value {
        parse(&std::fs::read(self.blob(descriptor)).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

#[test]
fn the_layer_unpacks_to_the_module_and_every_descriptor_is_true() {
    let published = publish(&module(), &sources()).unwrap();
    let folder = Folder::with("layer", &published);
    assert_eq!(folder.document("image/oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    let index = folder.document("image/index.json");
    let manifest = &index["manifests"][0];
    assert_eq!(manifest["digest"], published.digest.as_str());
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["annotations"], json!({"org.opencontainers.image.ref.name": "0.1.0"}));
    let manifest = folder.described(manifest);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    let layer = folder.blob(&manifest["layers"][0]);
    let listed = run(Command::new("tar").args(["--list", "--gzip", "--file"]).arg(&layer));
    assert_eq!(String::from_utf8(listed).unwrap(), "plugin.wasm\n");
    let unpacked = run(Command::new("tar").args(["--extract", "--to-stdout", "--gzip", "--file"]).arg(&layer));
    assert_eq!(unpacked, module());
    let archive =
        run(Command::new("gzip").args(["--decompress", "--stdout"]).stdin(std::fs::File::open(&layer).unwrap()));
    let config = folder.described(&manifest["config"]);
    assert_eq!(config["rootfs"], json!({"diff_ids": [format!("sha256:{}", sha256(&archive))], "type": "layers"}));
    assert_eq!(std::fs::read_dir(folder.0.join("image/blobs/sha256")).unwrap().count(), 3);
}

#[test]
fn the_image_tells_its_version_licence_and_commit() {
    let published = publish(&module(), &sources()).unwrap();
    let folder = Folder::with("labels", &published);
    let manifest = folder.described(&folder.document("image/index.json")["manifests"][0]);
    let config = folder.described(&manifest["config"]);
    let labels = json!({
        "org.opencontainers.image.created": DATE,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": REVISION,
        "org.opencontainers.image.title": "holdfast",
        "org.opencontainers.image.version": "0.1.0",
    });
    assert_eq!(manifest["annotations"], labels);
    assert_eq!(config["config"]["Labels"], labels);
    assert_eq!(config["created"], DATE);
}

#[test]
fn an_image_of_no_commit_names_none() {
    let changed = Sources::of(TREE, LOCK, None).unwrap();
    let folder = Folder::with("changed", &publish(&module(), &changed).unwrap());
    let manifest = folder.described(&folder.document("image/index.json")["manifests"][0]);
    let config = folder.described(&manifest["config"]);
    let labels = json!({
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.title": "holdfast",
        "org.opencontainers.image.version": "0.1.0",
    });
    assert_eq!((&manifest["annotations"], &config["config"]["Labels"]), (&labels, &labels));
    assert_eq!(config.get("created"), None);
    assert_eq!(folder.document(BILL)["metadata"].get("timestamp"), None);
}

#[test]
fn two_runs_give_the_same_octets_and_another_commit_another_digest() {
    let published = publish(&module(), &sources()).unwrap();
    assert_eq!(publish(&module(), &sources()).unwrap(), published);
    let later = Commit { date: "2026-11-29T11:25:49Z".to_owned(), ..commit().unwrap() };
    let later = Sources::of(TREE, LOCK, Some(later)).unwrap();
    assert_ne!(publish(&module(), &later).unwrap().digest, published.digest);
}

#[test]
fn an_earlier_image_leaves_no_blob_behind() {
    let published = publish(&module(), &sources()).unwrap();
    let folder = Folder::with("twice", &published);
    let changed = Sources::of(TREE, LOCK, None).unwrap();
    write(&publish(&module(), &changed).unwrap(), &folder.0).unwrap();
    write(&published, &folder.0).unwrap();
    assert_eq!(std::fs::read_dir(folder.0.join("image/blobs/sha256")).unwrap().count(), 3);
}

#[test]
fn the_sums_are_right_for_every_file_and_for_the_module() {
    let published = publish(&module(), &sources()).unwrap();
    let folder = Folder::with("sums", &published);
    let checked = run(Command::new("sha256sum").args(["--check", "--strict", SUMS]).current_dir(&folder.0));
    let checked = String::from_utf8(checked).unwrap();
    let mut expected: Vec<_> =
        published.files.keys().filter(|path| *path != SUMS).map(|path| format!("{path}: OK")).collect();
    expected.push(format!("{MODULE}: OK"));
    assert_eq!(checked.lines().collect::<Vec<_>>(), expected);
    write_file(&folder.0.join(MODULE), b"another").unwrap();
    let refused =
        Command::new("sha256sum").args(["--check", "--status", SUMS]).current_dir(&folder.0).status().unwrap();
    assert_eq!(refused.code(), Some(1));
}

#[test]
fn the_bill_names_what_is_linked_with_licence_and_checksum() {
    let published = publish(&module(), &sources()).unwrap();
    let bill = parse(&published.files[BILL]);
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
    let subject = json!({
        "bom-ref": "pkg:cargo/holdfast@0.1.0",
        "hashes": [{"alg": "SHA-256", "content": sha256(&module())}],
        "licenses": [{"expression": "Apache-2.0"}],
        "name": "holdfast",
        "purl": format!("pkg:oci/holdfast@{}", published.digest.replace(':', "%3A")),
        "type": "application",
        "version": "0.1.0",
    });
    assert_eq!(bill["metadata"], json!({"component": subject, "timestamp": DATE}));
    let components = json!([
        {
            "bom-ref": "pkg:cargo/old@2.0.0%2B1.5",
            "externalReferences": [{"type": "vcs", "url": "https://example.org/old"}],
            "name": "old",
            "purl": "pkg:cargo/old@2.0.0%2B1.5",
            "type": "library",
            "version": "2.0.0+1.5",
        },
        {
            "bom-ref": "pkg:cargo/p256@0.14.0",
            "externalReferences": [{"type": "vcs", "url": "https://example.org/p256"}],
            "hashes": [{"alg": "SHA-256", "content": "0d0c"}],
            "licenses": [{"expression": "Apache-2.0 OR MIT"}],
            "name": "p256",
            "purl": "pkg:cargo/p256@0.14.0",
            "type": "library",
            "version": "0.14.0",
        },
        {
            "bom-ref": "pkg:cargo/zeroize@1.9.2",
            "hashes": [{"alg": "SHA-256", "content": "0192"}],
            "licenses": [{"expression": "MIT OR Apache-2.0"}],
            "name": "zeroize",
            "purl": "pkg:cargo/zeroize@1.9.2",
            "type": "library",
            "version": "1.9.2",
        },
        {
            "bom-ref": "rust-std",
            "description": "Rust's standard library for wasm32-wasip1 and what it brings along, of rustc 1.95.0 (59807616e 2026-04-14)",
            "externalReferences": [{"type": "vcs", "url": "https://github.com/rust-lang/rust"}],
            "licenses": [{"expression": "MIT OR Apache-2.0"}],
            "name": "std",
            "purl": "pkg:generic/rust-std@1.95.0",
            "type": "library",
            "version": "1.95.0",
        },
    ]);
    assert_eq!(bill["components"], components);
    let dependencies = json!([
        {
            "dependsOn": ["pkg:cargo/old@2.0.0%2B1.5", "pkg:cargo/p256@0.14.0", "pkg:cargo/zeroize@1.9.2", "rust-std"],
            "ref": "pkg:cargo/holdfast@0.1.0",
        },
        {"dependsOn": [], "ref": "pkg:cargo/old@2.0.0%2B1.5"},
        {"dependsOn": ["pkg:cargo/zeroize@1.9.2"], "ref": "pkg:cargo/p256@0.14.0"},
        {"dependsOn": [], "ref": "pkg:cargo/zeroize@1.9.2"},
        {"ref": "rust-std"},
    ]);
    assert_eq!(bill["dependencies"], dependencies);
}

#[test]
fn this_repository_names_what_the_module_is_linked_from_and_no_tool_of_its_tests() {
    let sources = Sources::read().unwrap();
    assert_eq!(sources.root().name, "holdfast");
    let names: Vec<_> = sources.linked.iter().map(|linked| linked.name.as_str()).collect();
    for linked in ["base64", "p256", "serde_json", "typenum", "x509-parser"] {
        assert!(names.contains(&linked), "{linked} is not in {names:?}");
    }
    for other in ["divan", "ed25519-dalek", "flate2", "harness", "rsa", "schemars", "syn", "tokio", "walrus"] {
        assert!(!names.contains(&other), "{other} is in {names:?}");
    }
    for linked in &sources.linked {
        let checksum = sources.checksums.get(&(linked.name.clone(), linked.version.clone())).map(String::len);
        // What stands in this repository has the commit for a checksum.
        let expected = if linked.name == "holdfast-arithmetic" { None } else { Some(64) };
        assert_eq!((checksum, linked.licence.is_empty()), (expected, false), "{}", linked.name);
    }
}

#[test]
fn what_is_no_tree_and_what_is_no_module_is_refused() {
    let refused = |tree: &str| Sources::of(tree, LOCK, None).unwrap_err().to_string();
    assert_eq!(refused(""), "cargo tree can't be read: it is empty");
    assert_eq!(refused("0 holdfast v0.1.0"), "cargo tree can't be read: 0 holdfast v0.1.0");
    let nameless = publish(b"\0asm\x01\0\0\0", &sources()).unwrap_err().to_string();
    assert_eq!(nameless, "the module can't be read: no compiler is named in it");
    assert_eq!(publish(b"#!/bin/sh", &sources()).unwrap_err().to_string(), nameless);
}
