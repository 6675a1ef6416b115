//! Which image to run.

/// The one that is named, as it is; else `own`, from another registry if one is named.
pub(super) fn chosen(own: &str, named: Option<&String>, registry: Option<&str>) -> String {
    let registry = registry.filter(|it| !it.is_empty());
    match (named.filter(|it| !it.is_empty()), registry) {
        (Some(named), _) => named.clone(),
        (None, Some(registry)) => format!("{registry}/{}", without_registry(own)),
        (None, None) => own.to_owned(),
    }
}

/// The first part of an image's name is a registry if it looks like a host, as Docker has it.
fn without_registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => rest,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_takes_the_place_of_the_one_in_the_name() {
        let digest = "metallb@sha256:ab";
        for (own, expected) in [
            (
                "quay.io/metallb/speaker:v1",
                "mirror:5000/a/metallb/speaker:v1",
            ),
            ("localhost/speaker", "mirror:5000/a/speaker"),
            ("registry:5000/speaker:v1", "mirror:5000/a/speaker:v1"),
            ("metallb/speaker", "mirror:5000/a/metallb/speaker"),
            ("speaker:v1", "mirror:5000/a/speaker:v1"),
            (digest, "mirror:5000/a/metallb@sha256:ab"),
        ] {
            assert_eq!(chosen(own, None, Some("mirror:5000/a")), expected);
        }
    }

    #[test]
    fn a_name_wins_over_a_registry_and_both_over_the_usual_one() {
        let named = "example.com/own:1".to_owned();
        let registry = Some("mirror");
        assert_eq!(chosen("a.b/c", Some(&named), registry), named);
        assert_eq!(chosen("a.b/c", Some(&String::new()), Some("")), "a.b/c");
        assert_eq!(chosen("a.b/c", None, None), "a.b/c");
    }
}
