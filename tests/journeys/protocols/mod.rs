//! What is spoken with an authorization server beside RFC 7662, and what its answers are worth.

mod authlete;
mod both;
mod phantom;
mod rfc9701;
mod split;

use std::cell::RefCell;
use std::rc::Rc;

use holdfast::callout::{Answer, CalloutId};
use serde_json::{Value, json};

use super::proof::ORIGIN;
use super::world::{World, bank};

/// One issuer that is asked in this protocol, and a route for each binding.
fn speaking(protocol: &str, issuer: Value) -> World {
    let mut whole = bank();
    whole["introspection"] = json!({"cluster": "as", "path": "/introspect", "protocol": protocol, "client_id": "rs",
                                    "client_secret": {"env": "SECRET"}});
    for (name, value) in issuer.as_object().unwrap() {
        match value {
            Value::Null => drop(whole.as_object_mut().unwrap().remove(name)),
            value => whole[name] = value.clone(),
        }
    }
    let routes = json!([
        {"name": "all", "path": "/all", "allow": "authenticated"},
        {"name": "either", "path": "/either", "binding": "either", "allow": "authenticated"},
        {"name": "stripped", "path": "/stripped", "forward": {"token": "strip"}, "allow": "authenticated"},
        {"name": "pay", "path": "/pay", "scopes": ["pay"], "allow": "authenticated"},
        {"name": "admin", "path": "/admin", "allow": [{"scopes": ["admin"]}]}
    ]);
    let document = json!({"issuers": [whole], "dpop": {"origins": [ORIGIN]}, "routes": routes});
    World::with_environment(document, &[("SECRET", "s3cr3t")])
}

/// Answers whatever it is asked in this way, and tells what that was.
fn answering(world: &mut World, answers: impl Fn(&CalloutId) -> Answer + 'static) -> Rc<RefCell<Vec<String>>> {
    let bodies = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&bodies);
    world.answers = Some(Box::new(move |id| {
        seen.borrow_mut().push(String::from_utf8(id.body.to_vec()).unwrap());
        answers(id)
    }));
    bodies
}
