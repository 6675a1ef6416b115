//! Prints the `CustomResourceDefinition`s as one YAML stream; `cargo xtask crds` cuts it into files.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    for crd in metallb_crds::all() {
        println!("--- {}", metallb_crds::file_name(&crd));
        print!("{}", serde_saphyr::to_string(&crd)?);
    }
    Ok(())
}
