//! Which namespace the program lives in.

use std::path::Path;

/// The namespace to work in: what was given by flag or `METALLB_NAMESPACE`, else the namespace of
/// the service account the pod runs under.
///
/// # Errors
/// Neither is there.
pub fn resolve(given: Option<&str>) -> Result<String, Unknown> {
    resolve_at(given, Path::new(SERVICE_ACCOUNT_NAMESPACE))
}

/// No namespace is known.
#[derive(Debug, thiserror::Error)]
#[error(
    "no namespace: give --namespace, set METALLB_NAMESPACE, or run in a pod ({SERVICE_ACCOUNT_NAMESPACE}: {0})"
)]
pub struct Unknown(String);

fn resolve_at(given: Option<&str>, file: &Path) -> Result<String, Unknown> {
    if let Some(name) = given.filter(|name| !name.is_empty()) {
        return Ok(name.to_owned());
    }
    let text = std::fs::read_to_string(file).map_err(|error| Unknown(error.to_string()))?;
    match text.trim() {
        "" => Err(Unknown("the file is empty".to_owned())),
        name => Ok(name.to_owned()),
    }
}

const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_and_a_missing_file_is_explained() {
        let none = Path::new("/nonexistent/namespace");
        assert_eq!(resolve_at(Some("here"), none).unwrap(), "here");
        let error = resolve_at(Some(""), none).unwrap_err().to_string();
        assert!(error.contains("METALLB_NAMESPACE"), "{error}");
    }
}
