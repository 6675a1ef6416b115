//! The cluster's certificates: two authorities, one certificate per server and client.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::{options::Options, place::Place, plan};

/// Writes every key and certificate into `dir`, as `NAME.crt` and `NAME.key`.
pub(crate) fn write(dir: &Path, options: &Options) -> Result<()> {
    let ca = authority(dir, "ca", "metallb-tests")?;
    let front_proxy = authority(dir, "front-proxy-ca", "metallb-tests-front-proxy")?;

    issue(
        dir,
        &ca,
        "apiserver",
        &server("kube-apiserver", api_server_names()),
    )?;
    issue(
        dir,
        &ca,
        "apiserver-kubelet",
        &client("kube-apiserver-kubelet", "system:masters"),
    )?;
    issue(
        dir,
        &front_proxy,
        "front-proxy",
        &client("front-proxy-client", ""),
    )?;
    issue(dir, &ca, "admin", &client("admin", "system:masters"))?;
    for name in ["kube-controller-manager", "kube-scheduler", "kube-proxy"] {
        issue(dir, &ca, name, &client(&format!("system:{name}"), ""))?;
    }
    for node in (1..=options.nodes).map(Place::Node) {
        let address = node.address();
        let names = vec![
            node.to_string(),
            address.v4.to_string(),
            address.v6.to_string(),
        ];
        let subject = format!("system:node:{node}");
        issue(
            dir,
            &ca,
            &format!("kubelet-{node}"),
            &client(&subject, "system:nodes"),
        )?;
        issue(
            dir,
            &ca,
            &format!("kubelet-{node}-server"),
            &server(&subject, names),
        )?;
    }

    let service_accounts = KeyPair::generate().context("cannot make a key")?;
    put(
        dir,
        "service-account.key",
        &service_accounts.serialize_pem(),
    )?;
    put(
        dir,
        "service-account.pub",
        &service_accounts.public_key_pem(),
    )
}

struct Subject {
    common_name: String,
    organization: String,
    /// What a server is called; empty for clients.
    names: Vec<String>,
}

fn client(common_name: &str, organization: &str) -> Subject {
    Subject {
        common_name: common_name.to_owned(),
        organization: organization.to_owned(),
        names: Vec::new(),
    }
}

fn server(common_name: &str, names: Vec<String>) -> Subject {
    Subject {
        common_name: common_name.to_owned(),
        organization: String::new(),
        names,
    }
}

fn api_server_names() -> Vec<String> {
    let address = Place::ControlPlane.address();
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1", "cp"]
        .map(str::to_owned)
        .into();
    names.extend([address.v4.to_string(), address.v6.to_string()]);
    names.extend(plan::API_SERVICE.map(str::to_owned));
    let mut name = "kubernetes".to_owned();
    names.push(name.clone());
    for part in ["default", "svc", "cluster", "local"] {
        name = format!("{name}.{part}");
        names.push(name.clone());
    }
    names
}

fn authority(dir: &Path, file: &str, common_name: &str) -> Result<Issuer<'static, KeyPair>> {
    let mut params = params(&client(common_name, ""))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let key = KeyPair::generate()?;
    put(
        dir,
        &format!("{file}.crt"),
        &params.self_signed(&key)?.pem(),
    )?;
    put(dir, &format!("{file}.key"), &key.serialize_pem())?;
    Ok(Issuer::new(params, key))
}

fn issue(dir: &Path, by: &Issuer<'_, KeyPair>, file: &str, subject: &Subject) -> Result<()> {
    let mut params = params(subject)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![if subject.names.is_empty() {
        ExtendedKeyUsagePurpose::ClientAuth
    } else {
        ExtendedKeyUsagePurpose::ServerAuth
    }];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    put(
        dir,
        &format!("{file}.crt"),
        &params.signed_by(&key, by)?.pem(),
    )?;
    put(dir, &format!("{file}.key"), &key.serialize_pem())
}

fn params(subject: &Subject) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(subject.names.clone())?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, &subject.common_name);
    if !subject.organization.is_empty() {
        params
            .distinguished_name
            .push(DnType::OrganizationName, &subject.organization);
    }
    Ok(params)
}

fn put(dir: &Path, file: &str, pem: &str) -> Result<()> {
    let path = dir.join(file);
    fs::write(&path, pem).with_context(|| format!("cannot write {}", path.display()))
}
