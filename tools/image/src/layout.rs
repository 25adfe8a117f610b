//! Turns the module into an image as a folder (OCI Image Format 1.1), in the one form that every fetcher of modules takes: the
//! last layer is a tar, compressed by gzip, with the module as `plugin.wasm`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::sources::Sources;
use crate::{Error, Files, archive, sha256, with};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// By their names, which OCI has chosen.
type Labels<'a> = BTreeMap<&'static str, &'a str>;

/// An image in its folder.
pub struct Layout {
    /// Of the manifest, which is the image's.
    pub digest: String,
    pub files: Files,
}

impl Layout {
    pub fn of(module: &[u8], sources: &Sources) -> Result<Self, Error> {
        let labels = labels(sources);
        let archive = archive::tar("plugin.wasm", module);
        let layer = archive::gzip(&archive).map_err(|error| Error::File("plugin.wasm".into(), error))?;
        let mut files = Files::new();
        let config = blob(&mut files, CONFIG, octets(&config(&labels, &digest(&archive))));
        let layer = blob(&mut files, LAYER, layer);
        let manifest = octets(&manifest(&labels, &config, &layer));
        let digest = digest(&manifest);
        let index = index(blob(&mut files, MANIFEST, manifest), &sources.root().version);
        files.insert("index.json".into(), octets(&index));
        files.insert("oci-layout".into(), octets(&json!({"imageLayoutVersion": "1.0.0"})));
        Ok(Self { digest, files })
    }
}

/// Puts a blob in its place and returns what describes it.
fn blob(files: &mut Files, kind: &str, octets: Vec<u8>) -> Value {
    let descriptor = json!({"digest": digest(&octets), "mediaType": kind, "size": octets.len()});
    files.insert(format!("blobs/sha256/{}", sha256(&octets)), octets);
    descriptor
}

fn manifest(labels: &Labels<'_>, config: &Value, layer: &Value) -> Value {
    json!({"annotations": labels, "config": config, "layers": [layer], "mediaType": MANIFEST, "schemaVersion": 2})
}

/// Some tools find an image in a folder by its tag alone.
fn index(manifest: Value, tag: &str) -> Value {
    let manifest = with(manifest, "annotations", Some(json!({"org.opencontainers.image.ref.name": tag})));
    json!({"manifests": [manifest], "mediaType": INDEX, "schemaVersion": 2})
}

fn digest(octets: &[u8]) -> String {
    format!("sha256:{}", sha256(octets))
}

fn octets(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

/// What the image says of itself, in its configuration and in its manifest.
fn labels(sources: &Sources) -> Labels<'_> {
    let mut labels = BTreeMap::from([
        ("org.opencontainers.image.licenses", sources.root().licence.as_str()),
        ("org.opencontainers.image.title", sources.root().name.as_str()),
        ("org.opencontainers.image.version", sources.root().version.as_str()),
    ]);
    if let Some(commit) = &sources.commit {
        labels.insert("org.opencontainers.image.created", &commit.date);
        labels.insert("org.opencontainers.image.revision", &commit.revision);
    }
    labels
}

fn config(labels: &Labels<'_>, archive: &str) -> Value {
    let config = json!({
        "architecture": "wasm",
        "config": {"Labels": labels},
        "os": "wasip1",
        "rootfs": {"diff_ids": [archive], "type": "layers"},
    });
    with(config, "created", labels.get("org.opencontainers.image.created").map(|created| json!(created)))
}
