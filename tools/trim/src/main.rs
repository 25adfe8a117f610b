//! Turns the module as it is linked into the module as it is shipped: it exports what the filter answers and nothing else, and
//! holds nothing that none of that reaches.
//!
//! Envoy calls each callback of proxy-wasm that it finds, at some 180 ns a call, and a dependency may export what it likes (the
//! SDK of proxy-wasm exports all of them): so what is not on the list here ends the build.
#![deny(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use walrus::{Module, ModuleConfig};

/// What `src/host/abi/callbacks.rs` exports, and the memory.
const EXPORTS: [&str; 14] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_tick",
    "proxy_on_http_call_response",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
];

/// Why there is no trimmed module.
#[derive(Debug, PartialEq, Eq)]
enum Error {
    /// The module is none, or has what walrus does not know.
    Unreadable(String),
    /// What the filter can't do without is not exported.
    Missing(Vec<String>),
    /// Exported, and not on the list.
    Unknown(Vec<String>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "the module can't be read: {why}"),
            Self::Missing(names) => write!(f, "the module does not export {}, which is needed", names.join(", ")),
            Self::Unknown(names) => {
                let names = names.join(", ");
                write!(f, "the module exports {names}; take it out, or write it in the list of tools/trim")
            }
        }
    }
}

/// The same module without what no export reaches. One module always gives the same octets.
fn trim(module: &[u8]) -> Result<Vec<u8>, Error> {
    let mut config = ModuleConfig::new();
    // They tell whoever reads a trap where it was.
    config.generate_name_section(true);
    let mut module = config.parse(module).map_err(|error| Error::Unreadable(format!("{error:#}")))?;
    let exported: Vec<&str> = module.exports.iter().map(|export| export.name.as_str()).collect();
    let but_for = |names: &[&str], others: &[&str]| -> Vec<String> {
        names.iter().filter(|name| !others.contains(name)).map(|name| (*name).to_owned()).collect()
    };
    let missing = but_for(&EXPORTS, &exported);
    if !missing.is_empty() {
        return Err(Error::Missing(missing));
    }
    let unknown = but_for(&exported, &EXPORTS);
    if !unknown.is_empty() {
        return Err(Error::Unknown(unknown));
    }
    walrus::passes::gc::run(&mut module);
    Ok(Module::emit_wasm(&mut module))
}

/// Writes beside the place and moves it there, so that no half of a module is ever found.
fn write(module: &[u8], place: &Path) -> std::io::Result<()> {
    let partial = place.with_extension("partial");
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&partial, module)?;
    std::fs::rename(&partial, place)
}

fn run(from: &Path, to: &Path) -> Result<(), String> {
    let module = std::fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    let trimmed = trim(&module).map_err(|error| error.to_string())?;
    write(&trimmed, to).map_err(|error| format!("{}: {error}", to.display()))
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = match arguments.as_slice() {
        [from, to] => run(from.as_ref(), to.as_ref()),
        _ => Err("usage: trim LINKED SHIPPED".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("trim: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use walrus::{FunctionBuilder, ValType};

    use super::*;

    /// A module that exports a memory and, for each name, a function which calls one of its own.
    fn module_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
        let mut module = Module::default();
        let memory = module.memories.add_local(false, false, 1, None, None);
        for name in names {
            if name == "memory" {
                module.exports.add(name, memory);
                continue;
            }
            let function = |module: &mut Module, name: String, constant: i32| {
                let mut builder = FunctionBuilder::new(&mut module.types, &[], &[ValType::I32]);
                builder.name(name).func_body().i32_const(constant);
                builder
            };
            let inner = function(&mut module, format!("only of {name}"), 7).finish(vec![], &mut module.funcs);
            let mut outer = function(&mut module, name.to_owned(), 8);
            outer.func_body().drop().call(inner);
            let outer = outer.finish(vec![], &mut module.funcs);
            module.exports.add(name, outer);
        }
        module.emit_wasm()
    }

    fn exports_of(module: &[u8]) -> BTreeSet<String> {
        Module::from_buffer(module).unwrap().exports.iter().map(|export| export.name.clone()).collect()
    }

    fn functions_of(module: &[u8]) -> BTreeSet<String> {
        Module::from_buffer(module).unwrap().funcs.iter().filter_map(|function| function.name.clone()).collect()
    }

    #[test]
    fn what_no_export_reaches_goes_and_the_rest_keeps_its_names() {
        let mut linked = Module::from_buffer(&module_of(EXPORTS)).unwrap();
        let mut builder = FunctionBuilder::new(&mut linked.types, &[], &[]);
        builder.name("of nobody".to_owned());
        builder.finish(vec![], &mut linked.funcs);
        let linked = linked.emit_wasm();
        assert!(functions_of(&linked).contains("of nobody"));
        let trimmed = trim(&linked).unwrap();
        assert_eq!(exports_of(&trimmed), EXPORTS.map(str::to_owned).into());
        let functions = EXPORTS.into_iter().filter(|name| *name != "memory");
        let expected = functions.flat_map(|name| [name.to_owned(), format!("only of {name}")]).collect();
        assert_eq!(functions_of(&trimmed), expected);
    }

    #[test]
    fn a_module_gives_the_same_octets_each_time_and_a_trimmed_one_gives_itself() {
        let linked = module_of(EXPORTS);
        let trimmed = trim(&linked).unwrap();
        assert_eq!(trim(&linked).as_ref(), Ok(&trimmed));
        assert_eq!(trim(&trimmed), Ok(trimmed));
    }

    #[test]
    fn a_module_without_an_export_that_is_needed_is_refused() {
        let without = |gone: &'static str| module_of(EXPORTS.into_iter().filter(move |name| *name != gone));
        for gone in EXPORTS {
            assert_eq!(trim(&without(gone)), Err(Error::Missing(vec![gone.to_owned()])));
        }
        assert_eq!(
            Error::Missing(vec!["memory".to_owned(), "proxy_on_tick".to_owned()]).to_string(),
            "the module does not export memory, proxy_on_tick, which is needed"
        );
    }

    #[test]
    fn an_export_that_is_on_no_list_is_refused() {
        let error = trim(&module_of(EXPORTS.into_iter().chain(["proxy_on_news"]))).unwrap_err();
        assert_eq!(error, Error::Unknown(vec!["proxy_on_news".to_owned()]));
        assert_eq!(
            error.to_string(),
            "the module exports proxy_on_news; take it out, or write it in the list of tools/trim"
        );
    }

    #[test]
    fn what_is_no_module_is_refused() {
        for octets in [&b""[..], b"\0asm", b"#!/bin/sh"] {
            assert!(matches!(trim(octets), Err(Error::Unreadable(_))), "{octets:?}");
        }
    }

    #[test]
    fn the_list_is_what_the_room_of_callbacks_exports() {
        let room = include_str!("../../../src/host/abi/callbacks.rs");
        let exported = room.split("#[unsafe(no_mangle)]").skip(1);
        let name =
            |text: &str| text.trim().strip_prefix("extern \"C\" fn ")?.split_once('(').map(|(name, _)| name.to_owned());
        let exported: BTreeSet<String> = exported.filter_map(name).chain(["memory".to_owned()]).collect();
        assert_eq!(exported, EXPORTS.map(str::to_owned).into());
    }

    #[test]
    fn a_module_is_written_whole_and_in_its_place() {
        let folder = std::env::temp_dir().join(format!("trim-{}", std::process::id()));
        let (from, to) = (folder.join("linked.wasm"), folder.join("shipped/holdfast.wasm"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&from, module_of(EXPORTS)).unwrap();
        assert_eq!(run(&from, &to), Ok(()));
        assert_eq!(std::fs::read(&to).unwrap(), trim(&std::fs::read(&from).unwrap()).unwrap());
        let found = std::fs::read_dir(folder.join("shipped")).unwrap().count();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, 1);
    }
}
