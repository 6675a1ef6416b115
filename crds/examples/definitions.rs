//! Prints the `CustomResourceDefinition`s as one YAML stream; `cargo xtask crds` cuts it into files.
//! With `without-rules`, those that replace the ones of MetalLB's own releases under OLM v1.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let crds = match std::env::args().nth(1).as_deref() {
        None => metallb_crds::all(),
        Some("without-rules") => metallb_crds::without_rules(),
        Some(other) => return Err(format!("{other:?} is not known, only without-rules is").into()),
    };
    for crd in crds {
        println!("--- {}", metallb_crds::file_name(&crd));
        print!("{}", serde_saphyr::to_string(&crd)?);
    }
    Ok(())
}
