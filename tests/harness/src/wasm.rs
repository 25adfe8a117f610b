//! The octets of a WebAssembly module into its sections, and into the names that it exports.

pub const IMPORT: u8 = 2;
pub const FUNCTION: u8 = 3;
pub const EXPORT: u8 = 7;
pub const CODE: u8 = 10;

/// The names that a module exports, in their order.
pub fn exports(module: &[u8]) -> Vec<String> {
    let sections = sections(module);
    let (_, exports) = sections.iter().find(|(id, _)| *id == EXPORT).expect("exports");
    let (count, mut rest) = number(exports);
    let next = |_| {
        let (called, after) = name(rest);
        // A kind and an index.
        rest = number(&after[1..]).1;
        String::from_utf8(called.to_vec()).expect("a name")
    };
    (0..count).map(next).collect()
}

/// The functions that a module imports, in their order.
pub fn imports(module: &[u8]) -> Vec<String> {
    let sections = sections(module);
    let (_, imports) = sections.iter().find(|(id, _)| *id == IMPORT).expect("imports");
    let (count, mut rest) = number(imports);
    let next = |_| {
        let (called, after) = name(name(rest).1);
        // All are functions: a kind and a type.
        rest = number(&after[1..]).1;
        String::from_utf8(called.to_vec()).expect("a name")
    };
    (0..count).map(next).collect()
}

/// The sections of a module, by id.
pub fn sections(module: &[u8]) -> Vec<(u8, &[u8])> {
    assert_eq!(&module[..8], b"\0asm\x01\0\0\0", "a module");
    let mut rest = &module[8..];
    let mut sections = Vec::new();
    while let [id, after @ ..] = rest {
        let (size, after) = number(after);
        let (content, after) = after.split_at(size as usize);
        sections.push((*id, content));
        rest = after;
    }
    sections
}

/// A number in LEB128, and what follows it.
pub fn number(octets: &[u8]) -> (u32, &[u8]) {
    let last = octets.iter().position(|octet| octet & 0x80 == 0).expect("the end of a number");
    let value = octets[..=last].iter().rev().fold(0, |value, octet| value << 7 | u32::from(octet & 0x7f));
    (value, &octets[last + 1..])
}

/// A name, and what follows it.
pub fn name(octets: &[u8]) -> (&[u8], &[u8]) {
    let (size, rest) = number(octets);
    rest.split_at(size as usize)
}
