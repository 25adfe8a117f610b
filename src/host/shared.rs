//! What the workers of one Envoy process share, by the host's shared data.

use crate::binding::replay::{SharedSlots, Unreachable, Written};

use super::abi;

pub struct SharedData;

impl SharedSlots for SharedData {
    fn read(&self, name: &str) -> Result<Option<(Vec<u8>, u32)>, Unreachable> {
        abi::shared_data(name).map_err(|_| Unreachable)
    }

    fn write(&self, name: &str, value: &[u8], number: u32) -> Result<Written, Unreachable> {
        match abi::set_shared_data(name, value, number) {
            Ok(true) => Ok(Written::Done),
            Ok(false) => Ok(Written::Changed),
            Err(_) => Err(Unreachable),
        }
    }
}
