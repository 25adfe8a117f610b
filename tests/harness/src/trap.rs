//! A copy of the module that traps at will: the octets of the module itself, in which one exported function stands behind
//! another that looks at a parameter first. Nothing of it is in the module's source, and so nothing in what is shipped.

/// Where the copy traps instead of going on.
#[derive(Clone, Copy, Debug)]
pub struct Trap {
    /// The exported function.
    pub function: &'static str,
    /// How many parameters it has; all are 32-bit integers.
    pub parameters: u8,
    /// The parameter that is looked at, counted from zero.
    pub parameter: u8,
    /// It traps where that is at least this.
    pub at_least: u32,
}

impl Trap {
    /// When a request comes with so many header fields.
    pub fn at_fields(count: u32) -> Self {
        Self { function: "proxy_on_request_headers", parameters: 3, parameter: 1, at_least: count }
    }

    /// When a callout is answered with so many octets.
    pub fn at_answer(size: u32) -> Self {
        Self { function: "proxy_on_http_call_response", parameters: 5, parameter: 3, at_least: size }
    }

    /// The module with this trap in it.
    pub fn set(&self, module: &[u8]) -> Vec<u8> {
        let sections = sections(module);
        let content = |id: u8| sections.iter().find(|section| section.0 == id).expect("the section").1;
        let imported = imported_functions(content(IMPORT));
        let (defined, _) = number(content(FUNCTION));
        let (exports, target) = redirect(content(EXPORT), self.function, imported + defined);
        let types = content(FUNCTION);
        let kind = function_type(types, target - imported);
        let mut trapped = module[..8].to_vec();
        for (id, content) in sections {
            let content = match id {
                FUNCTION => append(content, &encoded(kind)),
                EXPORT => exports.clone(),
                CODE => append(content, &self.body(target)),
                _ => content.to_vec(),
            };
            trapped.push(id);
            trapped.extend(encoded(u32::try_from(content.len()).expect("a size")));
            trapped.extend(content);
        }
        trapped
    }

    /// `if (parameter >= at_least) unreachable; return target(parameters…)`, with its length before it.
    fn body(&self, target: u32) -> Vec<u8> {
        const LOCAL_GET: u8 = 0x20;
        const I32_CONST: u8 = 0x41;
        const I32_GE_U: u8 = 0x4f;
        const IF_EMPTY: [u8; 2] = [0x04, 0x40];
        const UNREACHABLE: u8 = 0x00;
        const END: u8 = 0x0b;
        const CALL: u8 = 0x10;
        let mut body = vec![0, LOCAL_GET, self.parameter, I32_CONST];
        body.extend(signed(self.at_least));
        body.push(I32_GE_U);
        body.extend(IF_EMPTY);
        body.extend([UNREACHABLE, END]);
        body.extend((0..self.parameters).flat_map(|parameter| [LOCAL_GET, parameter]));
        body.push(CALL);
        body.extend(encoded(target));
        body.push(END);
        [encoded(u32::try_from(body.len()).expect("a length")), body].concat()
    }
}

/// What a module imports and exports: what a proxy may allow it or not.
pub fn function_names(module: &[u8]) -> Vec<String> {
    let sections = sections(module);
    let content = |id: u8| number(sections.iter().find(|section| section.0 == id).expect("the section").1);
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).expect("a name");
    let mut names = Vec::new();
    let (count, mut rest) = content(IMPORT);
    for _ in 0..count {
        let (called, after) = name(name(rest).1);
        names.push(text(called));
        rest = number(&after[1..]).1;
    }
    let (count, mut rest) = content(EXPORT);
    for _ in 0..count {
        let (called, after) = name(rest);
        names.push(text(called));
        rest = number(&after[1..]).1;
    }
    names
}

const IMPORT: u8 = 2;
const FUNCTION: u8 = 3;
const EXPORT: u8 = 7;
const CODE: u8 = 10;

/// The sections of a module, by id.
fn sections(module: &[u8]) -> Vec<(u8, &[u8])> {
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
fn number(octets: &[u8]) -> (u32, &[u8]) {
    let last = octets.iter().position(|octet| octet & 0x80 == 0).expect("the end of a number");
    let value = octets[..=last].iter().rev().fold(0, |value, octet| value << 7 | u32::from(octet & 0x7f));
    (value, &octets[last + 1..])
}

fn encoded(mut value: u32) -> Vec<u8> {
    let mut octets = Vec::new();
    while value >= 0x80 {
        octets.push(value as u8 | 0x80);
        value >>= 7;
    }
    octets.push(value as u8);
    octets
}

/// The same number where a sign is read in the highest bit.
fn signed(value: u32) -> Vec<u8> {
    let mut octets = encoded(value);
    let last = octets.last_mut().expect("an octet");
    if *last & 0x40 != 0 {
        *last |= 0x80;
        octets.push(0);
    }
    octets
}

/// A vector with one item more.
fn append(vector: &[u8], item: &[u8]) -> Vec<u8> {
    let (count, items) = number(vector);
    [&encoded(count + 1), items, item].concat()
}

fn name(octets: &[u8]) -> (&[u8], &[u8]) {
    let (size, rest) = number(octets);
    rest.split_at(size as usize)
}

/// How many functions are imported; all imports are, in a module of this target.
fn imported_functions(imports: &[u8]) -> u32 {
    const A_FUNCTION: u8 = 0;
    let (count, mut rest) = number(imports);
    for _ in 0..count {
        rest = name(name(rest).1).1;
        assert_eq!(rest[0], A_FUNCTION, "an imported function");
        rest = number(&rest[1..]).1;
    }
    count
}

/// The type of a function, by its place among those that are defined.
fn function_type(functions: &[u8], at: u32) -> u32 {
    let (_, mut rest) = number(functions);
    for _ in 0..at {
        rest = number(rest).1;
    }
    number(rest).0
}

/// The exports, with another function under this name; and which one it was.
fn redirect(exports: &[u8], wanted: &str, other: u32) -> (Vec<u8>, u32) {
    let (count, mut rest) = number(exports);
    let mut redirected = encoded(count);
    let mut found = None;
    for _ in 0..count {
        let (called, after) = name(rest);
        let kind = after[0];
        let (index, after) = number(&after[1..]);
        let is_wanted = called == wanted.as_bytes();
        let target = if is_wanted { other } else { index };
        redirected.extend(encoded(u32::try_from(called.len()).expect("a length")));
        redirected.extend(called);
        redirected.push(kind);
        redirected.extend(encoded(target));
        found = found.or(is_wanted.then_some(index));
        rest = after;
    }
    (redirected, found.expect("an exported function of this name"))
}
