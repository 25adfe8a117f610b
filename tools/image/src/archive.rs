//! Turns a file into a compressed archive that tells nothing of when, where and by whom it was made.

use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};

const BLOCK: usize = 512;

/// A tar of one file, in the format `ustar` (POSIX.1, pax, "ustar Interchange Format"), that anybody may read.
pub fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let unsummed = header(name, content.len(), "        ");
    let sum: u32 = unsummed.iter().map(|octet| u32::from(*octet)).sum();
    let mut archive = header(name, content.len(), &format!("{sum:06o}\0 "));
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

fn header(name: &str, size: usize, sum: &str) -> Vec<u8> {
    let size = format!("{size:011o}");
    // Name, mode, owner, group, size, time, checksum, kind, link, magic, version, names of owner and group, device, prefix.
    let fields = [
        (100, name),
        (8, "0000444"),
        (8, "0000000"),
        (8, "0000000"),
        (12, &size),
        (12, "00000000000"),
        (8, sum),
        (1, "0"),
        (100, ""),
        (6, "ustar"),
        (2, "00"),
        (32, ""),
        (32, ""),
        (8, "0000000"),
        (8, "0000000"),
        (155, ""),
    ];
    let mut header: Vec<u8> = fields.into_iter().flat_map(|(width, value)| field(width, value)).collect();
    header.resize(BLOCK, 0);
    header
}

fn field(width: usize, value: &str) -> Vec<u8> {
    let mut field: Vec<u8> = value.bytes().take(width).collect();
    field.resize(width, 0);
    field
}

/// RFC 1952, without a time and of no operating system.
pub fn gzip(octets: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    encoder.write_all(octets)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_tar_has_its_fields_where_posix_says() {
        let archive = tar("plugin.wasm", b"hello");
        assert_eq!(archive.len(), 4 * BLOCK);
        let text = |from: usize, to: usize| String::from_utf8(archive[from..to].to_vec()).unwrap();
        assert_eq!(text(0, 12), "plugin.wasm\0");
        assert_eq!(text(100, 108), "0000444\0");
        assert_eq!(text(124, 136), "00000000005\0");
        assert_eq!(text(136, 148), "00000000000\0");
        assert_eq!(text(156, 157), "0");
        assert_eq!(text(257, 265), "ustar\x0000");
        assert_eq!(text(BLOCK, BLOCK + 6), "hello\0");
        let sum: u32 = archive[..BLOCK].iter().map(|octet| u32::from(*octet)).sum();
        let own: u32 = archive[148..156].iter().map(|octet| u32::from(*octet)).sum();
        assert_eq!(text(148, 156), format!("{:06o}\0 ", sum - own + 8 * u32::from(b' ')));
    }

    #[test]
    fn content_that_fills_its_blocks_gets_no_more_of_them() {
        assert_eq!(tar("a", &[7; BLOCK]).len(), 4 * BLOCK);
        assert_eq!(tar("a", &[7; BLOCK + 1]).len(), 5 * BLOCK);
        assert_eq!(tar("a", &[]).len(), 3 * BLOCK);
    }

    #[test]
    fn a_gzip_tells_no_time_and_no_system_and_unpacks_to_what_it_was() {
        let octets: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = gzip(&octets).unwrap();
        // RFC 1952 §2.3: magic, deflate, no flags, no time, slowest algorithm, unknown system.
        assert_eq!(packed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, octets);
    }
}
