//! The proxy before a stand-in that says who asked; the real API server: `tests/verbs.rs`.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection, StreamOwned};

use super::control::send;
use super::proxy::serve;
use super::*;

/// A stand-in for the API server with the proxy in front of it.
struct World {
    pki: PathBuf,
    proxy: SocketAddr,
    socket: PathBuf,
}

impl World {
    fn new(name: &str) -> Self {
        let pki = std::env::temp_dir().join(format!("metallb-proxy-{name}-{}", std::process::id()));
        fs::create_dir_all(&pki).unwrap();
        certificates(&pki);
        let file = |name: &str| pki.join(name);
        let certificates = Certificates {
            ca: file("ca.crt"),
            cert: file("server.crt"),
            key: file("server.key"),
            clients: pki.clone(),
        };
        let server = Arc::new(certificates.server().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                let connection = ServerConnection::new(server.clone()).unwrap();
                let stream = StreamOwned::new(connection, tcp.unwrap());
                std::thread::spawn(move || stand_in(stream));
            }
        });

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let proxy = listener.local_addr().unwrap();
        let socket = file("control.sock");
        let args = ProxyArgs {
            listen: proxy,
            upstream,
            control: socket.clone(),
            certificates,
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                serve(tokio::net::TcpListener::from_std(listener).unwrap(), &args)
                    .await
                    .unwrap();
            });
        });
        let world = Self { pki, proxy, socket };
        eventually("the proxy", Duration::from_secs(5), || {
            send(&world.socket, &Order::Status).map(Ok::<_, String>)
        })
        .unwrap();
        world
    }

    fn order(&self, order: &Order) -> State {
        send(&self.socket, order).unwrap()
    }

    fn connect(&self, user: Option<&str>) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.pki.join("ca.crt"))).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match user {
            None => config.with_no_client_auth(),
            Some(user) => {
                let chain = vec![certificate(&self.pki.join(format!("{user}.crt")))];
                let key = self.pki.join(format!("{user}.key"));
                let key = PrivateKeyDer::from_pem_file(key).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let name = ServerName::from(self.proxy.ip());
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let tcp = TcpStream::connect(self.proxy).unwrap();
        tcp.set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        StreamOwned::new(connection, tcp)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.pki);
    }
}

type Client = StreamOwned<ClientConnection, TcpStream>;

/// Answers each request with who asked; `/watch` never ends, nor does `/ticks`, which tells the
/// same again and again; `/exec` becomes an echo.
fn stand_in(mut stream: StreamOwned<ServerConnection, TcpStream>) {
    while let Ok(head) = read_head(&mut stream) {
        let shown = stream
            .conn
            .peer_certificates()
            .map(|chain| chain[0].clone());
        let answer = if head.starts_with("GET /watch") || head.starts_with("GET /ticks") {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n".to_owned()
        } else if head.starts_with("GET /exec") {
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
                .to_owned()
        } else {
            let token = head
                .lines()
                .find(|l| l.to_lowercase().starts_with("authorization"));
            let body = format!("{} {}", digest(shown.as_ref()), token.unwrap_or("no token"));
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
        if head.starts_with("GET /ticks") {
            while stream.write_all(b"5\r\nevent\r\n").is_ok() {
                // The pace of the ticks that the server under test sends.
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        if head.starts_with("GET /exec") {
            let mut piece = [0; 4];
            while stream.read_exact(&mut piece).is_ok() && stream.write_all(&piece).is_ok() {}
        }
    }
}

fn read_head(stream: &mut impl std::io::Read) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}

/// Enough of a certificate to tell it from another.
fn digest(certificate: Option<&CertificateDer<'_>>) -> String {
    certificate.map_or_else(
        || "nobody".to_owned(),
        |der| format!("{:02x?}", &der[der.len() - 8..]),
    )
}

fn ask(client: &mut Client, path: &str, more: &str) -> std::io::Result<String> {
    write!(client, "GET {path} HTTP/1.1\r\nHost: api\r\n{more}\r\n")?;
    read_answer(client)
}

fn read_answer(client: &mut Client) -> std::io::Result<String> {
    let head = read_head(client)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    client.read_exact(&mut body)?;
    Ok(head + &String::from_utf8(body).unwrap())
}

fn certificates(pki: &Path) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    fs::write(pki.join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    let ca = Issuer::new(params, key);
    fs::create_dir_all(pki.join("elsewhere")).unwrap();
    for name in ["server", "alice", "elsewhere/stranger"] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &ca).unwrap();
        fs::write(pki.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(pki.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

#[test]
fn the_api_server_sees_the_client_itself() {
    let world = World::new("identity");
    let alice = digest(Some(&certificate(&world.pki.join("alice.crt"))));
    let mut client = world.connect(Some("alice"));
    for _ in 0..2 {
        let answer = ask(&mut client, "/", "").unwrap();
        assert!(answer.ends_with(&format!("{alice} no token")), "{answer}");
    }
    let answer = ask(&mut world.connect(None), "/", "Authorization: Bearer x\r\n").unwrap();
    let answer = answer.to_lowercase();
    assert!(
        answer.ends_with("nobody authorization: bearer x"),
        "{answer}"
    );
}

#[test]
fn a_rule_answers_and_the_connection_lives_on() {
    let world = World::new("rule");
    let mut client = world.connect(Some("alice"));
    world.order(&Order::Set(Rule::status(409).path("/status").count(1)));
    assert!(
        ask(&mut client, "/spec", "")
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    let conflict = ask(&mut client, "/x/status", "").unwrap();
    assert!(conflict.starts_with("HTTP/1.1 409 Conflict"), "{conflict}");
    assert!(conflict.contains(r#""reason":"Conflict""#), "{conflict}");
    assert!(
        ask(&mut client, "/x/status", "")
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    let state = world.order(&Order::Status);
    assert_eq!(
        (state.rules[0].answered, state.requests, state.connections),
        (1, 3, 1)
    );
}

#[test]
fn a_cut_ends_a_running_watch_and_nothing_later() {
    let world = World::new("cut");
    let mut watch = world.connect(Some("alice"));
    assert!(
        ask(&mut watch, "/watch", "")
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    let mut event = [0; 10];
    watch.read_exact(&mut event).unwrap();
    assert_eq!(world.order(&Order::Cut { hold: false }).connections, 0);
    let end = watch.read(&mut event).unwrap_err().kind();
    assert_eq!(end, ErrorKind::ConnectionReset);
    assert!(ask(&mut world.connect(None), "/", "").is_ok());

    world.order(&Order::Cut { hold: true });
    assert!(ask(&mut world.connect(None), "/", "").is_err());
    world.order(&Order::Clear);
    assert!(ask(&mut world.connect(None), "/", "").is_ok());
}

#[test]
fn a_stall_holds_answers_back_and_loses_none() {
    let world = World::new("stall");
    let mut client = world.connect(Some("alice"));
    assert!(ask(&mut client, "/", "").is_ok());
    world.order(&Order::Stall);
    let silence = ask(&mut client, "/", "").unwrap_err().kind();
    assert_eq!(silence, ErrorKind::WouldBlock);
    world.order(&Order::Clear);
    assert!(
        read_answer(&mut client)
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
}

#[test]
fn a_mute_watch_stays_and_tells_it_all_later() {
    let world = World::new("mute");
    let watches = Requests {
        path: Some("/ticks".to_owned()),
        ..Requests::default()
    };
    let ticks = || {
        let mut watch = world.connect(Some("alice"));
        ask(&mut watch, "/ticks?watch=true", "").unwrap();
        watch.read_exact(&mut [0; 40]).unwrap();
        watch
    };
    let mut mute = ticks();
    let state = world.order(&Order::Mute(watches.clone()));
    assert_eq!(state.muted, Some(watches));
    // What came before it fell mute may have passed.
    let silence = mute.read_to_end(&mut Vec::new()).unwrap_err().kind();
    assert_eq!(silence, ErrorKind::WouldBlock);
    ticks();
    world.order(&Order::Clear);
    mute.read_exact(&mut [0; 40]).unwrap();
}

#[test]
fn an_upgraded_connection_is_a_pipe() {
    let world = World::new("upgrade");
    let mut client = world.connect(Some("alice"));
    let answer = ask(
        &mut client,
        "/exec",
        "Connection: upgrade\r\nUpgrade: x\r\n",
    )
    .unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let mut echo = [0; 4];
    for word in [b"ping", b"pong"] {
        client.write_all(word).unwrap();
        client.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, word);
    }
    world.order(&Order::Cut { hold: false });
    assert!(client.read(&mut echo).is_err());
}

#[test]
fn a_certificate_without_a_known_key_is_refused() {
    let world = World::new("stranger");
    let answer = ask(&mut world.connect(Some("elsewhere/stranger")), "/", "").unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}
