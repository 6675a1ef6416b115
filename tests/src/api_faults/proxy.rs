//! The proxy itself: TLS ends here, each request is answered by a rule or passed on.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::UPGRADE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::control::{Order, State};
use super::gate::{Flow, Gate};
use super::identity::{Certificates, Identities};
use super::mute::Muting;
use super::rule::{Rules, is_watch};

/// The command line of the proxy.
#[derive(Debug, Clone, clap::Args)]
pub struct ProxyArgs {
    /// Where clients arrive.
    #[arg(long)]
    pub listen: SocketAddr,
    /// The real API server.
    #[arg(long)]
    pub upstream: SocketAddr,
    /// The Unix socket for orders.
    #[arg(long)]
    pub control: PathBuf,
    /// The cluster's certificates.
    #[command(flatten)]
    pub certificates: Certificates,
}

/// Runs the proxy in the present network namespace until it is ended.
pub fn run(args: &ProxyArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        serve(listener, args).await
    })
}

/// Serves clients and takes orders.
pub(super) async fn serve(listener: TcpListener, args: &ProxyArgs) -> Result<()> {
    let proxy = Arc::new(Proxy::new(args.upstream, &args.certificates)?);
    // A socket that an ended proxy left behind. Bound last: whoever reaches the new one finds
    // everything else ready.
    let _ = std::fs::remove_file(&args.control);
    let control = UnixListener::bind(&args.control)
        .with_context(|| format!("cannot listen on {}", args.control.display()))?;
    tokio::join!(proxy.clone().accept(listener), proxy.take_orders(control));
    Ok(())
}

/// What all connections share.
struct Proxy {
    upstream: SocketAddr,
    acceptor: TlsAcceptor,
    identities: Identities,
    gate: Gate,
    rules: Mutex<Rules>,
    muting: Muting,
    requests: AtomicU64,
    /// Each connection holds a receiver, so this knows how many there are and when all are gone.
    open: Mutex<watch::Sender<()>>,
}

impl Proxy {
    fn new(upstream: SocketAddr, certificates: &Certificates) -> Result<Self> {
        Ok(Self {
            upstream,
            acceptor: TlsAcceptor::from(Arc::new(certificates.server()?)),
            identities: certificates.identities()?,
            gate: Gate::default(),
            rules: Mutex::default(),
            muting: Muting::default(),
            requests: AtomicU64::new(0),
            open: Mutex::default(),
        })
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((tcp, _)) if self.gate.flow() == Flow::Refusing => reset(&tcp),
                Ok((tcp, peer)) => {
                    let proxy = self.clone();
                    tokio::spawn(async move {
                        if let Err(error) = proxy.connection(tcp).await {
                            eprintln!("{peer}: {error:#}");
                        }
                    });
                }
                Err(error) => eprintln!("accept: {error}"),
            }
        }
    }

    /// One client: its bytes go through the gate to the TLS and HTTP behind it.
    async fn connection(self: Arc<Self>, mut tcp: TcpStream) -> Result<()> {
        let _open = self.open.lock().expect(NO_PANIC).subscribe();
        let pass = self.gate.pass();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (far_read, far_write) = tokio::io::split(far);
        let (read, write) = tcp.split();
        let inbound = async {
            let (served, _) = tokio::join!(self.http(near), pass.clone().copy(read, far_write));
            match served {
                // What was answered last is still on its way out.
                Ok(()) => std::future::pending().await,
                Err(error) => error,
            }
        };
        let cut = tokio::select! {
            () = pass.clone().cut() => true,
            done = pass.clone().copy(far_read, write) => return done.map_err(Into::into),
            error = inbound => return Err(error),
        };
        if cut {
            reset(&tcp);
        }
        Ok(())
    }

    /// Ends TLS and serves HTTP/1.1 on what comes out.
    async fn http(self: &Arc<Self>, io: DuplexStream) -> Result<()> {
        let tls = self.acceptor.accept(io).await.context("TLS")?;
        let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let identity = self.identities.of(shown);
        let upstream = tokio::sync::Mutex::new(None);
        let service = service_fn(|request| self.request(request, identity.clone(), &upstream));
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(tls), service)
            .with_upgrades()
            .await
            .context("HTTP")
    }

    async fn request(
        &self,
        request: Request<Incoming>,
        identity: Option<Arc<ClientConfig>>,
        upstream: &tokio::sync::Mutex<Option<Upstream>>,
    ) -> Result<Response<Body>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (parts, body) = request.into_parts();
        let fault = self.rules.lock().expect(NO_PANIC).answer(&parts);
        if let Some(fault) = fault {
            return Ok(fault.map(whole));
        }
        let Some(identity) = identity else {
            let mut refusal = Response::new(whole(
                "the API proxy has no key for this client certificate\n".to_owned(),
            ));
            *refusal.status_mut() = StatusCode::UNAUTHORIZED;
            return Ok(refusal);
        };
        let mut upstream = upstream.lock().await;
        if upstream.as_ref().is_none_or(SendRequest::is_closed) {
            *upstream = Some(self.connect(identity).await?);
        }
        let sender = upstream.as_mut().expect("connected above");
        sender
            .ready()
            .await
            .context("the API server closed the connection")?;
        let watch = is_watch(&parts).then(|| parts.clone());
        let response = pass_on(Request::from_parts(parts, body), sender).await?;
        Ok(match watch {
            Some(parts) => response.map(|body| self.muting.body(body, parts).boxed()),
            None => response,
        })
    }

    /// A connection to the real API server, as the client.
    async fn connect(&self, identity: Arc<ClientConfig>) -> Result<Upstream> {
        let tcp = TcpStream::connect(self.upstream)
            .await
            .context("no API server")?;
        tcp.set_nodelay(true)?;
        let name = ServerName::from(self.upstream.ip());
        let tls = TlsConnector::from(identity)
            .connect(name, tcp)
            .await
            .context("API server TLS")?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                eprintln!("API server: {error}");
            }
        });
        Ok(sender)
    }

    async fn take_orders(self: Arc<Self>, control: UnixListener) {
        loop {
            let Ok((stream, _)) = control.accept().await else {
                continue;
            };
            if let Err(error) = self.take_order(stream).await {
                eprintln!("order: {error:#}");
            }
        }
    }

    async fn take_order(&self, stream: UnixStream) -> Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        self.obey(serde_json::from_str(&line)?).await;
        let mut reply = serde_json::to_string(&self.state())?;
        reply.push('\n');
        Ok(stream.write_all(reply.as_bytes()).await?)
    }

    /// The order has taken effect when this ends.
    async fn obey(&self, order: Order) {
        match order {
            Order::Set(rule) => self.rules.lock().expect(NO_PANIC).set(rule),
            Order::Cut { hold } => {
                if hold {
                    self.gate.set(Flow::Refusing);
                }
                let open = std::mem::take(&mut *self.open.lock().expect(NO_PANIC));
                self.gate.cut();
                open.closed().await;
            }
            Order::Stall => self.gate.set(Flow::Stalled),
            Order::Mute(watches) => self.muting.set(Some(watches)),
            Order::Clear => {
                self.muting.set(None);
                self.rules.lock().expect(NO_PANIC).clear();
                self.gate.set(Flow::Open);
            }
            Order::Status => {}
        }
    }

    fn state(&self) -> State {
        State {
            flow: self.gate.flow(),
            connections: self.open.lock().expect(NO_PANIC).receiver_count(),
            muted: self.muting.get(),
            requests: self.requests.load(Ordering::Relaxed),
            rules: self.rules.lock().expect(NO_PANIC).tallies().to_vec(),
        }
    }
}

pub(super) type Body = BoxBody<Bytes, hyper::Error>;
type Upstream = SendRequest<Incoming>;

/// Sends `request` on and hands back the answer; exec, attach and port-forward become a pipe.
async fn pass_on(
    mut request: Request<Incoming>,
    upstream: &mut Upstream,
) -> Result<Response<Body>> {
    let client = request
        .headers()
        .contains_key(UPGRADE)
        .then(|| hyper::upgrade::on(&mut request));
    let mut response = upstream.send_request(request).await.context("API server")?;
    if let (Some(client), StatusCode::SWITCHING_PROTOCOLS) = (client, response.status()) {
        let server = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            let (client, server) = tokio::try_join!(client, server)?;
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            // Either side may just go away; that is the end of the pipe and no error.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            Ok::<_, hyper::Error>(())
        });
    }
    Ok(response.map(BodyExt::boxed))
}

fn whole(body: String) -> Body {
    Full::new(Bytes::from(body))
        .map_err(|never: Infallible| match never {})
        .boxed()
}

/// Makes the peer see a reset, not an orderly end, once `tcp` is dropped.
fn reset(tcp: &TcpStream) {
    // It fails only on a connection that is gone already.
    let _ = tcp.set_zero_linger();
}

/// Why a lock is never poisoned.
const NO_PANIC: &str = "no holder of the lock panics";
