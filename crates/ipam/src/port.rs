//! Ports of Services.

use std::fmt;
use std::str::FromStr;

/// A port of a Service, which no other Service on the same address can have. Shown as in
/// upstream's messages: `TCP/80`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// The protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `TCP`.
    Tcp,
    /// `UDP`.
    Udp,
    /// `SCTP`.
    Sctp,
}

/// A protocol that Services cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol {0:?}")]
pub struct UnknownProtocol(String);

impl Port {
    /// Port `number` of `protocol`.
    pub fn new(protocol: Protocol, number: u16) -> Self {
        Self { protocol, number }
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    /// As in `spec.ports[].protocol`, where nothing means `TCP`.
    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        match text {
            "" | "TCP" => Ok(Self::Tcp),
            "UDP" => Ok(Self::Udp),
            "SCTP" => Ok(Self::Sctp),
            _ => Err(UnknownProtocol(text.to_owned())),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_services_write_them() {
        for (protocol, shown) in [
            ("", "TCP/80"),
            ("TCP", "TCP/80"),
            ("UDP", "UDP/80"),
            ("SCTP", "SCTP/80"),
        ] {
            let port = Port::new(protocol.parse().unwrap(), 80);
            assert_eq!(port.to_string(), shown);
        }
        let error = "tcp".parse::<Protocol>().unwrap_err();
        assert_eq!(error.to_string(), "unknown protocol \"tcp\"");
    }
}
