//! Writes what `wit-bindgen c` writes for a world of the contract: the header and glue of a plugin in C, and an object file by which
//! the linker makes a component of it.
//!
//! `bindings WIT WORLD FOLDER`. Who has the command `wit-bindgen` needs none of this.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use wit_bindgen_core::Files;
use wit_parser::Resolve;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(wit), Some(world), Some(folder), None) =
        (arguments.next(), arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: bindings WIT WORLD FOLDER".into());
    };
    let mut resolve = Resolve::default();
    let package = resolve.push_str(&wit, &fs::read_to_string(&wit)?)?;
    let world = resolve.select_world(&[package], Some(&world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(&folder)?;
    for (name, bytes) in files.iter() {
        fs::write(Path::new(&folder).join(name), bytes)?;
    }
    Ok(())
}
