//! Another program of this node has a session with the router.

use std::os::fd::OwnedFd;
use std::process::Stdio;

use super::*;

/// It is not disturbed, and ours comes up when it ends.
#[test]
fn who_comes_second_waits_for_the_end_of_the_first() {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(LocalSet::new().run_until(second()));
}

async fn second() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one");
    let first = TcpStream::connect(address).expect("it listens");
    let (its_end, _) = listener.accept().expect("it connected");
    // Of another program from now on.
    let mut first = Command::new("cat")
        .stdin(Stdio::from(OwnedFd::from(first)))
        .spawn()
        .expect("there is cat");

    let (shell, queue, mut seen) = shell();
    let (commands, orders) = mpsc::unbounded_channel();
    let peers = [("router".to_owned(), peer("router", address))].into();
    commands.send(BgpCommand::Peers(peers)).expect("it listens");
    let shell = shell.run(Vec::new(), queue, orders, CancellationToken::new());
    let shell = tokio::task::spawn_local(shell);
    let mut next = async || {
        let news = timeout(SOON, seen.recv()).await;
        match news.expect("it says something") {
            Some(Observed::Session(peer, news)) => (peer, news),
            other => panic!("it is about a session: {other:?}"),
        }
    };
    let (_, news) = next().await;
    let SessionNews::Failed(why) = news else {
        panic!("{news:?}");
    };
    assert!(why.starts_with("another program on this node"), "{why}");
    // Long enough to connect again and again.
    tokio::time::sleep(2 * SOON).await;
    listener.set_nonblocking(true).expect("it can be");
    let none = listener.accept().map(|(_, from)| from);
    assert!(none.is_err(), "the first session was disturbed: {none:?}");

    first.kill().expect("it runs");
    first.wait().expect("it ends");
    let ended = Instant::now();
    drop(its_end);
    listener.set_nonblocking(false).expect("it can be");
    let router = thread::spawn(move || accept(&listener));
    let (_, news) = next().await;
    assert!(matches!(news, SessionNews::Up), "{news:?}");
    assert!(ended.elapsed() < SOON, "{:?}", ended.elapsed());
    router.join().expect("no panic").expect("it is open");
    shell.abort();
}

const SOON: Duration = Duration::from_secs(1);
