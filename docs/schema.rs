//! Writes the JSON Schema of the configuration language to standard output (`make schema`).

fn main() {
    println!("{}", holdfast::config::schema::text());
}
