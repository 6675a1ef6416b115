use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::*;
use crate::wire::{Capability, Codec, Family, Open, Update, frame_len};

mod agree;
mod machine;
mod telling;
mod timers;

const OURS: u32 = 64512;
const THEIRS: u32 = 64513;

fn settings() -> Settings {
    Settings {
        peer: "router".into(),
        local_as: OURS,
        remote_as: RemoteAs::Number(THEIRS),
        identifier: [10, 0, 0, 1].into(),
        hold_time: 90,
        keepalive: 30,
        connect_retry: Duration::from_secs(4),
        families: Family::ALL.into(),
        v6_next_hops: false,
        graceful_restart: None,
        hostname: "node".into(),
        connects: true,
        local_pref: 100,
    }
}

fn link() -> Link {
    Link {
        next_hop_v4: Some([192, 0, 2, 1].into()),
        next_hop_v6: None,
    }
}

/// An OPEN message of the router.
fn their_open() -> Open {
    Open {
        my_as: u16::try_from(THEIRS).expect("a short number"),
        hold_time: 90,
        identifier: Ipv4Addr::new(10, 0, 0, 9),
        capabilities: vec![Capability::FourOctetAs(THEIRS)],
    }
}

/// A session with a router that says what a test has it say.
struct Dialog {
    session: Session,
    rib: Rib<u32>,
    now: Instant,
    /// The network takes nothing.
    stuck: bool,
    done: Vec<Output>,
}

impl Dialog {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(now, settings, 1),
            rib: Rib::default(),
            now,
            stuck: false,
            done: Vec::new(),
        }
    }

    /// In one of the six states, with nothing left to do.
    fn at_rest(state: State) -> Self {
        let mut dialog = Self::new(settings());
        dialog.lead_to(state);
        dialog
    }

    fn lead_to(&mut self, state: State) {
        if state == State::Idle {
            return;
        }
        self.input(Input::Start);
        if state == State::Active {
            self.input(Input::ConnectFailed("refused".into()));
        }
        if state >= State::OpenSent {
            self.input(Input::Connected(Way::Out, link()));
        }
        if state >= State::OpenConfirm {
            self.hear(&Message::Open(their_open()));
        }
        if state >= State::Established {
            self.hear(&Message::Keepalive);
        }
        self.outputs();
        assert_eq!(self.session.state(), state);
    }

    fn input(&mut self, input: Input<'_>) {
        self.session.handle_input(self.now, input);
    }

    fn hear(&mut self, message: &Message) {
        self.hear_on(Way::Out, message);
    }

    fn hear_on(&mut self, way: Way, message: &Message) {
        let codec = Codec {
            four_octet: true,
            ..Codec::default()
        };
        self.input(Input::Received(way, &message.encode(codec)));
    }

    /// Lets time pass, doing what is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.work();
        }
        self.now = end;
    }

    fn work(&mut self) {
        while let Some(output) = self.session.poll_output(&self.rib) {
            if let (Output::Send(way, bytes), false) = (&output, self.stuck) {
                self.input(Input::Sent(*way, bytes.len()));
            }
            self.done.push(output);
        }
    }

    fn outputs(&mut self) -> Vec<Output> {
        self.work();
        std::mem::take(&mut self.done)
    }

    /// The messages among the outputs, on any way.
    fn said(&mut self) -> Vec<Message> {
        let codec = self
            .session
            .negotiated()
            .map_or_else(Codec::default, |it| it.codec);
        messages(&self.outputs(), codec)
    }
}

fn messages(outputs: &[Output], codec: Codec) -> Vec<Message> {
    let sent = outputs.iter().filter_map(|it| match it {
        Output::Send(_, bytes) => Some(bytes),
        _ => None,
    });
    let mut messages = Vec::new();
    for mut rest in sent.map(Vec::as_slice) {
        while let Some(len) = frame_len(rest, codec).expect("it is sound") {
            let (frame, later) = rest.split_at(len);
            messages.push(Message::decode(frame, codec).expect("it is sound").message);
            rest = later;
        }
    }
    messages
}

fn notifications(outputs: &[Output]) -> Vec<ErrorCode> {
    let all = messages(outputs, Codec::default());
    let all = all.into_iter().filter_map(|it| match it {
        Message::Notification(it) => Some(it.error),
        _ => None,
    });
    all.collect()
}
